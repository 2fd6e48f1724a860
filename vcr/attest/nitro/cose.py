"""COSE_Sign1 (RFC 9052, 4.2) with ES384, the one form in which Nitro signs.

See vcr/attest/nitro/cbor.py for how its CBOR is read.
"""

from dataclasses import dataclass

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from vcr.attest.checks.rejected import Joint, RejectedError, demand
from vcr.attest.nitro.cbor import read_cbor

TAG = b"\xd2"  # RFC 9052, 4.2: tag 18, in CBOR
ES384 = {1: -35}  # https://www.iana.org/assignments/cose: header 1 is alg, -35 is ES384
SIGNATURE_BYTES = 96  # r and s, 48 bytes each
MAX_BYTES = 32768
MAX_PAYLOAD = 16384


@dataclass(frozen=True)
class Sign1:
    """A signed message, its signature not yet verified."""

    protected: bytes
    payload: bytes
    signature: bytes


def read_sign1(data: bytes) -> Sign1:
    """Read DATA, tagged or not; raises RejectedError."""
    demand(len(data) <= MAX_BYTES, Joint.DOCUMENT, f"it has more than {MAX_BYTES} bytes")
    message = read_cbor(data.removeprefix(TAG))
    demand(
        isinstance(message, list) and len(message) == 4,
        Joint.DOCUMENT,
        "it is not a COSE_Sign1 of four fields",
    )
    protected, unprotected, payload, signature = message
    demand(
        all(isinstance(field, bytes) for field in (protected, payload, signature)),
        Joint.DOCUMENT,
        "a COSE field that must be bytes is not",
    )
    demand(
        isinstance(unprotected, dict) and not unprotected,
        Joint.DOCUMENT,
        "the unprotected header is not empty",
    )
    demand(read_cbor(protected) == ES384, Joint.DOCUMENT, "the algorithm is not ES384")
    demand(0 < len(payload) <= MAX_PAYLOAD, Joint.DOCUMENT, "the payload has a wrong size")
    demand(
        len(signature) == SIGNATURE_BYTES,
        Joint.SIGNATURE,
        f"an ES384 signature has {SIGNATURE_BYTES} bytes",
    )
    return Sign1(protected, payload, signature)


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Return the Sig_structure that a signature covers (RFC 9052, 4.4)."""
    return cbor2.dumps(["Signature1", protected, b"", payload])


def check_signature(message: Sign1, key: ec.EllipticCurvePublicKey) -> None:
    """Raise RejectedError unless KEY signed MESSAGE."""
    half = SIGNATURE_BYTES // 2
    r, s = (
        int.from_bytes(part, "big") for part in (message.signature[:half], message.signature[half:])
    )
    try:
        key.verify(
            encode_dss_signature(r, s),
            to_be_signed(message.protected, message.payload),
            ec.ECDSA(SHA384()),
        )
    except InvalidSignature:
        raise RejectedError(
            Joint.SIGNATURE, "the key of the document's certificate did not sign it"
        ) from None
