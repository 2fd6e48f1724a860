"""A software Nitro Security Module, for enclaves that are emulated. NOT AWS, NOT SECURE.

It speaks as the device does (https://github.com/aws/aws-nitro-enclaves-nsm-api) and signs
attestation documents in the form of
https://github.com/aws/aws-nitro-enclaves-nsm-api/blob/main/docs/attestation_process.md, but
with keys that are made for one run and whose certificates say so. Who verifies must be
given `root`, the certificate of that run, in place of AWS's.
"""

import datetime as dt
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vcr.errors import HostError
from vcr.formats.pcrs import SIZE, ZERO, extend
from vcr.model import cbor

try:
    import cbor2
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID
except ImportError as error:
    raise HostError(
        "an emulated enclave needs the Python packages cbor2 and cryptography",
        why=str(error),
        fix="use vcr from its own toolchain (bin/vcr), or install them",
    ) from None

LABEL = "vcr emulation - NOT AWS"
REGISTERS = 32
LOCKED_AT_START = 16  # PCR0 to PCR15 are the hypervisor's
ES384 = {1: -35}  # https://www.rfc-editor.org/rfc/rfc9053#section-2.1
MAX_RANDOM = 256  # bytes
MAX_REQUEST = 0x1000  # bytes: NSM_REQUEST_MAX_SIZE of Linux, drivers/misc/nsm.c
# Of a request's fields: nsm-api, src/api/mod.rs.
MAX_USER_DATA, MAX_NONCE, MAX_PUBLIC_KEY = 512, 512, 1024
# How long each certificate holds, in days, as they do on Nitro: root, region, zone, instance.
LIFETIMES = (10958.0, 20.0, 1.0, 0.125)


class SoftwareNsm:
    """One module, with keys of its own."""

    def __init__(self, pcrs: Mapping[int, bytes], now: float | None = None) -> None:
        """PCRS are what the emulated hypervisor has measured; NOW, seconds since 1970, is fixed."""
        self._now = now
        self._pcrs = {index: pcrs.get(index, ZERO) for index in range(REGISTERS)}
        self._locked = set(range(LOCKED_AT_START))
        begin = dt.datetime.fromtimestamp(self._time(), dt.UTC)
        self._key, self._chain = _make_chain(begin)
        self.module_id = f"i-{secrets.token_hex(8)}-enc{secrets.token_hex(8)}"

    @property
    def root(self) -> bytes:
        """Return the root certificate of this run, DER."""
        return self._chain[0]

    def handle(self, request: bytes) -> bytes:
        """Answer one request of the device, both CBOR; what is wrong is an answer, too."""
        try:
            asked = cbor.decode(request) if len(request) <= MAX_REQUEST else {}
            ((name, fields),) = ((asked, {}),) if isinstance(asked, str) else asked.items()
            answer = self._answer(name, fields)
        except (ValueError, AttributeError, TypeError, KeyError):
            answer = {"Error": "InvalidOperation"}
        return bytes(cbor2.dumps(answer))

    def _answer(self, name: str, fields: Mapping[str, Any]) -> Any:
        answers: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "DescribeNSM": lambda _: {name: self._description()},
            "GetRandom": lambda _: {name: {"random": secrets.token_bytes(MAX_RANDOM)}},
            "DescribePCR": self._describe,
            "Attestation": self._attest,
            **dict.fromkeys(("ExtendPCR", "LockPCR", "LockPCRs"), partial(self._change, name)),
        }
        answer = answers.get(name)
        return answer(fields) if answer else {"Error": "InvalidOperation"}

    def _describe(self, fields: Mapping[str, Any]) -> Any:
        index = self._index(fields)
        if index is None:
            return {"Error": "InvalidIndex"}
        return {"DescribePCR": {"lock": index in self._locked, "data": self._pcrs[index]}}

    def _description(self) -> dict[str, Any]:
        return {
            "version_major": 1,
            "version_minor": 0,
            "version_patch": 0,
            "module_id": self.module_id,
            "max_pcrs": REGISTERS,
            "locked_pcrs": sorted(self._locked),
            "digest": "SHA384",
        }

    def _change(self, name: str, fields: Mapping[str, Any]) -> Any:
        if name == "LockPCRs":
            self._locked |= set(range(min(_typed(fields["range"], int), REGISTERS)))
            return name
        index = self._index(fields)
        if index is None:
            return {"Error": "InvalidIndex"}
        if index in self._locked:
            return {"Error": "ReadOnlyIndex"}
        if name == "LockPCR":
            self._locked.add(index)
            return name
        self._pcrs[index] = extend(self._pcrs[index], _typed(fields["data"], bytes))
        return {name: {"data": self._pcrs[index]}}

    def _attest(self, fields: Mapping[str, Any]) -> Any:
        limits = {"public_key": MAX_PUBLIC_KEY, "user_data": MAX_USER_DATA, "nonce": MAX_NONCE}
        given = {key: fields.get(key) for key in limits}
        if any(
            value is not None and len(_typed(value, bytes)) > limits[key]
            for key, value in given.items()
        ):
            return {"Error": "InputTooLarge"}
        payload = cbor2.dumps(
            {
                "module_id": self.module_id,
                "digest": "SHA384",
                "timestamp": int(self._time() * 1000),
                "pcrs": {index: self._pcrs[index] for index in sorted(self._locked)},
                "certificate": self._chain[-1],
                "cabundle": self._chain[:-1],
                **given,
            }
        )
        return {"Attestation": {"document": self._sign(payload)}}

    def _sign(self, payload: bytes) -> bytes:
        """Return COSE_Sign1 (RFC 9052, section 4.2), without its tag, as Nitro does."""
        protected = cbor2.dumps(ES384)
        signed = cbor2.dumps(["Signature1", protected, b"", payload])
        r, s = decode_dss_signature(self._key.sign(signed, ec.ECDSA(hashes.SHA384())))
        signature = r.to_bytes(SIZE, "big") + s.to_bytes(SIZE, "big")
        return bytes(cbor2.dumps([protected, {}, payload, signature]))

    def _time(self) -> float:
        return time.time() if self._now is None else self._now

    def _index(self, fields: Mapping[str, Any]) -> int | None:
        index = _typed(fields["index"], int)
        return index if 0 <= index < REGISTERS else None


def _typed[T](value: object, kind: type[T]) -> T:
    """Return VALUE; raises TypeError unless it is of KIND. `bytes(2 ** 31)` would be 2 GiB."""
    if type(value) is not kind:
        raise TypeError(f"a field is not {kind.__name__}")
    return value


def _make_chain(begin: dt.datetime) -> tuple[ec.EllipticCurvePrivateKey, list[bytes]]:
    """Return the last key, and the certificates from the root to it, DER."""
    names = [_name(part) for part in ("root", "region", "zone", "instance")]
    keys = [ec.generate_private_key(ec.SECP384R1()) for _ in names]
    chain = []
    for level, (name, key) in enumerate(zip(names, keys, strict=True)):
        above = max(level - 1, 0)
        is_last = level == len(names) - 1
        length = None if level == 0 or is_last else len(names) - 2 - level
        built = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[above])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - dt.timedelta(minutes=1))
            .not_valid_after(begin + dt.timedelta(days=LIFETIMES[level]))
            .add_extension(x509.BasicConstraints(ca=not is_last, path_length=length), critical=True)
            .add_extension(_usage(is_authority=not is_last), critical=True)
        )
        made = built.sign(keys[above], hashes.SHA384())
        chain.append(made.public_bytes(Encoding.DER))
    return keys[-1], chain


def _name(part: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, LABEL),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{part}.vcr-emulation.invalid"),
        ]
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
