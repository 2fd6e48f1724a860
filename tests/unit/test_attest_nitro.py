"""Nitro documents: one that AWS signed, ones that a test authority signs, and all that is wrong.

golden/nitro/document.cbor is a real one, of a debug-mode enclave on 2023-09-18; it is test
data of github.com/evervault/attestation-doc-validation (Apache-2.0).
"""

import base64
import datetime as dt
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st
from nitro_pki import NOW, TestModule, certificate

from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.nitro.chain import AWS_ROOT
from vcr.attest.nitro.document import Expected, document_bytes, verify_document

MODULE = TestModule()
EXPECTED = Expected(root=MODULE.root, nonce=b"n" * 16, user_data=b"u" * 32)
DOCUMENT = MODULE.document(nonce=b"n" * 16, user_data=b"u" * 32)
THEN = dt.datetime(2023, 9, 18, 15, 5, tzinfo=dt.UTC)
FLIPS = 600


def recorded(repo: Path) -> bytes:
    return (repo / "tests/golden/nitro/document.cbor").read_bytes()


def joint_of(data: bytes, expected: Expected = EXPECTED, at: dt.datetime = NOW) -> Joint:
    with pytest.raises(RejectedError) as caught:
        verify_document(data, expected, at)
    assert caught.value.code == 3
    return caught.value.joint


def test_a_document_that_aws_signed_holds_at_its_time(repo: Path) -> None:
    document = verify_document(recorded(repo), Expected(allow_debug=True), THEN)
    assert document.module_id == "i-0918f6c55e3b61d89-enc018aa8b8e2285d13"
    assert document.time == dt.datetime(2023, 9, 18, 15, 3, 30, 860000, tzinfo=dt.UTC)
    assert sorted(document.pcrs) == list(range(16))
    assert document.is_debug


def test_the_recorded_document_proves_nothing_in_debug_mode(repo: Path) -> None:
    assert joint_of(recorded(repo), Expected(), THEN) is Joint.DEBUG


def test_the_recorded_document_has_expired(repo: Path) -> None:
    with pytest.raises(RejectedError, match="certificate validity") as caught:
        verify_document(recorded(repo), Expected(allow_debug=True), NOW)
    assert "not valid at 2026-11-26" in caught.value.why


def test_a_document_of_a_test_authority_holds_only_for_who_trusts_it() -> None:
    assert verify_document(DOCUMENT, EXPECTED, NOW).nonce == b"n" * 16
    assert joint_of(DOCUMENT, replace(EXPECTED, root=AWS_ROOT)) is Joint.CHAIN


def test_a_tagged_document_holds() -> None:
    tagged = cbor2.dumps(cbor2.CBORTag(18, cbor2.loads(DOCUMENT)))
    assert verify_document(tagged, EXPECTED, NOW)
    assert joint_of(cbor2.dumps(cbor2.CBORTag(17, cbor2.loads(DOCUMENT)))) is Joint.DOCUMENT


def test_a_document_is_read_as_bytes_hex_and_base64() -> None:
    forms = (DOCUMENT, DOCUMENT.hex().encode(), base64.b64encode(DOCUMENT) + b"\n")
    assert {document_bytes(form) for form in forms} == {DOCUMENT}
    for form in (b"hello", b"\xff\xfe", b"84zz", b""):
        with pytest.raises(RejectedError, match="document"):
            verify_document(document_bytes(form), EXPECTED, NOW)


@pytest.mark.parametrize(
    ("changed", "joint"),
    [
        ({"pcrs": {0: b"x" * 48}}, Joint.PCR),
        ({"pcrs": {16: b"x" * 48}}, Joint.PCR),
        ({"nonce": b"another"}, Joint.NONCE),
        ({"user_data": b"another"}, Joint.USER_DATA),
        ({"module_id": "i-another"}, Joint.MODULE),
    ],
)
def test_what_is_not_as_demanded_names_itself(changed: dict[str, Any], joint: Joint) -> None:
    assert joint_of(DOCUMENT, replace(EXPECTED, **changed)) is joint


