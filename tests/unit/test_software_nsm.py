"""The software NSM answers as the device does, and signs what verifies by the standards."""

import datetime as dt
import tracemalloc
from typing import Any

import pytest

cbor2 = pytest.importorskip("cbor2", reason="needs cbor2")
pytest.importorskip("cryptography", reason="needs cryptography")

from cryptography import x509  # noqa: E402
from cryptography.exceptions import InvalidSignature  # noqa: E402
from nitro_document import read_document  # noqa: E402

from vcr.engines.enclave.nsm import LABEL, SoftwareNsm  # noqa: E402
from vcr.formats.pcrs import of_root  # noqa: E402

PCRS = {0: b"\x01" * 48, 1: b"\x02" * 48, 2: b"\x03" * 48}
NOW = 1_790_000_000.0


def ask(nsm: SoftwareNsm, request: object) -> Any:
    return cbor2.loads(nsm.handle(cbor2.dumps(request)))


@pytest.fixture
def nsm() -> SoftwareNsm:
    return SoftwareNsm(PCRS, NOW)


def attest(nsm: SoftwareNsm, **fields: bytes | None) -> bytes:
    given = {"user_data": None, "nonce": None, "public_key": None, **fields}
    return bytes(ask(nsm, {"Attestation": given})["Attestation"]["document"])


def test_a_document_says_what_was_measured_and_asked(nsm: SoftwareNsm) -> None:
    found = read_document(attest(nsm, user_data=b"data", nonce=b"nonce"))
    assert (found["user_data"], found["nonce"], found["public_key"]) == (b"data", b"nonce", None)
    assert {index: found["pcrs"][index] for index in PCRS} == PCRS
    assert sorted(found["pcrs"]) == list(range(16))
    assert (found["digest"], found["timestamp"]) == ("SHA384", int(NOW * 1000))
    assert found["cabundle"][0] == nsm.root


def test_a_changed_document_does_not_verify(nsm: SoftwareNsm) -> None:
    document = bytearray(attest(nsm, nonce=b"nonce"))
    document[document.index(PCRS[0])] ^= 1
    with pytest.raises(InvalidSignature):
        read_document(bytes(document))


def test_the_certificates_say_that_they_are_not_aws(nsm: SoftwareNsm) -> None:
    root = x509.load_der_x509_certificate(nsm.root)
    assert LABEL in root.subject.rfc4514_string()
    assert "NOT AWS" in LABEL
    instance = x509.load_der_x509_certificate(
        cbor2.loads(cbor2.loads(attest(nsm))[2])["certificate"]
    )
    begin = dt.datetime.fromtimestamp(NOW, dt.UTC)
    assert instance.not_valid_before_utc <= begin < instance.not_valid_after_utc


def test_runs_do_not_share_keys(nsm: SoftwareNsm) -> None:
    assert SoftwareNsm(PCRS, NOW).root != nsm.root


def test_a_register_is_extended_then_locked(nsm: SoftwareNsm) -> None:
    root = bytes.fromhex("ab" * 32)
    extended = ask(nsm, {"ExtendPCR": {"index": 16, "data": root}})
    assert extended == {"ExtendPCR": {"data": of_root(b"\xab" * 32)}}
    assert ask(nsm, {"LockPCR": {"index": 16}}) == "LockPCR"
    assert ask(nsm, {"ExtendPCR": {"index": 16, "data": b"x"}}) == {"Error": "ReadOnlyIndex"}
    assert ask(nsm, {"DescribePCR": {"index": 16}})["DescribePCR"]["lock"] is True
    assert read_document(attest(nsm))["pcrs"][16] == of_root(b"\xab" * 32)


@pytest.mark.parametrize("index", [0, 15])
def test_what_the_hypervisor_measured_cannot_be_changed(nsm: SoftwareNsm, index: int) -> None:
    answer = ask(nsm, {"ExtendPCR": {"index": index, "data": b"x"}})
    assert answer == {"Error": "ReadOnlyIndex"}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"ExtendPCR": {"index": 32, "data": b""}}, "InvalidIndex"),
        ({"DescribePCR": {"index": -1}}, "InvalidIndex"),
        ({"Attestation": {"nonce": b"x" * 513}}, "InputTooLarge"),
        ({"ExtendPCR": {}}, "InvalidOperation"),
        ("Unknown", "InvalidOperation"),
        ({}, "InvalidOperation"),
        (7, "InvalidOperation"),
        ({"ExtendPCR": {"index": 17, "data": 1 << 31}}, "InvalidOperation"),
        ({"ExtendPCR": {"index": "17", "data": b""}}, "InvalidOperation"),
        ({"LockPCRs": {"range": "9"}}, "InvalidOperation"),
        ({"LockPCRs": {"range": True}}, "InvalidOperation"),
        ({"Attestation": {"nonce": "text"}}, "InvalidOperation"),
        ({"Attestation": {"nonce": b"x" * 4096}}, "InvalidOperation"),
        ({"Attestation": [1]}, "InvalidOperation"),
        ([["GetRandom"]], "InvalidOperation"),
    ],
)
def test_what_cannot_be_is_an_error(nsm: SoftwareNsm, request_: object, error: str) -> None:
    assert ask(nsm, request_) == {"Error": error}


def test_a_request_of_29_bytes_does_not_take_2_gib(nsm: SoftwareNsm) -> None:
    request_ = cbor2.dumps({"ExtendPCR": {"index": 17, "data": 1 << 31}})
    assert len(request_) == 29
    tracemalloc.start()
    nsm.handle(request_)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"\xa1", b"\x5b" + b"\xff" * 8])
def test_garbage_is_an_error(nsm: SoftwareNsm, garbage: bytes) -> None:
    assert cbor2.loads(nsm.handle(garbage)) == {"Error": "InvalidOperation"}


def test_randomness_and_description(nsm: SoftwareNsm) -> None:
    first, second = (ask(nsm, "GetRandom")["GetRandom"]["random"] for _ in range(2))
    assert len(first) == 256
    assert first != second
    described = ask(nsm, "DescribeNSM")["DescribeNSM"]
    assert (described["max_pcrs"], described["locked_pcrs"]) == (32, list(range(16)))
    assert ask(nsm, {"LockPCRs": {"range": 20}}) == "LockPCRs"
    assert ask(nsm, "DescribeNSM")["DescribeNSM"]["locked_pcrs"] == list(range(20))
