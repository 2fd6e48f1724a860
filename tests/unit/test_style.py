"""The source is in order: the checks of bin/lint."""

import stat
import tomllib
from pathlib import Path

import pytest
from lint import CHECKS, SHELLS, Check, files, first_line, shell_scripts
from shell_parts import parts, write_parts

# What each check has to find, in a file of this name.
FAULTS = {
    "mypy": ("vcr/__init__.py", 'NUMBER: int = "text"\n'),
    "go vet, gofmt": ("guest/x/main.go", "package main\n\nfunc main() {\nprintln(1) }\n"),
    "ruff check": ("x.py", '"""X."""\n\nimport os\n'),
    "ruff format": ("x.py", "x = [1,2]\n"),
    "shellcheck": ("bin/x", "#!/bin/sh\necho $1\n"),
    "shell parts": ("x.nix", "run { } ''\n  if ${x}; then\n''\n"),
    "nix syntax": ("x.nix", "{ a = 1 }\n"),
}


def needs(check: Check) -> None:
    if not check.is_possible():
        pytest.skip(f"needs {check.program}: bin/lint brings it")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_source_is_in_order(check: Check) -> None:
    needs(check)
    assert check.run() == ""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_fault_is_found(check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs(check)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name, text = FAULTS[check.name]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    (path.parent / "go.mod").write_text("module x\n\ngo 1.24\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.mypy]\nfiles = ["vcr"]\n[tool.ruff.lint]\nselect = ["F401"]\n'
    )
    assert Path(name).name in check.run(tmp_path)


def test_shell_in_other_files_is_found_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.nix").write_text(
        "# one\nrun { } ''\n  cd ${if a then { b = 1; } else c}\n    echo ''${x}\n''\n"
    )
    assert list(parts(tmp_path / "x.nix")) == [(3, "cd /nix/store/word\n  echo ${x}\n")]
    (tmp_path / "x.yml").write_text("steps:\n  - run: a ${{ vars.B }} c\n")
    assert list(parts(tmp_path / "x.yml")) == [(2, "a word c\n")]
    (written,) = write_parts(tmp_path / "x.yml", tmp_path)
    assert written.name == f"{tmp_path.name}-x.yml.2"
    assert written.read_text() == "\na word c\n"


def test_every_program_is_checked_by_its_language(repo: Path) -> None:
    """A program without a suffix is Python that ruff and mypy are given, or a shell script."""
    settings = tomllib.loads((repo / "pyproject.toml").read_text())["tool"]
    scripts = set(shell_scripts(repo))
    for path in files(repo):
        if not (repo / path).stat().st_mode & stat.S_IXUSR or path.suffix == ".py":
            continue
        if "python" in first_line(repo / path):
            assert str(path) in settings["ruff"]["extend-include"], path
            assert str(path) in settings["mypy"]["files"], path
        else:
            assert str(path) in scripts, path


def test_every_script_says_which_shell_reads_it(repo: Path) -> None:
    for path in files(repo):
        line = first_line(repo / path)
        assert not line.startswith("#!") or line in (*SHELLS, "#!/usr/bin/env python3"), path


def test_mypy_is_given_every_directory_with_python(repo: Path) -> None:
    given = tomllib.loads((repo / "pyproject.toml").read_text())["tool"]["mypy"]["files"]
    python = {path for path in files(repo) if path.suffix == ".py"}
    assert {path.parts[0] for path in python} <= set(given)
