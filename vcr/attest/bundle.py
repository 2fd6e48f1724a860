"""Sigstore bundles: how cosign and registries carry a signed statement.

https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_bundle.proto, as JSON of
protobuf. Of a bundle only its envelope is believed, by keys that the reader trusts; certificates
that others put beside it are not looked at. Entries of a transparency log are given as they are:
`vcr.attest.log` reads them.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vcr.attest import strict_json
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.dsse import Envelope, envelope_of_json, read_envelope

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
# What older programs write: the version as a parameter.
_OLDER = "application/vnd.dev.sigstore.bundle+json;version="
_ENVELOPE = "dsseEnvelope"


@dataclass(frozen=True)
class Bundle:
    """An envelope, and what stands beside it: entries of transparency logs, as JSON."""

    envelope: Envelope
    entries: tuple[Any, ...] = ()


def to_bundle(envelope: Envelope, entries: Sequence[Any] = ()) -> bytes:
    """Return ENVELOPE, of one signature, as a bundle: canonical JSON and a newline.

    ENTRIES of transparency logs, as they stand in another bundle, stay with it.

    The id of its key is left out, since cosign takes it for the name of a file's key. Raises
    ValueError for more signatures than the one that the format allows.
    """
    if len(envelope.signatures) != 1:
        raise ValueError("a bundle holds exactly one signature")
    told = strict_json.load(envelope.to_bytes())
    (signature,) = told["signatures"]
    # As cosign names a key: the digest of its SubjectPublicKeyInfo.
    hint = base64.b64encode(bytes.fromhex(signature["keyid"])).decode()
    logged = {"tlogEntries": list(entries)} if entries else {}
    content = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}, **logged},
        _ENVELOPE: {**told, "signatures": [{"sig": signature["sig"]}]},
    }
    return strict_json.dump(content) + b"\n"


def read_bundle(data: bytes) -> Bundle:
    """Return what is in DATA, a bundle or an envelope itself; raises RejectedError."""
    try:
        content = strict_json.load(data)
    except ValueError:
        return Bundle(read_envelope(data))  # says what is wrong with it
    if not isinstance(content, dict) or not _is_type(content.get("mediaType")):
        return Bundle(envelope_of_json(content))
    if _ENVELOPE not in content:
        raise RejectedError(Joint.ENVELOPE, "the bundle has a signature of a file, not a statement")
    return Bundle(envelope_of_json(content[_ENVELOPE]), _entries(content))


def envelope_of(data: bytes) -> Envelope:
    """Return the envelope in DATA, a bundle or an envelope itself; raises RejectedError."""
    return read_bundle(data).envelope


def _entries(content: Any) -> tuple[Any, ...]:
    material = content.get("verificationMaterial")
    rows = material.get("tlogEntries") if isinstance(material, dict) else None
    return tuple(rows) if isinstance(rows, list) else () if rows is None else (rows,)


def _is_type(text: object) -> bool:
    return isinstance(text, str) and (text == MEDIA_TYPE or text.startswith(_OLDER))
