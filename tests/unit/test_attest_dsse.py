"""Envelopes: signatures over bytes and their type; nothing in one changes unnoticed."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from flips import flipped
from hypothesis import given, settings
from hypothesis import strategies as st

from vcr.attest import strict_json
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.dsse import Envelope, Signature, Trusted, pae, read_envelope, sign, signers
from vcr.attest.keys import key_id, parse_public, public_pem, read_trusted
from vcr.errors import UsageError

ALICE, BOB, MALLORY = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3))
PAYLOAD = strict_json.dump({"_type": "test", "text": "what is said"})


def trusted(*keys: Ed25519PrivateKey) -> Trusted:
    return {key_id(key.public_key()): key.public_key() for key in keys}


def joint_of(data: bytes, keys: Trusted | None = None) -> Joint:
    with pytest.raises(RejectedError) as caught:
        signers(read_envelope(data), trusted(ALICE) if keys is None else keys)
    return caught.value.joint


def test_the_encoding_that_is_signed_is_that_of_the_specification() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_the_same_is_signed_to_the_same_bytes() -> None:
    once, again = (sign(PAYLOAD, [ALICE, BOB]).to_bytes() for _ in range(2))
    assert once == again
    assert read_envelope(once).payload == PAYLOAD


def test_the_keys_that_signed_are_found() -> None:
    envelope = read_envelope(sign(PAYLOAD, [ALICE, MALLORY]).to_bytes())
    assert signers(envelope, trusted(ALICE, BOB)) == set(trusted(ALICE))
    assert signers(envelope, trusted(ALICE, MALLORY)) == set(trusted(ALICE, MALLORY))


def test_a_signer_that_is_there_twice_counts_once() -> None:
    envelope = sign(PAYLOAD, [ALICE, ALICE])
    assert len(signers(envelope, trusted(ALICE))) == 1


def test_a_signer_under_another_name_is_refused() -> None:
    envelope = sign(PAYLOAD, [ALICE])
    (signature,) = envelope.signatures
    for keyid in (key_id(BOB.public_key()), "alice", signature.keyid.upper()):
        renamed = type(envelope)(
            PAYLOAD, envelope.payload_type, (Signature(keyid, signature.sig), signature)
        )
        assert joint_of(renamed.to_bytes()) is Joint.SIGNATURE
    unnamed = type(envelope)(PAYLOAD, envelope.payload_type, (Signature("", signature.sig),))
    assert signers(read_envelope(unnamed.to_bytes()), trusted(ALICE)) == {signature.keyid}


def test_a_signature_without_a_key_id_is_of_whoever_made_it() -> None:
    """DSSE: fields that are empty may be left out; Sigstore's tools do that."""
    whole = json.loads(sign(PAYLOAD, [ALICE]).to_bytes())
    bare = json.dumps({**whole, "signatures": [{"sig": whole["signatures"][0]["sig"]}]}).encode()
    assert signers(read_envelope(bare), trusted(ALICE, BOB)) == set(trusted(ALICE))
    assert joint_of(bare, trusted(BOB)) is Joint.SIGNATURE


def test_a_key_of_cosign_is_believed(tmp_path: Path) -> None:
    """`cosign generate-key-pair` makes ECDSA keys over P-256; other curves are refused."""
    private = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "cosign.pub").write_bytes(public_pem(private.public_key()))
    keys = read_trusted([tmp_path / "cosign.pub"])
    sig = private.sign(pae("text/plain", PAYLOAD), ec.ECDSA(SHA256()))
    said = Envelope(PAYLOAD, "text/plain", (Signature("", sig),)).to_bytes()
    assert signers(read_envelope(said), keys) == set(keys)
    for number in range(len(sig) * 8):
        wrong = (Signature("", flipped(sig, number)),)
        assert joint_of(Envelope(PAYLOAD, "text/plain", wrong).to_bytes(), keys) is Joint.SIGNATURE
    assert joint_of(Envelope(PAYLOAD, "text/html", (Signature("", sig),)).to_bytes(), keys)
    other = public_pem(ec.generate_private_key(ec.SECP384R1()).public_key())
    with pytest.raises(UsageError, match="not a key of a kind that is believed"):
        parse_public(other, "other.pub")


