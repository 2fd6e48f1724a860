"""A certificate authority and a security module for tests, in the bytes that Nitro writes.

It is not AWS: its root is its own and says so, and a verifier must be told to accept it.
"""

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from vcr.attest.nitro.cose import ES384, to_be_signed
from vcr.formats import pcrs

NOW = dt.datetime(2026, 11, 26, 12, 0, tzinfo=dt.UTC)
NAMES = ("NOT AWS test root", "NOT AWS test region", "NOT AWS test host", "NOT AWS test enclave")
LIFETIMES = (dt.timedelta(3650), dt.timedelta(20), dt.timedelta(1), dt.timedelta(hours=3))
PATH_LENGTHS = (None, 1, 0, None)

type Change = Callable[[dict[str, Any]], object]


def certificate(
    number: int,
    keys: list[ec.EllipticCurvePrivateKey],
    *,
    begin: dt.datetime = NOW - dt.timedelta(minutes=1),
    ca: bool | None = None,
    digest: Any = None,
    extra: x509.ExtensionType | None = None,
    length: int | None = None,
) -> x509.Certificate:
    """Return the certificate NUMBER of the chain: 0 is the root, 3 the enclave's."""

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    is_ca = number < 3 if ca is None else ca
    above = max(number - 1, 0)
    usage = x509.KeyUsage(
        digital_signature=not is_ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=is_ca, crl_sign=is_ca,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    limit = (PATH_LENGTHS[number] if length is None else length) if is_ca else None
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(NAMES[number]))
        .issuer_name(name(NAMES[above]))
        .public_key(keys[number].public_key())
        .serial_number(1000 + number)
        .not_valid_before(begin)
        .not_valid_after(begin + LIFETIMES[number])
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=limit), critical=True)
        .add_extension(usage, critical=True)
    )
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    return builder.sign(keys[above], digest or SHA384())


@dataclass
class TestModule:
    """A security module with a chain of its own."""

    __test__ = False

    keys: list[ec.EllipticCurvePrivateKey] = field(
        default_factory=lambda: [ec.generate_private_key(ec.SECP384R1()) for _ in NAMES]
    )
    now: dt.datetime = NOW
    pcrs: dict[int, bytes] = field(
        default_factory=lambda: (
            {n: bytes(48) for n in range(16)}
            | {n: hashlib.sha384(b"PCR%d" % n).digest() for n in range(3)}
        )
    )
    certificates: list[x509.Certificate] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.certificates:
            self.certificates = [certificate(number, self.keys) for number in range(len(NAMES))]

    @property
    def root(self) -> str:
        """The digest by which a verifier is told to accept this authority."""
        return hashlib.sha256(self.der(0)).hexdigest()

    @property
    def root_pem(self) -> bytes:
        return self.certificates[0].public_bytes(Encoding.PEM)

    def der(self, number: int) -> bytes:
        return self.certificates[number].public_bytes(Encoding.DER)

    def extend(self, index: int, data: bytes) -> None:
        self.pcrs[index] = pcrs.extend(self.pcrs.get(index, pcrs.ZERO), data)

    def payload(self, **fields: Any) -> dict[str, Any]:
        return {
            "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
            "digest": "SHA384",
            "timestamp": int(self.now.timestamp() * 1000),
            "pcrs": dict(sorted(self.pcrs.items())),
            "certificate": self.der(3),
            "cabundle": [self.der(number) for number in range(3)],
            "public_key": None,
            "user_data": None,
            "nonce": None,
            **fields,
        }

    def document(self, change: Change | None = None, **fields: Any) -> bytes:
        """A signed document; CHANGE edits its content before it is signed."""
        content = self.payload(**fields)
        if change is not None:
            change(content)
        return self.sign(cbor2.dumps(content))

    def sign(self, payload: bytes, protected: bytes | None = None) -> bytes:
        header = cbor2.dumps(ES384) if protected is None else protected
        der = self.keys[3].sign(to_be_signed(header, payload), ec.ECDSA(SHA384()))
        r, s = decode_dss_signature(der)
        return cbor2.dumps([header, {}, payload, r.to_bytes(48, "big") + s.to_bytes(48, "big")])


__all__ = ["NOW", "SHA256", "TestModule", "certificate"]
