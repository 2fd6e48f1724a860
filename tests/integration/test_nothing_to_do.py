"""Where nothing changed, an installed vcr does not ask Nix; where something did, it does."""

import shutil
from pathlib import Path

import pytest
from program import Vcr

from vcr.settings import Settings
from vcr.tools.nix import Nix

pytestmark = pytest.mark.nix


@pytest.fixture
def asked(vcr: Vcr, tmp_path: Path) -> Path:
    """Where it is noted how Nix is called, by a vcr that is installed."""
    vcr.program = [str(Nix(Settings.load()).build("vcr", lambda _: None) / "bin/vcr")]
    log, nix = tmp_path / "asked", shutil.which("nix")
    wrapper = tmp_path / "bin" / "nix"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {nix} "$@"\n')
    wrapper.chmod(0o755)
    vcr.env["PATH"] = f"{wrapper.parent}:{vcr.env['PATH']}"
    return log


def calls(asked: Path) -> int:
    """Return how often Nix was called, and forget it."""
    count = len(asked.read_text().splitlines()) if asked.exists() else 0
    asked.unlink(missing_ok=True)
    return count


def test_nix_is_asked_once(vcr: Vcr, project: Path, asked: Path) -> None:
    first = vcr.json("build", project)
    assert calls(asked) > 0
    again = vcr.json("build", project)
    assert calls(asked) == 0
    assert [rung["digest"] for rung in again["ladder"]] == [
        rung["digest"] for rung in first["ladder"]
    ]
    with (project / "Dockerfile").open("a") as file:
        file.write("ENV CHANGED=1\n")
    changed = vcr.json("build", project)
    assert calls(asked) > 0
    assert changed["ladder"] != first["ladder"]
    (root,) = (project.parent / "state").glob("vcr/roots/*/*/image")
    root.unlink()
    assert vcr.json("build", project)["ladder"] == changed["ladder"]
    assert calls(asked) > 0
    assert root.is_symlink()
