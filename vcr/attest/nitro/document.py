"""AWS Nitro attestation documents, verified offline.

Format and rules of AWS's `docs/attestation_process.md` in aws-nitro-enclaves-nsm-api
(https://github.com/aws/aws-nitro-enclaves-nsm-api). In this order: syntax, chain to the
pinned root, signature, what is demanded. Nothing a document says is believed, or
reported, before its signature holds.
"""

import base64
import binascii
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vcr.attest.checks.age import check_age
from vcr.attest.checks.rejected import Joint, RejectedError, demand
from vcr.attest.nitro import pcr
from vcr.attest.nitro.cbor import read_cbor
from vcr.attest.nitro.chain import AWS_ROOT, check_chain, public_key
from vcr.attest.nitro.cose import check_signature, read_sign1
from vcr.formats.pcrs import SIZE

EVIDENCE_TYPE = "aws-nitro-v1"
MAX_CERTIFICATE = 1024  # bytes of DER
MAX_KEY, MAX_DATA = 1024, 512  # bytes of public_key; of user_data and nonce
MANDATORY = frozenset({"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"})
OPTIONAL = {"public_key": MAX_KEY, "user_data": MAX_DATA, "nonce": MAX_DATA}


@dataclass(frozen=True)
class Document:
    """What a document says."""

    module_id: str
    time: dt.datetime
    pcrs: Mapping[int, bytes]
    certificate: bytes
    cabundle: tuple[bytes, ...]
    public_key: bytes = b""
    user_data: bytes = b""
    nonce: bytes = b""

    @property
    def is_debug(self) -> bool:
        """Return whether the enclave ran in debug mode: then its first registers are zero."""
        return not any(self.pcrs.get(0, b""))


@dataclass(frozen=True)
class Expected:
    """What is demanded of a document; None and empty demand nothing."""

    pcrs: Mapping[int, bytes] = field(default_factory=dict)
    nonce: bytes | None = None
    user_data: bytes | None = None
    module_id: str | None = None
    max_age: float | None = None  # seconds
    allow_debug: bool = False
    root: str = AWS_ROOT  # SHA-256 of the root's certificate, in hex


def verify_document(data: bytes, expected: Expected, at: dt.datetime) -> Document:
    """Return what the document in DATA says if it holds AT that time; raises RejectedError."""
    message = read_sign1(data)
    document = _read(message.payload)
    leaf = check_chain(document.cabundle, document.certificate, expected.root, at)
    check_signature(message, public_key(leaf))
    demand(
        leaf.not_valid_before_utc <= document.time <= leaf.not_valid_after_utc,
        Joint.VALIDITY,
        "the document's time is outside its certificate's",
    )
    _check_expected(document, expected, at)
    return document


def document_bytes(data: bytes) -> bytes:
    """Return a document that is as it is, in hex or in base64; raises RejectedError."""
    if data[:1] in {b"\x84", b"\xd2"}:  # an array of four, or tag 18
        return data
    try:
        text = "".join(data.decode("ascii").split())
        return bytes.fromhex(text) if text[:2] in {"84", "d2"} else _base64(text)
    except (ValueError, binascii.Error):
        raise RejectedError(
            Joint.DOCUMENT, "it is neither an envelope nor a Nitro document"
        ) from None


def _base64(text: str) -> bytes:
    found = base64.b64decode(text, validate=True)
    if base64.b64encode(found).decode() != text:
        raise ValueError("slack bits")
    return found


def _check_expected(document: Document, expected: Expected, at: dt.datetime) -> None:
    demand(
        expected.allow_debug or not document.is_debug,
        Joint.DEBUG,
        "PCR0 is zero: the enclave ran in debug mode, which proves nothing",
    )
    for index, value in sorted(expected.pcrs.items()):
        got = document.pcrs.get(index, b"")
        if got != value:
            raise RejectedError(
                Joint.PCR,
                f"PCR{index} is not the expected one",
                expected=value.hex(),
                got=got.hex() or "no such register",
            )
    _check_equal(Joint.NONCE, expected.nonce, document.nonce, "it answers another challenge")
    _check_equal(
        Joint.USER_DATA, expected.user_data, document.user_data, "it is bound to other data"
    )
    if expected.module_id is not None:
        wanted, got = expected.module_id.encode(), document.module_id.encode()
        _check_equal(Joint.MODULE, wanted, got, "another enclave made it")
    check_age(document.time, expected.max_age, at)


def _check_equal(joint: Joint, wanted: bytes | None, got: bytes, reason: str) -> None:
    if wanted is not None and wanted != got:
        raise RejectedError(joint, reason, expected=wanted.hex(), got=got.hex() or "none")


def _read(payload: bytes) -> Document:
    content = read_cbor(payload)
    demand(isinstance(content, dict), Joint.DOCUMENT, "its payload is not a map")
    names = set(content)
    demand(names >= MANDATORY, Joint.DOCUMENT, "a mandatory field is missing")
    demand(names <= MANDATORY | OPTIONAL.keys(), Joint.DOCUMENT, "it has an unknown field")
    module, milliseconds = content["module_id"], content["timestamp"]
    demand(isinstance(module, str) and module, Joint.DOCUMENT, "module_id is not a name")
    demand(content["digest"] == "SHA384", Joint.DOCUMENT, "digest is not SHA384")
    demand(
        type(milliseconds) is int and 0 < milliseconds < 1 << 45,
        Joint.DOCUMENT,
        "timestamp is not a time",
    )
    bundle = content["cabundle"]
    demand(isinstance(bundle, list) and bundle, Joint.DOCUMENT, "cabundle is empty")
    for der in (content["certificate"], *bundle):
        _demand_bytes(der, 1, MAX_CERTIFICATE, "a certificate")
    for name, limit in OPTIONAL.items():
        # AWS's text forbids null, but its hypervisor writes it for what was not given.
        if content.get(name) is not None:
            _demand_bytes(content[name], 0, limit, name)
    return Document(
        module,
        dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC),
        _registers(content["pcrs"]),
        content["certificate"],
        tuple(bundle),
        **{name: content.get(name) or b"" for name in OPTIONAL},
    )


def _registers(pcrs: Any) -> Mapping[int, bytes]:
    demand(
        isinstance(pcrs, dict) and 1 <= len(pcrs) <= pcr.COUNT,
        Joint.DOCUMENT,
        f"pcrs has not 1 to {pcr.COUNT} registers",
    )
    for index, value in pcrs.items():
        demand(
            type(index) is int and 0 <= index < pcr.COUNT,
            Joint.DOCUMENT,
            "a register has a wrong index",
        )
        _demand_bytes(value, SIZE, SIZE, "a register")
    return dict(pcrs)


def _demand_bytes(value: Any, least: int, most: int, name: str) -> None:
    demand(
        isinstance(value, bytes) and least <= len(value) <= most,
        Joint.DOCUMENT,
        f"{name} is not {least} to {most} bytes",
    )
