"""ruff and mypy, strict, over everything that is Python."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def check(repo: Path, *argv: str) -> None:
    done = subprocess.run(argv, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def ruff() -> str:
    beside = Path(sys.executable).with_name("ruff")
    found = str(beside) if beside.exists() else shutil.which("ruff")
    if found is None:
        pytest.skip("needs ruff")
    return found


def test_the_linter_is_content(repo: Path) -> None:
    check(repo, ruff(), "check", "--no-cache", ".")


def test_the_formatter_is_content(repo: Path) -> None:
    check(repo, ruff(), "format", "--no-cache", "--check", ".")


def test_types_are_right(repo: Path, tmp_path: Path) -> None:
    check(repo, sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path))
