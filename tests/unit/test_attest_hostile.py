"""Whatever the files are that a verifier is given, it says no: never a wait, never a crash."""

import base64
import json
import os
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nitro_pki import NOW
from test_attest_checker import MODULE, TRUST, document, software
from test_attest_cli import MACHINE, app, verify  # noqa: F401 -- a fixture
from test_attest_dsse import ALICE
from test_attest_statement import BUILD, LADDER, PREDICATES, statement
from test_cli import errors_of

from vcr.attest import strict_json
from vcr.attest.checks.checker import verify_files
from vcr.attest.checks.evidence import SOFTWARE_PAYLOAD
from vcr.attest.checks.receipt import MEDIA_TYPE, Receipt
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.dsse import sign
from vcr.attest.nitro.cbor import read_cbor
from vcr.attest.predicates import TYPES, parse_time
from vcr.cli.context import App
from vcr.errors import ExitCode

NO = {ExitCode.USAGE, ExitCode.MISMATCH}


def joint_of(*contents: bytes) -> Joint:
    with pytest.raises(RejectedError) as caught:
        verify_files([(f"f{n}", data) for n, data in enumerate(contents)], TRUST, NOW)
    return caught.value.joint


def enveloped(payload: bytes, kind: str = "application/vnd.in-toto+json") -> bytes:
    return sign(payload, [ALICE], kind).to_bytes()


# --- files that are none


def given_in(app: App, name: str) -> list[list[str]]:  # noqa: F811
    """The commands that read the file NAME, in every place where one is read."""
    path = str(app.directory / name)
    return [
        [path, "--key", "alice.pub"],
        ["alice.json", "--key", path],
        ["alice.json", "--policy", path],
        ["alice.json", "--key", "alice.pub", "--ladder", path],
        ["root.json", "nitro", "--key", "alice.pub", "--root", path],
        ["root.json", "nitro", "--key", "alice.pub", "--root", "root.pem", "--pcrs", path],
    ]


@pytest.mark.parametrize("kind", ["pipe", "zeros", "directory", "none", "loop", "huge"])
def test_a_file_that_is_none_is_refused_at_once(app: App, kind: str) -> None:  # noqa: F811
    path = app.directory / "given"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "zeros":
            path.symlink_to("/dev/zero")
        case "directory":
            path.mkdir()
        case "loop":
            path.symlink_to(path)
        case "huge":
            path.touch()
            os.truncate(path, 1 << 40)
    begin = time.monotonic()
    for words in given_in(app, "given"):
        assert verify(app, *words) in NO
    assert time.monotonic() - begin < 20


