"""What an entry of a Rekor log records: which signature, by which key, over what.

Version 1: https://github.com/sigstore/rekor/tree/v1.5.2/pkg/types (dsse, intoto, hashedrekord).
Version 2: https://github.com/sigstore/rekor-tiles/blob/v2.0.1/api/proto/rekor/v2 (JSON of
protobuf). Whatever else is in an entry says nothing of the statement.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate

from vcr.attest import strict_json

_CERTIFICATE = b"-----BEGIN CERTIFICATE"


@dataclass(frozen=True)
class Recorded:
    """A signature that a log has; one of the two digests, both SHA-256, is there."""

    signature: bytes
    key: bytes  # SubjectPublicKeyInfo in DER, also when the entry has a certificate
    payload: bytes | None = None  # digest of the payload of an envelope
    message: bytes | None = None  # digest of what was signed


def read_body(data: bytes, kind: str, version: str) -> Recorded:
    """Return what DATA, an entry of KIND and VERSION, records; raises ValueError."""
    reader = READERS.get((kind, version))
    if reader is None:
        known = ", ".join(" ".join(each) for each in READERS)
        raise ValueError(f"entries of {kind} {version} are not known; known are {known}")
    content = strict_json.load(data)
    try:
        if (content["kind"], content["apiVersion"]) != (kind, version):
            raise ValueError("its body is of another kind")
        return reader(content["spec"])
    except (TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"its body is not {kind} {version}: {error}") from None


def _dsse_1(spec: Any) -> Recorded:
    (row,) = spec["signatures"]
    signature = strict_json.read_base64(row["signature"])
    return Recorded(signature, _pem(row["verifier"]), payload=_digest(spec["payloadHash"]))


def _intoto_2(spec: Any) -> Recorded:
    content = spec["content"]
    (row,) = content["envelope"]["signatures"]
    # Both are base64 of text, and the text of the signature is base64 already.
    signature = strict_json.read_base64(strict_json.read_base64(row["sig"]).decode())
    return Recorded(signature, _pem(row["publicKey"]), payload=_digest(content["payloadHash"]))


def _hashed_1(spec: Any) -> Recorded:
    signature = spec["signature"]
    key = _pem(signature["publicKey"]["content"])
    message = _digest(spec["data"]["hash"])
    return Recorded(strict_json.read_base64(signature["content"]), key, message=message)


def _dsse_2(spec: Any) -> Recorded:
    content = spec["dsseV002"]
    (row,) = content["signatures"]
    return _second(row, payload=_digest_2(content["payloadHash"]))


def _hashed_2(spec: Any) -> Recorded:
    content = spec["hashedRekordV002"]
    return _second(content["signature"], message=_digest_2(content["data"]))


def _second(row: Any, **digest: bytes) -> Recorded:
    return Recorded(strict_json.read_base64(row["content"]), _verifier(row["verifier"]), **digest)


def _digest(told: Any) -> bytes:
    if told["algorithm"] != "sha256":
        raise ValueError(f"its digest is a {told['algorithm']}, not sha256")
    return strict_json.read_hex(told["value"])


def _digest_2(told: Any) -> bytes:
    if told["algorithm"] != "SHA2_256":
        raise ValueError(f"its digest is a {told['algorithm']}, not SHA2_256")
    return strict_json.read_base64(told["digest"])


def _pem(text: str) -> bytes:
    data = strict_json.read_base64(text)
    is_certificate = data.lstrip().startswith(_CERTIFICATE)
    return _spki(load_pem_x509_certificate if is_certificate else load_pem_public_key, data)


def _verifier(told: Any) -> bytes:
    (name,) = {"publicKey", "x509Certificate"} & set(told)
    data = strict_json.read_base64(told[name]["rawBytes"])
    return _spki(load_der_public_key if name == "publicKey" else load_der_x509_certificate, data)


def _spki(load: Callable[[bytes], Any], data: bytes) -> bytes:
    """Return the key in DATA as SubjectPublicKeyInfo; raises ValueError."""
    try:
        found = load(data)
        key = found.public_key() if hasattr(found, "public_key") else found
        return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    except Exception as error:  # noqa: BLE001 -- whatever a parser of strange bytes raises
        raise ValueError(f"its key cannot be read: {error}") from None


READERS: dict[tuple[str, str], Callable[[Any], Recorded]] = {
    ("dsse", "0.0.1"): _dsse_1,
    ("dsse", "0.0.2"): _dsse_2,
    ("intoto", "0.0.2"): _intoto_2,
    ("hashedrekord", "0.0.1"): _hashed_1,
    ("hashedrekord", "0.0.2"): _hashed_2,
}
