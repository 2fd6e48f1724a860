"""The file that Nix reads a plan from, in a cache that other builds use and clean up."""

import os
import time
from pathlib import Path

import pytest

from vcr.build.builder import Builder
from vcr.model.arch import Arch
from vcr.planner.prepare import prepare
from vcr.settings import Settings
from vcr.ui import Ui

STATIC = Path(__file__).resolve().parents[2] / "examples" / "static"


def test_an_empty_file_of_a_plan_is_written_again(tmp_path: Path) -> None:
    """It was left where another build removed the file in the middle, and no build came after."""
    loaded, plan = prepare(STATIC, arch=Arch.RISCV64, profile="vm")
    settings = Settings.load({"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")})
    builder = Builder(settings, Ui(), loaded)
    path = builder.write_plan(plan)
    text = path.read_bytes()
    assert text
    path.write_bytes(b"")
    assert builder.write_plan(plan) == path
    assert path.read_bytes() == text
    path.unlink()
    assert builder.write_plan(plan).read_bytes() == text


def test_a_clock_that_differs_from_that_of_the_files_takes_no_plan_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan was removed as soon as it was written where a process believes that it is later."""
    loaded, plan = prepare(STATIC, arch=Arch.RISCV64, profile="vm")
    settings = Settings.load({"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")})
    monkeypatch.setattr(time, "time", lambda: 4e9)
    path = Builder(settings, Ui(), loaded).write_plan(plan)
    assert path.stat().st_size > 0
    old = path.with_name("old.json")
    old.touch()
    os.utime(old, (1, 1))
    path.unlink()
    Builder(settings, Ui(), loaded).write_plan(plan)
    assert list(path.parent.iterdir()) == [path]