def test_nobody_who_is_trusted_signed() -> None:
    assert joint_of(sign(PAYLOAD, [MALLORY]).to_bytes()) is Joint.SIGNATURE
    assert joint_of(sign(PAYLOAD, [ALICE]).to_bytes(), {}) is Joint.SIGNATURE


def changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(sign(PAYLOAD, [ALICE]).to_bytes()), **changes}).encode()


def test_a_payload_or_a_type_that_was_not_signed() -> None:
    other = base64.b64encode(PAYLOAD.replace(b"said", b"sold")).decode()
    assert joint_of(changed(payload=other)) is Joint.SIGNATURE
    assert joint_of(changed(payloadType="text/plain")) is Joint.SIGNATURE


@pytest.mark.parametrize(
    ("data", "joint"),
    [
        (b"", Joint.ENVELOPE),
        (b"{}", Joint.ENVELOPE),
        (b"[]", Joint.ENVELOPE),
        (b"\xff", Joint.ENVELOPE),
        (b"[" * 100_000, Joint.ENVELOPE),
        (changed(extra=1), Joint.ENVELOPE),
        (changed(payload="a"), Joint.ENVELOPE),
        (changed(payload="YR=="), Joint.ENVELOPE),
        (changed(payload=7), Joint.ENVELOPE),
        (changed(payloadType=7), Joint.ENVELOPE),
        (changed(signatures={}), Joint.SIGNATURE),
        (changed(signatures=[]), Joint.SIGNATURE),
        (changed(signatures=[{"sig": "YQ=="}]), Joint.SIGNATURE),
        (changed(signatures=[{"sig": "YQ==", "cert": ""}]), Joint.ENVELOPE),
        (changed(signatures=[{"keyid": ""}]), Joint.ENVELOPE),
        (changed(signatures=["sig"]), Joint.ENVELOPE),
        (changed(signatures=[{"keyid": 1, "sig": "YQ=="}]), Joint.ENVELOPE),
        (changed(signatures=[{"keyid": "", "sig": "YQ=="}]), Joint.SIGNATURE),
        (changed(signatures=[{"keyid": "", "sig": "YQ=="}] * 65), Joint.SIGNATURE),
        (changed()[:-1] + b',"payload":"YQ=="}', Joint.ENVELOPE),
    ],
    ids=range(20),
)
def test_what_is_no_envelope(data: bytes, joint: Joint) -> None:
    assert joint_of(data) is joint


def test_every_single_flipped_bit_is_rejected() -> None:
    data = sign(PAYLOAD, [ALICE]).to_bytes()
    for bit in range(len(data) * 8):
        joint_of(flipped(data, bit))


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_are_rejected_and_nothing_else(data: bytes) -> None:
    joint_of(data)


@settings(max_examples=300)
@given(
    st.fixed_dictionaries(
        {
            name: st.none() | st.text(max_size=9) | st.lists(st.text() | st.integers(), max_size=3)
            for name in ("payload", "payloadType", "signatures")
        }
    )
)
def test_any_fields_are_rejected_and_nothing_else(content: dict[str, Any]) -> None:
    joint_of(json.dumps(content).encode())


def test_json_has_one_reading() -> None:
    assert strict_json.load(strict_json.dump({"b": [1, "ä"], "a": None})) == {
        "a": None,
        "b": [1, "ä"],
    }
    for text in (b'{"a":1,"a":2}', b"NaN", b'{"a":Infinity}', b'"\xff"'):
        with pytest.raises(ValueError, match=r".+"):
            strict_json.load(text)
    with pytest.raises(ValueError, match=r".+"):
        strict_json.dump(float("nan"))
