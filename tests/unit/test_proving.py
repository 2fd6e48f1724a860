"""The use-cases that compare and state, called from Python: answers are results, not exits."""

import hashlib
import json
from pathlib import Path

import pytest
from test_attest_checker import signed
from test_attest_dsse import ALICE
from test_attest_statement import LADDER

from vcr import app
from vcr.attest.checks.rejected import RejectedError
from vcr.attest.keys import public_pem
from vcr.errors import MismatchError, UsageError
from vcr.settings import Settings

TERMS = {
    "name": "a", "profile": "prod", "arch": "riscv64", "engine": "qemu", "engine_version": "10",
    "epoch": 1795338944,
}  # fmt: skip


@pytest.fixture
def context(tmp_path: Path) -> app.Context:
    return app.Context(tmp_path, Settings.load({"HOME": str(tmp_path)}))


def ladder(path: Path, content: str, **terms: object) -> Path:
    """Write a ladder of one rung, whose file is beside it."""
    (path.parent / content).write_text(content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    rung = {"name": "snapshot", "digest": f"sha256:{digest}", "size": len(content), "path": content}
    path.write_text(json.dumps({"schema": 1, "kind": "build", **TERMS, **terms, "ladder": [rung]}))
    return path


def test_a_comparison_is_a_result_that_can_be_checked() -> None:
    same = app.Compared("image", "sha256:a", "sha256:a")
    other = app.Compared("rootfs", "sha256:b", "")
    good = app.Comparison((same,), app.Rebuilt.PROJECT)
    good.check()
    assert good.is_same
    bad = app.Comparison((same, other), app.Rebuilt.PROJECT)
    assert not bad.is_same
    with pytest.raises(MismatchError, match="the rung rootfs differs") as caught:
        bad.check()
    assert caught.value.details == (("expected", "sha256:b"), ("got", "no such rung"))


def test_a_repository_is_given_nothing_of_this_host(context: app.Context, tmp_path: Path) -> None:
    claim = app.read_claim(ladder(tmp_path / "ladder.json", "x"))
    context = app.Context(tmp_path, context.settings, outside=(tmp_path,))
    with pytest.raises(UsageError, match="--allow-outside does not go with --git"):
        app.verify(context, claim, app.Source("https://host.invalid/a.git"))


@pytest.mark.parametrize("what", ["profile", "arch", "engine"])
def test_a_claim_of_what_this_vcr_cannot_build_is_refused(context: app.Context, what: str) -> None:
    """A ladder as a file has its names checked; a statement and a program's claim have not."""
    with pytest.raises(MismatchError, match=r"there is no \w+ 'other'"):
        app.verify(context, app.claim_of({**TERMS, what: "other"}, ()))


def test_who_rebuilds_nothing_states_nothing(context: app.Context, tmp_path: Path) -> None:
    claim = app.read_claim(ladder(tmp_path / "ladder.json", "x"))
    with pytest.raises(UsageError, match="there is nothing to state"):
        app.witness(context, claim, key=tmp_path / "k", show=print, extent=app.Rebuilt.NOTHING)


def test_an_explanation_names_the_rung_and_the_file(context: app.Context, tmp_path: Path) -> None:
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(ladder(tmp_path / name / "ladder.json", name))
    same = app.explain(context, paths[0], paths[0])
    assert same.rung is None
    same.check()
    parted = app.explain(context, *paths)
    assert parted.rung is not None
    assert parted.rung.name == "snapshot"
    assert parted.differences
    with pytest.raises(MismatchError, match="the rung snapshot differs"):
        parted.check()


def test_other_engines_have_nothing_in_common(context: app.Context, tmp_path: Path) -> None:
    first = ladder(tmp_path / "first.json", "x")
    second = ladder(tmp_path / "second.json", "y", engine_version="11")
    with pytest.raises(MismatchError) as caught:
        app.explain(context, first, second).check()
    assert caught.value.why == "machines of different engines have nothing in common"


def test_a_statement_is_verified_by_who_signed_it(context: app.Context, tmp_path: Path) -> None:
    file, key = tmp_path / "alice.json", tmp_path / "alice.pub"
    file.write_bytes(signed("rebuild", ALICE))
    key.write_bytes(public_pem(ALICE.public_key()))
    verdict = app.verify_statements(context, [file], app.Demands(keys=(key,)))
    assert [said.kind for said in verdict.said] == ["rebuild"]
    assert verdict.ladder == LADDER
    with pytest.raises(UsageError, match="no key is trusted yet"):
        app.verify_statements(context, [file], app.Demands())
    with pytest.raises(RejectedError):
        app.verify_statements(
            context, [file], app.Demands(keys=(app.keygen(tmp_path / "b").public,))
        )


def test_evidence_is_written_beside_its_statement(tmp_path: Path) -> None:
    envelope = app.Envelope(b"x", "text/plain", ())
    files = app.Attestation(envelope, "nitro", app.Evidence("kind", b"y", {"root": b"z"})).write(
        tmp_path / "a.json"
    )
    names = ["a.json", "a.json.nitro", "a.json.nitro.root"]
    assert [file.name for file in files] == names
    assert [file.read_bytes() for file in files] == [envelope.to_bytes(), b"y", b"z"]
