"""Entries of transparency logs in bundles: what holds, and that nothing else does."""

import base64
import datetime as dt
import json
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flips import every_bit, every_byte
from hypothesis import given
from hypothesis import strategies as st
from test_attest_checker import rejection
from test_attest_cli import app, output_of, verify  # noqa: F401 -- a fixture
from test_attest_dsse import ALICE, BOB, trusted
from test_attest_statement import statement
from test_cli import errors_of
from transparency_log import (
    TIME,
    Log,
    audit_path,
    body_of,
    bundle_with,
    signature_of,
    text,
    tree_hash,
)

from vcr.attest.bundle import read_bundle, to_bundle
from vcr.attest.checks.checker import Verdict, verify_files
from vcr.attest.checks.demand import Demand
from vcr.attest.checks.policy import read_policy
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.dsse import STATEMENT_TYPE, Envelope, Signature, pae, sign
from vcr.attest.keys import key_id, public_pem
from vcr.attest.log.body import READERS
from vcr.attest.log.checkpoint import log_ids
from vcr.attest.log.merkle import leaf_hash, root_of
from vcr.cli.context import App
from vcr.errors import ExitCode, UsageError

NOW = dt.datetime.fromtimestamp(TIME + 3600, dt.UTC)
LOG_KEY = ec.derive_private_key(7, ec.SECP256R1())
OTHER_LOG = ec.derive_private_key(8, ec.SECP256R1())
COSIGN = ec.derive_private_key(9, ec.SECP256R1())
PAYLOAD = statement("rebuild").to_bytes()
ENVELOPE = sign(PAYLOAD, [ALICE])
WANTED = Demand(trusted=trusted(ALICE), logs={"log": LOG_KEY.public_key()})


def check(data: bytes, wanted: Demand = WANTED, at: dt.datetime = NOW) -> Verdict:
    return verify_files([("f", data)], wanted, at)


def why_not(data: bytes, wanted: Demand = WANTED, at: dt.datetime = NOW) -> str:
    error = rejection(wanted, data, at=at)
    assert error.joint is Joint.LOG
    assert error.fix
    return error.why


def row(
    kind: str = "dsse 0.0.1", log: Log | None = None, *, promise: bool = True, **body: Any
) -> dict[str, Any]:
    """Return a log's entry of the envelope."""
    name, version = kind.split(" ")
    envelope, key = body.get("envelope", ENVELOPE), body.get("key", ALICE.public_key())
    data = body_of(name, version, envelope, key)
    log = log or Log(LOG_KEY)
    return log.add(data, name, version, promise=promise)


@pytest.mark.parametrize("kind", [" ".join(each) for each in READERS])
@pytest.mark.parametrize("promise", [True, False])
def test_an_entry_holds(kind: str, promise: bool) -> None:
    verdict = check(bundle_with(ENVELOPE, row(kind, promise=promise)))
    (entry,) = verdict.said[0].entries.held
    when = dt.datetime.fromtimestamp(TIME, dt.UTC) if promise else None
    assert (entry.log, entry.index, entry.time) == ("log.example", 5, when)


def test_an_entry_of_a_key_as_cosign_makes_it() -> None:
    message = pae(STATEMENT_TYPE, PAYLOAD)
    envelope = Envelope(PAYLOAD, STATEMENT_TYPE, (Signature("", signature_of(COSIGN, message)),))
    key = COSIGN.public_key()
    logged = row("hashedrekord 0.0.2", envelope=envelope, key=key)
    assert check(bundle_with(envelope, logged), replace(WANTED, trusted={key_id(key): key}))


def test_a_log_with_older_trees_counts_over_all_of_them() -> None:
    log = Log(LOG_KEY, "log.example - 1193050959916656506", first=1000)
    verdict = check(bundle_with(ENVELOPE, row(log=log)))
    assert verdict.said[0].entries.held[0].index == 1005
    # Nobody vouches for the number where the log promised nothing.
    assert "place in the log" in why_not(bundle_with(ENVELOPE, row(log=log, promise=False)))


