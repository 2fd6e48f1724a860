"""`vcr doctor` grades what it finds and says how to get the rest."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vcr.app.hosting import doctor
from vcr.app.hosting.doctor import Finding
from vcr.cli import run
from vcr.cli.context import App
from vcr.errors import ExitCode, HostError
from vcr.settings import Settings
from vcr.ui import Ui


@pytest.fixture
def app(tmp_path: Path) -> App:
    ui = Ui(out=io.StringIO(), err=io.StringIO())
    return App(Settings.load({"HOME": str(tmp_path)}), ui, tmp_path)


def only(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    def check(_: Settings) -> Iterator[Finding]:
        yield from findings

    monkeypatch.setattr(doctor, "CHECKS", (check,))


def test_a_warning_is_not_a_failure(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Finding("npm", "warning", "not found", "get npm"))
    assert run(app, ["doctor"]) is ExitCode.OK
    assert isinstance(app.ui.err, io.StringIO)
    assert "npm: get npm" in app.ui.err.getvalue()


def test_what_is_essential_is_exit_code_5(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Finding("nix", "missing", "not found", "get nix"), Finding("x", "ok", ""))
    assert run(app, ["--json", "doctor"]) is ExitCode.HOST
    assert isinstance(app.ui.out, io.StringIO)
    assert isinstance(app.ui.err, io.StringIO)
    assert [f["grade"] for f in json.loads(app.ui.out.getvalue())["findings"]] == ["missing", "ok"]
    assert "this host lacks: nix" in app.ui.err.getvalue()


def test_a_host_without_nix_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (finding,) = doctor.check_nix(Settings.load())
    assert finding.grade == "missing"
    assert "nix-bin" in finding.fix


@pytest.mark.parametrize(
    ("version", "grade"),
    [("nix (Nix) 2.8.0", "ok"), ("nix (Nix) 2.26.3", "ok"), ("2.3", "missing")],
)
def test_versions_of_nix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, grade: str
) -> None:
    program = tmp_path / "nix"
    # Not a shell script: the Nix sandbox, where this runs too, has no /bin/sh.
    program.write_text(f"#!{sys.executable} -I\nprint({version!r})\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = doctor.check_nix(Settings.load())
    assert finding.grade == grade


def test_a_sandbox_that_does_not_work_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise HostError("no", why="no user namespaces")

    monkeypatch.setattr("vcr.tools.nix.Nix.try_sandbox", fail)
    (finding,) = doctor.check_sandbox(Settings.load())
    assert (finding.grade, finding.found) == ("missing", "no user namespaces")


def test_the_other_checks_run_here() -> None:
    for check in (doctor.check_store, doctor.check_space, doctor.check_memory):
        (finding,) = check(Settings.load())
        assert finding.grade in {"ok", "warning", "missing"}
        assert finding.found
    assert {f.name for f in doctor.check_programs(Settings.load())} >= {"git", "npm"}