def test_registers_that_are_as_demanded() -> None:
    wanted = {n: MODULE.pcrs[n] for n in (0, 1, 2)}
    assert verify_document(DOCUMENT, replace(EXPECTED, pcrs=wanted), NOW).pcrs[1] == wanted[1]


def test_a_stale_document_and_one_from_the_future() -> None:
    limited = replace(EXPECTED, max_age=300)
    assert verify_document(DOCUMENT, limited, NOW + dt.timedelta(seconds=299))
    assert joint_of(DOCUMENT, limited, NOW + dt.timedelta(seconds=301)) is Joint.AGE
    early = TestModule(keys=MODULE.keys, certificates=MODULE.certificates)
    early.now = NOW + dt.timedelta(seconds=120)
    data = early.document(nonce=b"n" * 16, user_data=b"u" * 32)
    assert joint_of(data, limited) is Joint.AGE


def test_a_zero_pcr0_is_debug_mode() -> None:
    module = TestModule(keys=MODULE.keys, certificates=MODULE.certificates, pcrs={0: bytes(48)})
    assert joint_of(module.document(), Expected(root=module.root)) is Joint.DEBUG
    without = TestModule(keys=MODULE.keys, certificates=MODULE.certificates, pcrs={1: b"x" * 48})
    assert joint_of(without.document(), Expected(root=module.root)) is Joint.DEBUG


def edit(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update({name: value})


@pytest.mark.parametrize(
    "change",
    [
        edit("extra", 1),
        lambda content: content.pop("module_id"),
        lambda content: content.pop("cabundle"),
        edit("module_id", ""),
        edit("module_id", 7),
        edit("digest", "SHA256"),
        edit("timestamp", 0),
        lambda content: content.update(timestamp=True),
        edit("timestamp", 1 << 60),
        edit("timestamp", "now"),
        edit("pcrs", {}),
        edit("pcrs", []),
        edit("pcrs", {32: bytes(48)}),
        edit("pcrs", {"0": bytes(48)}),
        edit("pcrs", {0: bytes(32)}),
        edit("pcrs", {0: "x" * 48}),
        edit("pcrs", {n: bytes(48) for n in range(33)}),
        edit("cabundle", []),
        edit("cabundle", [b""]),
        edit("cabundle", "x"),
        edit("certificate", b"x" * 1025),
        edit("certificate", None),
        edit("nonce", b"x" * 513),
        edit("user_data", "text"),
        edit("public_key", b"x" * 1025),
    ],
)
def test_a_field_that_is_not_as_documented(change: Callable[[dict[str, Any]], object]) -> None:
    assert joint_of(MODULE.document(change)) is Joint.DOCUMENT


def test_a_document_that_goes_on_or_ends_too_soon() -> None:
    assert joint_of(DOCUMENT + b"\0") is Joint.DOCUMENT
    assert joint_of(DOCUMENT[:-1]) is Joint.DOCUMENT


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x84",
        cbor2.dumps({}),
        cbor2.dumps([b"", {}, b""]),
        cbor2.dumps([1, {}, b"", b""]),
        cbor2.dumps([cbor2.dumps({1: -35}), {1: 2}, b"x", bytes(96)]),
        cbor2.dumps([cbor2.dumps({1: -35}), [], b"x", bytes(96)]),
        cbor2.dumps([cbor2.dumps({1: -7}), {}, b"x", bytes(96)]),
        cbor2.dumps([cbor2.dumps({1: -35, 4: b""}), {}, b"x", bytes(96)]),
        cbor2.dumps([cbor2.dumps({1: -35}), {}, b"", bytes(96)]),
        b"x" * 40000,
        b"\x81" * 4000,
        b"\x9f" * 4000,
        b"\xbb" + b"\xff" * 8,
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that contains itself
    ],
    ids=lambda message: message[:12].hex(),
)
def test_what_is_no_document(message: bytes) -> None:
    assert joint_of(message) is Joint.DOCUMENT


def test_cbor_in_another_encoding_is_refused() -> None:
    protected, _, payload, signature = cbor2.loads(DOCUMENT)
    longer = b"\x9f" + b"".join(map(cbor2.dumps, (protected, {}, payload, signature))) + b"\xff"
    assert cbor2.loads(longer) == cbor2.loads(DOCUMENT)
    assert joint_of(longer) is Joint.DOCUMENT