@pytest.mark.parametrize("by_name", [True, False])
def test_a_log_with_a_key_of_ed25519(by_name: bool) -> None:
    """As Rekor 2 has it: its id is that of a signed note, over its name, too."""
    log = Log(Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
    wanted = replace(WANTED, logs={"log": log.key.public_key()})
    logged = row("hashedrekord 0.0.2", log, promise=False)
    if by_name:
        (ident,) = log_ids(log.key.public_key(), "log.example") - {log.ident}
        logged["logId"]["keyId"] = text(ident)
        note = logged["inclusionProof"]["checkpoint"]["envelope"]
        told, _, line = note.rpartition("\n\n")
        data = ident[:4] + base64.b64decode(line.split(" ")[2])[4:]
        note = f"{told}\n\n\N{EM DASH} log.example {text(data)}\n"
        logged["inclusionProof"]["checkpoint"]["envelope"] = note
    assert check(bundle_with(ENVELOPE, logged), wanted)


def test_a_witness_who_signed_the_checkpoint_too_does_not_disturb() -> None:
    logged = row()
    checkpoint = logged["inclusionProof"]["checkpoint"]
    witness = f"\N{EM DASH} witness.example {text(b'1234' + b's' * 64)}\n"
    told, _, lines = checkpoint["envelope"].rpartition("\n\n")
    for order in (lines + witness, witness + lines):
        checkpoint["envelope"] = f"{told}\n\n{order}"
        assert check(bundle_with(ENVELOPE, logged))
    checkpoint["envelope"] = f"{told}\n\n{witness}"
    assert "did not sign its checkpoint" in why_not(bundle_with(ENVELOPE, logged))


# --- what is demanded, and what is said


def test_an_entry_without_a_key_of_its_log_is_not_checked_and_that_is_said() -> None:
    for wanted in (Demand(trusted=trusted(ALICE)), replace(WANTED, needs_log=False)):
        other = row(log=Log(OTHER_LOG))
        entries = check(bundle_with(ENVELOPE, other), wanted).said[0].entries
        assert entries.held == ()
        assert entries.words == "1 log entry not checked: no key of that log is given"
    # Nor is anything that stands in its place; nobody says that it is good.
    wrong: object
    for wrong in ({}, 7, None, "x"):
        assert check(bundle_with(ENVELOPE, wrong), Demand(trusted=trusted(ALICE)))


def test_an_entry_that_is_demanded_is_not_met_by_leaving_it_out() -> None:
    for data in (ENVELOPE.to_bytes(), to_bundle(ENVELOPE)):
        assert "is required, and it has none" in why_not(data)
        assert check(data, replace(WANTED, needs_log=False))
    assert "1 entry is of logs whose key" in why_not(bundle_with(ENVELOPE, row(log=Log(OTHER_LOG))))
    assert check(bundle_with(ENVELOPE, row(log=Log(OTHER_LOG)), row()))


def test_every_statement_needs_one() -> None:
    good = bundle_with(ENVELOPE, row())
    files = [("good", good), ("bare", sign(statement("sbom").to_bytes(), [ALICE]).to_bytes())]
    with pytest.raises(RejectedError) as caught:
        verify_files(files, WANTED, NOW)
    assert caught.value.what == "bare: rejected at the transparency log"


def test_an_entry_that_is_not_required_must_hold_where_it_is() -> None:
    logged = row()
    logged["inclusionProof"]["hashes"].reverse()
    wanted = replace(WANTED, needs_log=False)
    assert "not in the tree" in why_not(bundle_with(ENVELOPE, logged), wanted)


def test_a_promise_alone_is_no_proof() -> None:
    logged = row()
    del logged["inclusionProof"]
    assert "at best a promise" in why_not(bundle_with(ENVELOPE, logged))


def test_a_promise_from_the_future() -> None:
    early = dt.datetime.fromtimestamp(TIME - 3600, dt.UTC)
    assert rejection(WANTED, bundle_with(ENVELOPE, row()), at=early).joint is Joint.AGE


def test_entries_stay_with_a_statement_that_is_pushed() -> None:
    data = bundle_with(ENVELOPE, row())
    given = read_bundle(data)
    pushed = read_bundle(to_bundle(given.envelope, given.entries))
    assert pushed == given
    assert len(pushed.entries) == 1


# --- entries of something else, in a log that has them


@pytest.mark.parametrize("kind", [" ".join(each) for each in READERS])
def test_an_entry_of_something_else(kind: str) -> None:
    other = sign(statement("rebuild", more=1).to_bytes(), [ALICE])
    assert "of another statement" in why_not(bundle_with(ENVELOPE, row(kind, envelope=other)))
    forged = replace(ENVELOPE, signatures=sign(PAYLOAD, [BOB]).signatures)
    why = why_not(bundle_with(ENVELOPE, row(kind, envelope=forged)))
    assert "of another signature" in why
    why = why_not(bundle_with(ENVELOPE, row(kind, key=BOB.public_key())))
    assert "a signature of another key" in why
    # Somebody else's entry, of his own signature, which stands in the envelope, too.
    both = sign(PAYLOAD, [ALICE, BOB])
    his = row(kind, envelope=sign(PAYLOAD, [BOB]), key=BOB.public_key())
    data = json.loads(to_bundle(ENVELOPE, [his]))
    data["dsseEnvelope"] = json.loads(both.to_bytes())
    assert "a signature of another key" in why_not(json.dumps(data).encode())
    # A key that signed, told of a signature that it did not make.
    his = row(kind, envelope=sign(PAYLOAD, [BOB]), key=ALICE.public_key())
    data["verificationMaterial"]["tlogEntries"] = [his]
    assert "a signature of another key" in why_not(json.dumps(data).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(kind="intoto"),
        lambda body: body.update(apiVersion="0.0.3"),
        lambda body: body.update(spec=[]),
        lambda body: body.pop("spec"),
        lambda body: body["spec"]["payloadHash"].update(algorithm="sha1"),
        lambda body: body["spec"]["payloadHash"].update(value="\u0660" * 64),
        lambda body: body["spec"].update(signatures=[]),
        lambda body: body["spec"].update(signatures=body["spec"]["signatures"] * 2),
        lambda body: body["spec"]["signatures"][0].update(signature="YR=="),
        lambda body: body["spec"]["signatures"][0].update(verifier="YQ=="),
        lambda body: body["spec"]["signatures"][0].update(
            verifier=text(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        ),
    ],
    ids=range(11),
)
def test_a_body_that_cannot_be_compared(change: Callable[[Any], Any]) -> None:
    body = json.loads(body_of("dsse", "0.0.1", ENVELOPE, ALICE.public_key()))
    change(body)
    logged = Log(LOG_KEY).add(json.dumps(body).encode(), "dsse", "0.0.1")
    assert "cannot be compared" in why_not(bundle_with(ENVELOPE, logged))


def test_an_entry_of_a_kind_that_is_not_known() -> None:
    logged = Log(LOG_KEY).add(b"{}", "rpm", "0.0.1")
    why = why_not(bundle_with(ENVELOPE, logged))
    assert "entries of rpm 0.0.1 are not known; known are dsse 0.0.1" in why


# --- what somebody changed


GOOD = row()
BITS = row(promise=False)  # nothing but the proof vouches for it


def changed(logged: dict[str, Any], path: str, value: object) -> bytes:
    """Return the bundle with VALUE at PATH in its entry."""
    logged = deepcopy(logged)
    *names, last = path.split(".")
    place: Any = logged
    for name in names:
        place = place[name]
    place[int(last) if isinstance(place, list) else last] = value
    return bundle_with(ENVELOPE, logged)


HASHES = tuple(f"inclusionProof.hashes.{n}" for n in range(len(GOOD["inclusionProof"]["hashes"])))


@pytest.mark.parametrize("logged", [GOOD, BITS], ids=["promised", "proof alone"])
@pytest.mark.parametrize("path", [*HASHES, "inclusionProof.rootHash", "canonicalizedBody"])
def test_no_byte_of_a_proof_or_a_body_changes_unnoticed(logged: dict[str, Any], path: str) -> None:
    place: Any = logged
    for name in path.split("."):
        place = place[int(name)] if isinstance(place, list) else place[name]
    data = base64.b64decode(place)
    flips = every_byte(data) if path == "canonicalizedBody" else every_bit(data)
    assert all(why_not(changed(logged, path, text(flip))) for flip in flips)


def test_no_byte_of_a_checkpoint_changes_unnoticed() -> None:
    path = "inclusionProof.checkpoint.envelope"
    note = BITS["inclusionProof"]["checkpoint"]["envelope"]
    count = 0
    for first in range(8):
        for flip in every_byte(note.encode(), first):
            try:
                told = flip.decode()
            except UnicodeDecodeError:
                continue  # no text, so nothing that JSON can hold
            count += 1
            assert why_not(changed(BITS, path, told))
    assert count > 4 * len(note)
    wrong: object
    for wrong in ("", "\n\n", note[:-1], f"{note}\n", note + "x", note.replace("\n\n", "\n"), 7):
        assert why_not(changed(BITS, path, wrong))


@pytest.mark.parametrize("path", ["logIndex", "inclusionProof.logIndex", "inclusionProof.treeSize"])
@given(number=st.integers(-2, 20) | st.integers(1 << 60, 1 << 64) | st.text(max_size=3))
def test_no_other_number_holds(path: str, number: int | str) -> None:
    place: Any = BITS
    for name in path.split("."):
        place = place[name]
    if str(number) != place:
        assert why_not(changed(BITS, path, str(number)))


def test_a_promise_vouches_for_time_and_place() -> None:
    signed = base64.b64decode(GOOD["inclusionPromise"]["signedEntryTimestamp"])
    for flip in every_byte(signed):
        path = "inclusionPromise.signedEntryTimestamp"
        assert "its promise" in why_not(changed(GOOD, path, text(flip)))
    assert "its promise" in why_not(changed(GOOD, "integratedTime", str(TIME - 1)))
    assert "its promise" in why_not(changed(GOOD, "logIndex", "6"))


def test_what_is_zero_may_be_missing() -> None:
    """As JSON of protobuf is written."""
    logged = row(log=Log(LOG_KEY, leaves=[]), promise=False)
    assert (logged.pop("logIndex"), logged["inclusionProof"].pop("logIndex")) == ("0", "0")
    assert check(bundle_with(ENVELOPE, logged))


@pytest.mark.parametrize("wrong", [{}, 7, None, "x", [], {"logId": {}}, {"kindVersion": 7}])
def test_an_entry_that_is_none(wrong: object) -> None:
    assert "is not an entry of a log" in why_not(bundle_with(ENVELOPE, wrong))
    for path in ("logId", "kindVersion", "inclusionProof", "canonicalizedBody", "logIndex"):
        if (path, wrong) != ("inclusionProof", None):
            assert why_not(changed(BITS, path, wrong))


@given(st.data())
def test_any_json_in_an_entry_is_refused(data: Any) -> None:
    """Whatever has replaced a part of a good one."""
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=6,
    )
    parts = ["logId", "kindVersion", "kindVersion.kind", "inclusionProof", *HASHES,
             "inclusionProof.hashes", "inclusionProof.checkpoint", "canonicalizedBody"]  # fmt: skip
    assert why_not(changed(BITS, data.draw(st.sampled_from(parts)), data.draw(anything)))


