"""Opens attestation documents by the standards (COSE, X.509), sharing nothing with vcr."""

import itertools
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature


def read_document(document: bytes) -> dict[str, Any]:
    """Return the payload of DOCUMENT; raises unless its signature and its chain hold."""
    protected, unprotected, payload, signature = cbor2.loads(document)
    assert cbor2.loads(protected) == {1: -35}
    assert unprotected == {}
    found = cbor2.loads(payload)
    chain = [*found["cabundle"], found["certificate"]]
    certificates = [x509.load_der_x509_certificate(part) for part in chain]
    for above, below in itertools.pairwise(certificates):
        below.verify_directly_issued_by(above)
    key = certificates[-1].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    numbers = [int.from_bytes(signature[at : at + 48], "big") for at in (0, 48)]
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    key.verify(encode_dss_signature(*numbers), signed, ec.ECDSA(hashes.SHA384()))
    return dict(found)
