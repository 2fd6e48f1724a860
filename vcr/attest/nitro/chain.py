"""The certificates of a Nitro document: from the pinned root down to the one that signed.

Rules of AWS, "Semantical validation":
https://github.com/aws/aws-nitro-enclaves-nsm-api/blob/main/docs/attestation_process.md
"""

import datetime as dt
import hashlib
import warnings
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384

from vcr.attest.checks.rejected import Joint, RejectedError, demand

# SHA-256 of the DER certificate aws.nitro-enclaves, root G1, valid until 2049. (The digest
# in AWS's text is that of the archive in which it is published.)
AWS_ROOT = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
MAX_CERTIFICATES = 8


def check_chain(
    bundle: Sequence[bytes], leaf: bytes, root: str, at: dt.datetime
) -> x509.Certificate:
    """Return the certificate LEAF, reached from ROOT through BUNDLE and valid AT that time.

    BUNDLE is in AWS's order, root first; ROOT is a SHA-256 in hex. Raises RejectedError.
    """
    demand(len(bundle) < MAX_CERTIFICATES, Joint.CHAIN, "it has too many certificates")
    demand(len({*bundle, leaf}) == len(bundle) + 1, Joint.CHAIN, "it has a certificate twice")
    found = hashlib.sha256(bundle[0]).hexdigest()
    if found != root:
        raise RejectedError(
            Joint.CHAIN, "cabundle does not begin with the trusted root", expected=root, got=found
        )
    certificates = [_read(number, der) for number, der in enumerate([*bundle, leaf])]
    last = len(certificates) - 1
    for number, certificate in enumerate(certificates):
        _check_key(number, certificate)
        _check_issuer(number, certificate, certificates[max(number - 1, 0)])
        _check_constraints(number, certificate, below=last - number)
    for number, certificate in enumerate(certificates):
        _check_time(number, certificate, at)
    return certificates[-1]


def public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """Return the key of CERTIFICATE, which must be of P-384."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise RejectedError(Joint.CHAIN, "the key of a certificate is not of P-384")
    return key


def _read(number: int, der: bytes) -> x509.Certificate:
    try:
        with warnings.catch_warnings(action="error"):  # what is only deprecated is refused, too
            certificate = x509.load_der_x509_certificate(der)
            # Read all that is used of it now: it is parsed when it is asked for, and raises.
            _ = (certificate.public_key(), certificate.signature_hash_algorithm)
            _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
            _ = (_name(certificate), list(certificate.extensions))
    except Exception as error:  # noqa: BLE001 -- whatever a parser raises is a rejection
        raise RejectedError(Joint.CHAIN, f"certificate {number} cannot be read: {error}") from None
    return certificate


def _check_key(number: int, certificate: x509.Certificate) -> None:
    public_key(certificate)
    demand(
        isinstance(certificate.signature_hash_algorithm, SHA384),
        Joint.CHAIN,
        f"certificate {number} is not signed with SHA-384",
    )


def _check_issuer(number: int, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        raise RejectedError(
            Joint.CHAIN,
            f"certificate {number} was not issued by the one before it: {_name(certificate)}",
        ) from None


def _check_constraints(number: int, certificate: x509.Certificate, below: int) -> None:
    """Check what CERTIFICATE may do; BELOW is how many certificates follow it."""
    for extension in certificate.extensions:
        known = isinstance(extension.value, x509.BasicConstraints | x509.KeyUsage)
        demand(
            known or not extension.critical,
            Joint.CHAIN,
            f"certificate {number} has an unknown critical extension",
        )
    basic = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    if not below:
        demand(
            usage is not None and usage.digital_signature,
            Joint.CHAIN,
            "the document's certificate may not sign",
        )
        demand(
            basic is None or not basic.ca, Joint.CHAIN, "the document's certificate is an authority"
        )
        return
    demand(
        basic is not None and basic.ca and usage is not None and usage.key_cert_sign,
        Joint.CHAIN,
        f"certificate {number} is not an authority",
    )
    assert basic is not None  # noqa: S101 -- for mypy
    demand(
        basic.path_length is None or basic.path_length >= below - 1,
        Joint.CHAIN,
        f"certificate {number} allows no chain of this length",
    )


def _check_time(number: int, certificate: x509.Certificate, at: dt.datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= at <= end:
        raise RejectedError(
            Joint.VALIDITY,
            f"certificate {number} is not valid at {at:%Y-%m-%dT%H:%M:%SZ}: {_name(certificate)}",
            expected=f"{begin:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}",
            fix="a document is checked while it is new; --at gives another time",
        )


def _extension[T: x509.ExtensionType](certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()[:80]