def test_more_entries_than_are_looked_at() -> None:
    assert "33 entries" in why_not(bundle_with(ENVELOPE, *[GOOD] * 33))


@given(size=st.integers(1, 70), data=st.data())
def test_paths_lead_to_the_root_and_others_do_not(size: int, data: Any) -> None:
    leaves = [bytes([n]) for n in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path, leaf, root = audit_path(index, leaves), leaf_hash(leaves[index]), tree_hash(leaves)
    assert root_of(leaf, index, size, path) == root
    for other in (*([path[1:]] if path else []), [*path, leaf]):
        with pytest.raises(ValueError, match=r"too (long|short)"):
            root_of(leaf, index, size, other)
    elsewhere = data.draw(st.integers(0, size - 1))
    if elsewhere != index:
        with suppress(ValueError):  # a way of another length
            assert root_of(leaf, elsewhere, size, path) != root
    with pytest.raises(ValueError, match="has no leaf"):
        root_of(leaf, size, size, path)


# --- from outside


def test_a_policy_demands_an_entry(tmp_path: Path) -> None:
    (tmp_path / "log.pub").write_bytes(public_pem(LOG_KEY.public_key()))
    path = tmp_path / "policy.toml"
    path.write_text('[log]\nkeys = { ours = "log.pub" }')
    wanted = read_policy(path)
    assert (list(wanted.logs), wanted.needs_log) == ([key_id(LOG_KEY.public_key())], True)
    path.write_text('[log]\nrequired = false\nkeys = { ours = "log.pub" }')
    assert read_policy(path).needs_log is False
    for wrong in ("[log]", "[log]\nkeys = {}", '[log]\nkeys = { a = "b" }', "[log]\nrequired = 1"):
        path.write_text(wrong)
        with pytest.raises(UsageError):
            read_policy(path)


def test_a_log_is_checked_from_outside(app: App) -> None:  # noqa: F811
    for name, key in (("log", LOG_KEY), ("other", OTHER_LOG)):
        (app.directory / f"{name}.pub").write_bytes(public_pem(key.public_key()))
    (app.directory / "logged.json").write_bytes(bundle_with(ENVELOPE, GOOD))
    words = ("logged.json", "--key", "alice.pub")
    assert verify(app, *words) == 0
    assert "1 log entry not checked: no key of that log is given" in output_of(app)
    assert verify(app, *words, "--log-key", "log.pub") == 0
    assert "in the log log.example at 5 since 2025-11-30T00:00:00Z" in output_of(app)
    assert verify(app, *words, "--log-key", "other.pub") is ExitCode.MISMATCH
    assert "logged.json: rejected at the transparency log" in errors_of(app)
    assert "--log-key FILE" in errors_of(app)
    assert verify(app, "alice.json", *words[1:], "--log-key", "log.pub") is ExitCode.MISMATCH


def test_a_log_is_told_to_a_program(app: App) -> None:  # noqa: F811
    (app.directory / "log.pub").write_bytes(public_pem(LOG_KEY.public_key()))
    (app.directory / "logged.json").write_bytes(
        bundle_with(ENVELOPE, GOOD, row(log=Log(OTHER_LOG)))
    )
    words = ("--json", "logged.json", "--key", "alice.pub", "--log-key", "log.pub")
    assert verify(app, *words) == 0
    (told,) = json.loads(output_of(app))["statements"]
    logged = {"log": "log.example", "index": 5, "time": "2025-11-30T00:00:00Z"}
    assert (told["logs"], told["unchecked_entries"]) == ([logged], 1)