CONTENTS = {
    "empty": b"",
    "NUL": b"\0",
    "not UTF-8": b"\xff\xfe{}",
    "lists": b"[" * 200_000,
    "objects": b'{"a":' * 200_000,
    "a list": b"[]",
    "a number": b"7",
    "a long number": b"9" * 100_000,
    "a fraction": b'{"payload":1.5}',
    "an endless one": b'{"payload":1e999}',
    "NaN": b'{"payload":NaN}',
    "half a character": rb'{"payload":"\ud800","payloadType":"\udfff","signatures":[]}',
    "names twice": b'{"payload":"","payload":"","payloadType":"","signatures":[]}',
    "BOM": b"\xef\xbb\xbf{}",
    "PEM": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "a PEM of nothing": b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
    "TOML tables": b"a" + b".a" * 200_000 + b" = 1",
    "TOML lists": b"a = " + b"[" * 200_000,
    "TOML inline": b"a = " + b"{ a = " * 100_000,
    "TOML numbers": b"threshold = " + b"9" * 100_000,
    "TOML dates": b"max_age = 0000-00-00",
    "TOML keys": b'[keys]\na = "\\u0000"',
    "TOML long keys": b'[keys]\na = "' + b"x" * 5000 + b'"',
    "rungs": json.dumps({"schema": 1, "kind": "build", **BUILD, "ladder": [7]}).encode(),
    "rungs of text": json.dumps({"schema": 1, "kind": "build", **BUILD, "ladder": "ab"}).encode(),
    "text": json.dumps({"schema": 1, "kind": "build", "ladder": []}).encode(),
    "no name": json.dumps({"schema": 1, "kind": "build", **BUILD, "name": [], "ladder": []})
    .encode(),
    "an epoch": json.dumps(
        {"schema": 1, "kind": "build", **BUILD, "epoch": 10**18,
         "ladder": [{"name": n, "digest": d, "size": 1} for n, d in LADDER.items()]}
    ).encode(),
    "registers": b'{"Measurements": [1]}',
    "registers of text": b'{"PCR0": 7, "PCR1": null, "PCR2": {}}',
    "registers that are hex": '{"PCR0": "\u0660\u0660"}'.encode(),
    "registers without number": b'{"PCR": "00", "PCR-1": "00", "PCR99999999999": "00"}',
    "a register twice": json.dumps({"PCR0": "ab" * 48, "PCR00": "cd" * 48}).encode(),
    "another": json.dumps({"PCR0": "ab" * 48, "PCR\uff10": "cd" * 48}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_any_content_is_refused_and_nothing_else(app: App, content: bytes) -> None:  # noqa: F811
    (app.directory / "given").write_bytes(content)
    for words in given_in(app, "given"):
        if words[-2] == "--policy" and content == b"":
            continue  # a policy that demands nothing and trusts nobody
        assert verify(app, *words, "--at", "2026-11-26T12:00:00Z") in NO, words


@pytest.mark.parametrize(
    "words",
    [
        ("--at", "0001-01-01T00:00:00+14:00"),
        ("--at", "9999-12-31T23:59:59-14:00"),
        ("--at", "99999-01-01T00:00:00Z"),
        ("--at", "0000-01-01T00:00:00Z"),
        ("--at", "2026-11-26T00:00:00+99:00"),
        ("--at", ""),
        ("--max-age", "9" * 400 + "h"),
        ("--max-age", "0"),
        ("--max-age", "\u0663s"),
        ("--max-age", "-1s"),
        ("--nonce", "\u0660\u0660"),
        ("--nonce", "0"),
        ("--pcr", "0=\u0660"),
        ("--pcr", "00=" + "ab" * 48),
        ("--pcr", "\u0660=" + "ab" * 48),
        ("--pcr", "0=" + "ab " * 32),
        ("--threshold", "9" * 5000),
    ],
)
def test_an_option_that_makes_no_sense(app: App, words: tuple[str, ...]) -> None:  # noqa: F811
    assert verify(app, "alice.json", "--key", "alice.pub", *words) is ExitCode.USAGE


def test_a_register_given_twice_with_two_values(app: App) -> None:  # noqa: F811
    words = ("root.json", "nitro", *MACHINE)
    assert verify(app, *words, "--pcr", f"0={MODULE.pcrs[0].hex()}") in {0, ExitCode.USAGE}
    assert verify(app, *words, "--pcr", f"0={'ab' * 48}") is ExitCode.USAGE
    assert "is given twice" in errors_of(app)


# --- payloads that somebody trusted signed


def changed(**changes: Any) -> bytes:
    content = json.loads(statement("rebuild").to_bytes())
    return enveloped(json.dumps({**content, **changes}).encode())


def build(**changes: Any) -> bytes:
    return changed(predicate={**PREDICATES["rebuild"], "build": {**BUILD, **changes}})


ARABIC = "2026-11-26T00:00:00Z".translate({48 + n: 0x660 + n for n in range(10)})
STATEMENTS = {
    "deep": enveloped(b'{"_type":"https://in-toto.io/Statement/v1","predicate":' + b"[" * 100_000),
    "half a character": enveloped(rb'{"_type":"\ud800"}'),
    "a fraction": enveloped(b'{"_type":1.0}'),
    "type": changed(_type=["x"] * 1000),
    "long type": changed(_type="x" * 100_000),
    "name": changed(subject=[{"name": ["image"], "digest": {"sha256": "0" * 64}}]),
    "no text": changed(subject=[{"name": None, "digest": {"sha256": "0" * 64}}]),
    "rows": changed(subject=["image"]),
    "digests": changed(subject=[{"name": "image", "digest": [["sha256", "0" * 64]]}]),
    "two": changed(subject=[{"name": "i", "digest": {"sha256": "0" * 64, "sha384": "0" * 96}}]),
    "digits": changed(subject=[{"name": "image", "digest": {"sha256": "\u0660" * 64}}]),
    "newline": changed(subject=[{"name": "image", "digest": {"sha256": "0" * 64 + "\n"}}]),
    "upper": changed(subject=[{"name": "image", "digest": {"sha256": "A" * 64}}]),
    "kind": changed(predicateType=7),
    "unknown": changed(predicateType="x" * 100_000),
    "predicate": changed(predicate=None),
    "epoch": build(epoch=10**18),
    "epoch text": build(epoch="1"),
    "epoch true": build(epoch=True),
    "epoch below": build(epoch=-1),
    "name list": build(name=[]),
    "time": changed(predicate={**PREDICATES["rebuild"], "time": "0000-01-01T00:00:00Z"}),
    "time digits": changed(
        predicate={
            **PREDICATES["rebuild"],
            "time": ARABIC,
        }
    ),
    "time long": changed(predicate={**PREDICATES["rebuild"], "time": "99999-01-01T00:00:00Z"}),
    "time 7": changed(predicate={**PREDICATES["rebuild"], "time": 7}),
    "dependencies": changed(predicate={**PREDICATES["rebuild"], "resolvedDependencies": 7}),
    "builder": changed(predicate={**PREDICATES["rebuild"], "builder": "x"}),
}


@pytest.mark.parametrize("content", STATEMENTS.values(), ids=STATEMENTS)
def test_a_signed_payload_that_is_none_is_rejected(content: bytes) -> None:
    if content == STATEMENTS["dependencies"]:
        verify_files([("f", content)], TRUST, NOW)  # true for all that it says
        return
    assert joint_of(content) in {Joint.STATEMENT, Joint.PREDICATE, Joint.SUBJECT, Joint.BUILD}


def test_what_is_told_of_a_rejection_is_short() -> None:
    with pytest.raises(RejectedError) as caught:
        verify_files([("f", STATEMENTS["unknown"])], TRUST, NOW)
    assert len(caught.value.why) < 1000
    assert "characters)" in caught.value.why


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=60)
@given(data=st.data())
def test_any_predicate_is_accepted_or_rejected_and_nothing_else(kind: str, data: Any) -> None:
    """A part of a good one, replaced by anything that JSON has."""
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=6,
    )
    content = json.loads(json.dumps(PREDICATES[kind]))
    place: Any = content
    while True:
        name = data.draw(st.sampled_from(sorted(place)))
        if isinstance(place[name], dict) and place[name] and data.draw(st.booleans()):
            place = place[name]
            continue
        break
    place[name] = data.draw(anything)
    whole = json.loads(statement(kind).to_bytes()) | {"predicate": content}
    with suppress(RejectedError):
        verify_files([("f", enveloped(json.dumps(whole).encode()))], TRUST, NOW)


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0), value=st.binary(max_size=4))
def test_any_bytes_within_a_signed_statement(at: int, value: bytes) -> None:
    payload = bytearray(statement("provenance").to_bytes())
    at %= len(payload)
    payload[at : at + len(value)] = value
    with suppress(RejectedError):
        verify_files([("f", enveloped(bytes(payload)))], TRUST, NOW)


