"""DSSE envelopes: bytes with signatures over them and their type.

https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md and envelope.md. We
write one form and read hardly any other: three names, standard base64 without slack bits; a
signature may do without its key's id, as in a bundle of Sigstore's. A key id is only a hint
and every trusted key is tried, but one that names another key than the signature is of is
refused; so no bit of an envelope can change unnoticed.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vcr.attest import strict_json
from vcr.attest.checks.rejected import Joint, RejectedError, demand
from vcr.attest.keys import PublicKey, key_id, verifies

STATEMENT_TYPE = "application/vnd.in-toto+json"
MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"
MAX_SIGNATURES = 64
_NONE = "it is not a DSSE envelope"

type Trusted = Mapping[str, PublicKey]  # by key id


@dataclass(frozen=True)
class Signature:
    """A signature and the id of the key that made it, "" when it does not say."""

    keyid: str
    sig: bytes


@dataclass(frozen=True)
class Envelope:
    """A payload, its type, and signatures over both."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """Return the envelope as a file: canonical JSON and a newline."""
        signatures = [{"keyid": s.keyid, "sig": _encode(s.sig)} for s in self.signatures]
        content = {
            "payload": _encode(self.payload),
            "payloadType": self.payload_type,
            "signatures": signatures,
        }
        return strict_json.dump(content) + b"\n"


def sign(
    payload: bytes, keys: Sequence[Ed25519PrivateKey], payload_type: str = STATEMENT_TYPE
) -> Envelope:
    """Return PAYLOAD signed with each of KEYS; Ed25519 gives the same bytes every time."""
    message = pae(payload_type, payload)
    made = tuple(Signature(key_id(key.public_key()), key.sign(message)) for key in keys)
    return Envelope(payload, payload_type, made)


def read_envelope(data: bytes) -> Envelope:
    """Read the envelope in DATA; raises RejectedError when it is none."""
    try:
        return envelope_of_json(strict_json.load(data))
    except ValueError as error:
        raise RejectedError(Joint.ENVELOPE, f"{_NONE}: {error}") from None


def envelope_of_json(content: Any) -> Envelope:
    """Read the envelope in CONTENT, of JSON; raises RejectedError when it is none."""
    try:
        content = _only(content, {"payload", "payloadType", "signatures"})
        signatures = tuple(_signature(row) for row in content["signatures"])
        payload, kind = strict_json.read_base64(content["payload"]), content["payloadType"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RejectedError(Joint.ENVELOPE, f"{_NONE}: {error}") from None
    demand(isinstance(kind, str), Joint.ENVELOPE, "payloadType is not text")
    demand(
        0 < len(signatures) <= MAX_SIGNATURES,
        Joint.SIGNATURE,
        f"an envelope has 1 to {MAX_SIGNATURES} signatures",
    )
    return Envelope(payload, kind, signatures)


def signers(envelope: Envelope, trusted: Trusted) -> frozenset[str]:
    """Return the ids of the TRUSTED keys that signed ENVELOPE, each once.

    Raises RejectedError when none did, or a signature has the id of another key.
    """
    message = pae(envelope.payload_type, envelope.payload)
    found = set()
    for signature in envelope.signatures:
        signer = next((i for i, k in trusted.items() if verifies(k, signature.sig, message)), None)
        if signer is None:
            continue
        demand(
            signature.keyid in {"", signer},
            Joint.SIGNATURE,
            f"a signature of the key {signer[:12]} has the id {signature.keyid[:12]!r}",
        )
        found.add(signer)
    demand(found, Joint.SIGNATURE, "no trusted key made any of its signatures over these bytes")
    return frozenset(found)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _signature(row: dict[str, Any]) -> Signature:
    content = _only({"keyid": "", **row}, {"keyid", "sig"})
    if not isinstance(content["keyid"], str):
        raise TypeError("keyid is not text")
    return Signature(content["keyid"], strict_json.read_base64(content["sig"]))


def _only(content: dict[str, Any], names: set[str]) -> dict[str, Any]:
    if set(content) != names:
        raise ValueError(f"it must have {', '.join(sorted(names))}, and nothing else")
    return content


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
