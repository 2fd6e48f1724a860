"""vcr.app is for other programs: typed, cheap to import, and silent."""

import ast
import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import vcr.app
from vcr.app.building.standing import State
from vcr.app.hosting.doctor import Finding
from vcr.errors import FetchError, HostError, LockError, MismatchError, UsageError

# What the Ui of a context is not for: those are answers, and use-cases return answers.
ANSWERS = {"data", "document", "json", "table", "lines", "program", "clear", "error"}


def modules(repo: Path) -> list[Path]:
    return sorted((repo / "vcr/app").rglob("*.py"))


def test_importing_it_is_cheap() -> None:
    code = (
        "import sys, vcr.app; vcr.app.Context; "
        "print(*sorted({'pydantic', 'rich', 'click', 'cryptography'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("name", vcr.app.PUBLIC)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(vcr.app, name)
    assert value.__doc__
    assert value is getattr(importlib.import_module(value.__module__), name)


def test_what_types_are_checked_by_is_what_is_imported() -> None:
    """Type checkers read the imports of vcr/app/__init__.py, Python the table beside them."""
    tree = ast.parse(Path(vcr.app.__file__).read_text())
    declared = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vcr.")
        for alias in node.names
    }
    assert declared == vcr.app.PUBLIC


def test_it_prints_no_answers_and_knows_no_click(repo: Path) -> None:
    for path in modules(repo):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ANSWERS:
                owner = node.value
                name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                assert name != "ui", f"{path.name}:{node.lineno} prints"
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "click" not in ast.unparse(node), f"{path.name}:{node.lineno}"


def test_a_context_is_silent_unless_told_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    context = vcr.app.Context(tmp_path / "nothing")
    context.ui.warn("something")
    with context.ui.step("work") as step:
        step.line("at it")
    with pytest.raises(UsageError):
        vcr.app.build(context)
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "state/vcr").stat().st_mode & 0o077 == 0


def test_a_variant_has_names_that_mean_something() -> None:
    with pytest.raises(UsageError, match="there is no profile 'stag'"):
        vcr.app.Variant(profile="stag")
    with pytest.raises(UsageError, match="there is no engine 'bochs'"):
        vcr.app.Variant(engine="bochs")


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> vcr.app.Context:
    """A context as other programs make it, with a home of its own."""
    for name in ("STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return vcr.app.Context(tmp_path)


def test_a_project_is_made_and_asked_about(quiet: vcr.app.Context) -> None:
    project = replace(quiet, directory=vcr.app.create(quiet, "my-app", "static"))
    assert vcr.app.standing(project) == vcr.app.Standing(State.LOCKED, "my-app")
    vcr.app.check_lock(project)
    found = {value.key: value for value in vcr.app.configuration(project).values}
    assert found["base.busybox.packages"].origin == "vcr.toml"
    assert found["machine.cpus"].origin == "default"
    (project.directory / "vcr.toml").write_text('[base.busybox]\npackages = ["dash"]\n')
    assert vcr.app.standing(project).state is State.STALE
    with pytest.raises(LockError):
        vcr.app.check_lock(project)
    with pytest.raises(UsageError, match="there is no template"):
        vcr.app.create(quiet, "other", "cobol")


def test_a_result_that_may_be_negative_says_so_when_it_is_checked() -> None:
    vcr.app.Audited(3, (), (), ("an answer",)).check()
    with pytest.raises(MismatchError, match="does not agree"):
        vcr.app.Audited(3, ("one",), ("another",), ()).check()
    with pytest.raises(FetchError, match="1 entry could"):
        vcr.app.Audited(3, (), ("another",), ()).check()
    vcr.app.Diagnosis((Finding("npm", "warning", "not found"),)).check()
    with pytest.raises(HostError, match="nix"):
        vcr.app.Diagnosis((Finding("nix", "missing", "not found"),)).check()