# --- evidence


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"[]", b"7", b"{}", b'{"reportData":7,"nonce":""}', b'{"reportData":"","nonce":null}',
        b'{"reportData":"0 0","nonce":""}', '{"reportData":"\u0660\u0660","nonce":""}'.encode(),
        b'{"reportData":"AB","nonce":""}', b'{"reportData":"","nonce":"","time":"x"}',
        rb'{"reportData":"\ud800","nonce":""}', b'{"reportData":"","nonce":"","time":1.0}',
        b"[" * 100_000,
    ],
    ids=range(13),
)  # fmt: skip
def test_evidence_of_a_key_that_is_none(payload: bytes) -> None:
    said = enveloped(statement("rebuild").to_bytes())
    content = sign(payload, [ALICE], SOFTWARE_PAYLOAD).to_bytes()
    assert joint_of(said, content) in {Joint.DOCUMENT, Joint.PREDICATE}
    assert joint_of(said, software(ALICE, b"")) is Joint.USER_DATA


RECEIPT = json.loads(Receipt("ipr", bytes(32), b"x").to_bytes())


@pytest.mark.parametrize(
    "changes",
    [
        {"service": 7}, {"service": None}, {"answer": 7}, {"answer": "ä"}, {"answer": "YR=="},
        {"statement": 7}, {"statement": {"sha256": "Ab" * 32}}, {"statement": {"sha256": "0 "}},
        {"statement": {"sha256": 7}}, {"digest": 7}, {"more": 1}, {"service": "\ud800"},
        {"answer": "A" * 1001},
    ],
    ids=range(13),
)  # fmt: skip
def test_a_receipt_that_is_none(changes: dict[str, Any]) -> None:
    said = enveloped(statement("rebuild").to_bytes())
    data = json.dumps({**RECEIPT, **changes}, sort_keys=True, separators=(",", ":")).encode()
    assert joint_of(said, data + b"\n") in {Joint.RECEIPT, Joint.ENVELOPE}
    spelled = data.replace(MEDIA_TYPE.encode(), MEDIA_TYPE.replace("v", r"\u0076").encode())
    assert joint_of(said, spelled) is Joint.ENVELOPE


