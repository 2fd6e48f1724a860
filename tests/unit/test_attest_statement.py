"""Statements: subjects, predicates, and what contradicts."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.dsse import Envelope
from vcr.attest.predicates import (
    BUILD_TYPE,
    BUILDER,
    TYPES,
    Host,
    build_of,
    check_predicate,
    time_of,
    with_time,
)
from vcr.attest.statement import Statement, check_subjects, read_statement, subjects_of
from vcr.model.digest import Digest
from vcr.model.ladder import Rung
from vcr.model.stage import Rebuilt

LADDER = {
    name: Digest.of_bytes(name.encode()) for name in ("image", "snapshot", "sealed", "kernel")
}
BUILD: dict[str, str | int] = {
    "name": "a", "profile": "prod", "arch": "riscv64", "engine": "qemu", "engine_version": "10.0",
    "epoch": 1,
}  # fmt: skip
HOST = Host("x86_64-linux", "1").as_json()
PREDICATES: dict[str, dict[str, Any]] = {
    "provenance": {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": BUILD,
            "resolvedDependencies": [{"name": "vcr.lock"}],
        },
        "runDetails": {"builder": {"id": BUILDER}},
    },
    "root-hash": {
        "build": BUILD,
        "machineHash": LADDER["snapshot"],
        "verity": {"root_hash": LADDER["sealed"].hex},
    },
    "run-once": {
        "build": BUILD,
        "machineHash": LADDER["snapshot"],
        "execution": {"same": True, "instructions": 7},
        "builder": HOST,
    },
    "rebuild": {"build": BUILD, "resolvedDependencies": [{}], "same": True, "builder": HOST},
    "sbom": {"spdxVersion": "SPDX-2.3", "packages": [{}]},
    "cyclonedx": {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []},
}


def statement(kind: str, **changes: Any) -> Statement:
    subjects = {**LADDER, "drive": Digest.of_bytes(b"drive")} if kind == "root-hash" else LADDER
    return Statement(subjects, TYPES[kind], {**PREDICATES[kind], **changes})


def envelope(content: Any, kind: str = "application/vnd.in-toto+json") -> Envelope:
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Envelope(payload, kind, ())


def joint_of_reading(content: Any, **more: Any) -> Joint:
    with pytest.raises(RejectedError) as caught:
        read_statement(envelope(content, **more))
    return caught.value.joint


@pytest.mark.parametrize("kind", TYPES)
def test_a_statement_is_written_and_read(kind: str) -> None:
    made = statement(kind)
    read = read_statement(envelope(made.to_bytes()))
    assert read == made
    assert check_predicate(read) == kind
    assert build_of(read) == (None if kind in {"sbom", "cyclonedx"} else BUILD)
    assert "drive" not in read.rungs


def test_the_types_are_stable() -> None:
    assert TYPES == {
        "provenance": "https://slsa.dev/provenance/v1",
        "root-hash": "https://vcr.example/attestation/root-hash/v1",
        "run-once": "https://vcr.example/attestation/run-once/v1",
        "rebuild": "https://vcr.example/attestation/rebuild/v1",
        "sbom": "https://spdx.dev/Document",
        "cyclonedx": "https://cyclonedx.org/bom",
    }


def test_subjects_are_the_rungs_in_order() -> None:
    ladder = [Rung(name, digest, 1, Path("/none")) for name, digest in LADDER.items()]
    assert list(subjects_of(ladder).items()) == list(LADDER.items())


GOOD = json.loads(statement("rebuild").to_bytes())
SUBJECT = GOOD["subject"][0]


@pytest.mark.parametrize(
    ("changes", "joint"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, Joint.STATEMENT),
        ({"subject": []}, Joint.SUBJECT),
        ({"subject": [SUBJECT, SUBJECT]}, Joint.SUBJECT),
        ({"subject": [{"name": "image"}]}, Joint.STATEMENT),
        ({"subject": [{"name": "image", "digest": {"sha1": "00"}}]}, Joint.STATEMENT),
        ({"subject": [{"name": "image", "digest": {"sha256": "XX"}}]}, Joint.STATEMENT),
        ({"subject": 7}, Joint.STATEMENT),
        ({"predicateType": ""}, Joint.PREDICATE),
        ({"predicate": []}, Joint.PREDICATE),
    ],
)
def test_what_is_no_statement(changes: dict[str, Any], joint: Joint) -> None:
    assert joint_of_reading({**GOOD, **changes}) is joint


def test_other_payloads_are_no_statements() -> None:
    assert joint_of_reading(GOOD, kind="text/plain") is Joint.STATEMENT
    for payload in (b"", b"[]", b"7", b'{"a":1,"a":1}'):
        assert joint_of_reading(payload) is Joint.STATEMENT


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": Digest.of_bytes(b"x")}, "the subject image"),
        ({"more": Digest.of_bytes(b"x")}, "the subject more"),
    ],
)
def test_a_subject_that_is_not_the_ladders(change: dict[str, Digest], words: str) -> None:
    made = Statement({**LADDER, **change}, TYPES["rebuild"], PREDICATES["rebuild"])
    with pytest.raises(RejectedError, match="subject") as caught:
        check_subjects(made, LADDER)
    assert caught.value.joint is Joint.SUBJECT
    assert words in caught.value.why


def test_a_subject_that_is_missing() -> None:
    with pytest.raises(RejectedError, match="subject"):
        check_subjects(statement("rebuild"), {**LADDER, "more": Digest.of_bytes(b"x")})


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("provenance", {"buildDefinition": {}}),
        ("provenance", {"runDetails": {"builder": {"id": "https://other.example"}}}),
        ("root-hash", {"verity": {"root_hash": "00" * 32}}),
        ("root-hash", {"machineHash": LADDER["sealed"]}),
        ("root-hash", {"verity": 7}),
        ("root-hash", {"build": {}}),
        ("run-once", {"machineHash": LADDER["sealed"]}),
        ("run-once", {"execution": {"same": False}}),
        ("run-once", {"builder": {"id": "x"}}),
        ("rebuild", {"same": "yes"}),
        ("rebuild", {"resolvedDependencies": []}),
        ("rebuild", {"time": "yesterday"}),
        ("rebuild", {"time": "2026-13-01T00:00:00Z"}),
        ("rebuild", {"time": 7}),
        ("rebuild", {"rebuilt": "nothing"}),
        ("rebuild", {"rebuilt": "toolchain "}),
        ("rebuild", {"rebuilt": ["toolchain"]}),
        ("rebuild", {"rebuilt": None}),
        ("sbom", {"spdxVersion": "SPDX-1.2"}),
        ("sbom", {"packages": []}),
        ("cyclonedx", {"specVersion": "1.4"}),
        ("cyclonedx", {"bomFormat": "SPDX"}),
        ("cyclonedx", {"components": None}),
        ("cyclonedx", {"metadata": {"timestamp": "now"}}),
        ("cyclonedx", {"metadata": {"properties": [{"name": "vcr:build", "value": "{"}]}}),
        ("cyclonedx", {"metadata": {"properties": [{"name": "vcr:build", "value": "{}"}] * 2}}),
        ("cyclonedx", {"metadata": []}),
    ],
)
def test_a_predicate_that_contradicts(kind: str, changes: dict[str, Any]) -> None:
    with pytest.raises(RejectedError) as caught:
        check_predicate(statement(kind, **changes))
    assert caught.value.joint is Joint.PREDICATE


def test_a_build_type_of_somebody_else() -> None:
    definition = {**PREDICATES["provenance"]["buildDefinition"], "buildType": "https://x.example"}
    with pytest.raises(RejectedError, match="predicate"):
        check_predicate(statement("provenance", buildDefinition=definition))


def test_a_predicate_of_an_unknown_type() -> None:
    with pytest.raises(RejectedError) as caught:
        check_predicate(Statement(LADDER, "https://x.example/v1", {}))
    assert "not known" in caught.value.why


@pytest.mark.parametrize("kind", ["provenance", "rebuild", "run-once", "root-hash"])
def test_a_statement_says_when_it_was_made(kind: str) -> None:
    assert time_of(statement(kind)) is None
    said = statement(kind, **with_time(kind, PREDICATES[kind], "2026-11-26T00:00:00Z"))
    assert time_of(said) == dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
    assert check_predicate(said) == kind


def test_a_root_hash_needs_its_drive() -> None:
    made = Statement(LADDER, TYPES["root-hash"], PREDICATES["root-hash"])
    with pytest.raises(RejectedError, match="predicate"):
        check_predicate(made)


def test_a_witness_says_how_much_it_rebuilt() -> None:
    for extent in (Rebuilt.PROJECT, Rebuilt.TOOLCHAIN):
        assert check_predicate(statement("rebuild", rebuilt=str(extent))) == "rebuild"