def test_a_signature_of_another_key_or_of_other_bytes() -> None:
    other = TestModule(certificates=MODULE.certificates)
    assert joint_of(other.document()) is Joint.SIGNATURE
    message = cbor2.loads(DOCUMENT)
    for signature in (message[3][:-1], bytes(96), b"\xff" * 96, message[3][48:] + message[3][:48]):
        assert joint_of(cbor2.dumps([*message[:3], signature])) is Joint.SIGNATURE
    payload = message[2].replace(b"i-0123456789", b"i-9123456789")
    assert joint_of(cbor2.dumps([message[0], {}, payload, message[3]])) is Joint.SIGNATURE


def reordered(*order: int) -> bytes:
    return MODULE.document(edit("cabundle", [MODULE.der(number) for number in order]))


@pytest.mark.parametrize(
    "order", [(1, 0, 2), (0, 2, 1), (2, 1, 0), (0,), (0, 1), (0, 2), (0, 0, 1, 2), (0, 1, 1, 2)]
)
def test_certificates_in_another_order(order: tuple[int, ...]) -> None:
    assert joint_of(reordered(*order)) is Joint.CHAIN


def with_certificate(number: int, **changes: Any) -> bytes:
    certificates = list(MODULE.certificates)
    certificates[number] = certificate(number, MODULE.keys, **changes)
    return TestModule(keys=MODULE.keys, certificates=certificates).document()


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (1, {"ca": False}),
        (2, {"ca": False}),
        (3, {"ca": True}),
        (1, {"length": 0}),
        (2, {"digest": SHA256()}),
        (3, {"digest": SHA256()}),
        (3, {"extra": x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CODE_SIGNING])}),
        (1, {"extra": x509.InhibitAnyPolicy(0)}),
    ],
)
def test_a_certificate_that_may_not(number: int, changes: dict[str, Any]) -> None:
    assert joint_of(with_certificate(number, **changes)) is Joint.CHAIN


def test_a_chain_that_is_too_long_or_no_certificate() -> None:
    assert joint_of(reordered(*([0] + [1] * 8))) is Joint.CHAIN
    garbage = MODULE.document(edit("certificate", b"\x30\x03garbage"))
    assert joint_of(garbage) is Joint.CHAIN


def test_a_key_of_another_curve() -> None:
    keys: list[Any] = [*MODULE.keys[:3], ec.generate_private_key(ec.SECP256R1())]
    module = TestModule(keys=MODULE.keys, certificates=list(MODULE.certificates))
    module.certificates[3] = certificate(3, keys)
    assert joint_of(module.document()) is Joint.CHAIN


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_expired_certificate(number: int) -> None:
    old = with_certificate(number, begin=NOW - dt.timedelta(days=30))
    assert joint_of(old, Expected(root=MODULE.root)) is Joint.VALIDITY


def test_a_document_older_than_its_certificate() -> None:
    module = TestModule(keys=MODULE.keys, certificates=MODULE.certificates)
    module.now = NOW - dt.timedelta(hours=5)
    assert joint_of(module.document(), Expected(root=module.root)) is Joint.VALIDITY


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_single_flipped_bit_is_rejected() -> None:
    bits = len(DOCUMENT) * 8
    chosen = [*range(400), *random.Random(1).sample(range(bits), FLIPS), *range(bits - 64, bits)]
    for bit in chosen:
        joint_of(flipped(DOCUMENT, bit), Expected(root=MODULE.root))


def test_every_single_flipped_bit_of_the_recorded_document_is_rejected(repo: Path) -> None:
    data = recorded(repo)
    for bit in random.Random(2).sample(range(len(data) * 8), FLIPS):
        joint_of(flipped(data, bit), Expected(allow_debug=True), THEN)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_rejected_and_nothing_else(data: bytes) -> None:
    joint_of(data)


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.binary(max_size=50) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    )
)
def test_any_signed_payload_is_rejected(content: Any) -> None:
    joint_of(MODULE.sign(cbor2.dumps(content)))