# --- CBOR


def bomb() -> bytes:
    """2^40 values in 200 bytes: lists of which each is shared by the next, twice (tags 28, 29)."""
    data = b"\xd8\x1c\x80"
    for number in range(40):
        reference = cbor2.dumps(cbor2.CBORTag(29, number))
        data = b"\xd8\x1c\x82" + reference + reference if number else data
    return b"\x98\x29" + data * 41


CBOR = {
    "shared values": bomb(),
    "a tag": cbor2.dumps(cbor2.CBORTag(0, "2026-11-26T00:00:00Z")),
    "a big number": cbor2.dumps(1 << 70),
    "an exponent": b"\xc5\x82\x1a\x3b\x9a\xca\x00\x01",
    "a fraction": b"\xd8\x1e\x82\x01\x00",
    "a regular expression": cbor2.dumps(cbor2.CBORTag(35, "(" * 2000)),
    "undefined": b"\xf7",
    "a float": b"\xfb\x7f\xf0" + bytes(6),
    "a half": b"\xf9\x7e\x00",
    "indefinite": b"\x5f\x41\x61\xff",
    "a break": b"\xff",
    "a name twice": b"\xa2\x01\x01\x01\x02",
    "a list as a name": b"\xa1\x80\x01",
    "bytes as a name": b"\xa1\x41\x61\x01",
    "long: a number": b"\x18\x17",
    "long: 16 bits": b"\x19\x00\xff",
    "long: 32 bits": b"\x1a\x00\x00\xff\xff",
    "long: 64 bits": b"\x1b" + bytes(4) + b"\xff" * 4,
    "more bytes than there are": b"\x5b" + b"\xff" * 8,
    "more text than there is": b"\x7a\xff\xff\xff\xff",
    "a longer list than there is": b"\x9b" + b"\xff" * 8,
    "a longer map than there is": b"\xbb" + b"\xff" * 8,
    "deep": b"\x81" * 30_000 + b"\x00",
    "deep maps": b"\xa1\x00" * 15_000 + b"\x00",
    "text that is not UTF-8": b"\x62\xff\xff",
    "half of a character": b"\x63\xed\xa0\x80",
    "an end too soon": b"\x82\x00",
    "more": b"\x00\x00",
    "reserved": b"\x1c",
}


@pytest.mark.parametrize("data", CBOR.values(), ids=CBOR)
def test_cbor_that_a_document_does_not_have(data: bytes) -> None:
    begin = time.process_time()
    with pytest.raises(RejectedError) as caught:
        read_cbor(data)
    assert caught.value.joint is Joint.DOCUMENT
    said = enveloped(statement("root-hash").to_bytes())
    header = cbor2.dumps({1: -35})
    for content in (
        data,
        b"\xd2" + data,
        base64.b64encode(data),
        MODULE.sign(data) if 0 < len(data) < 16_000 else b"",
        cbor2.dumps([data[:16_000], {}, b"x", bytes(96)]),
        b"\x84" + cbor2.dumps(header) + data + cbor2.dumps(b"x") + cbor2.dumps(bytes(96)),
    ):
        assert joint_of(said, content) in {Joint.DOCUMENT, Joint.CHAIN}
    assert time.process_time() - begin < 2


@settings(max_examples=500)
@given(
    st.recursive(
        st.none() | st.integers(-(1 << 64), (1 << 64) - 1) | st.binary(max_size=9) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.integers(0, 99) | st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=4,
    )
)
def test_cbor_of_a_document_is_read_as_the_library_reads_it(value: Any) -> None:
    data = cbor2.dumps(value)
    try:
        assert read_cbor(data) == cbor2.loads(data) == value
    except RejectedError as error:
        assert "nested too deep" in error.why  # noqa: PT017


@settings(max_examples=500)
@given(st.binary(max_size=64))
def test_any_bytes_are_no_cbor_or_the_only_form_of_it(data: bytes) -> None:
    try:
        value = read_cbor(data)
    except RejectedError:
        return
    assert cbor2.dumps(value) == data


def test_documents_cut_and_stretched() -> None:
    chance = random.Random(3)
    whole = document()
    said = enveloped(statement("root-hash").to_bytes())
    for _ in range(200):
        at, count = chance.randrange(len(whole)), chance.randrange(1, 40)
        cut = whole[:at] + whole[at + count :]
        assert joint_of(said, cut)
        assert joint_of(said, whole[:at] + chance.randbytes(count) + whole[at:])


@pytest.mark.parametrize(
    "text", ["0000-01-01T00:00:00Z", "99999-01-01T00:00:00Z", "2026-02-30T00:00:00Z",
             "2026-11-26T24:00:00Z", "2026-11-26T23:59:60Z", "2026-11-26t00:00:00z",
             "2026-11-26T00:00:00Z\n", "2026-11-26T00:00:00+00:00", "2026-11-26 00:00:00Z", "",
             "\uff12\uff10\uff12\uff16-11-26T00:00:00Z", None, 7, [], {}]
)  # fmt: skip
def test_a_time_that_is_none(text: object) -> None:
    with pytest.raises(RejectedError, match="predicate"):
        parse_time(text)


@pytest.mark.parametrize(
    "data", [b"1.0", b"1e5", b"-0.0", b'["\\ud800"]', b'{"\\udfff":1}', b"9" * 5000, b"nul", b"NaN",
             b"-Infinity", b"[1,]", b"\xef\xbb\xbf[]", b"[" * 50_000, b"{} {}"]
)  # fmt: skip
def test_json_that_has_more_than_one_reading(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        strict_json.load(data)


@pytest.mark.parametrize(
    "text", ["0", "AB", "0 0 ", "\u0660\u0660", "0x00", "00\n", 7, None, b"00", ["00"]]
)
def test_hex_that_has_more_than_one_reading(text: object) -> None:
    with pytest.raises(ValueError, match="lower-case hex"):
        strict_json.read_hex(text)


def test_a_policy_names_a_key_that_is_none(app: App, tmp_path: Path) -> None:  # noqa: F811
    os.mkfifo(tmp_path / "pipe")
    for value in ("/dev/zero", str(tmp_path / "pipe"), "\\u0000", "x" * 5000, "", "."):
        (app.directory / "policy.toml").write_text(f'[keys]\na = "{value}"\n')
        assert verify(app, "alice.json", "--policy", "policy.toml") is ExitCode.USAGE
