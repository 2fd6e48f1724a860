"""The Cartesi engine for real. Its emulator and kernel are on no mirror of Debian or Go:
VCR_CARTESI_MACHINE names a directory that has the two files of nix/pins/cartesi.json."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from test_examples import address, get

FILES = os.environ.get("VCR_CARTESI_MACHINE", "")
pytestmark = [
    pytest.mark.nix,
    pytest.mark.vm,
    pytest.mark.skipif(not FILES, reason="needs VCR_CARTESI_MACHINE: emulator and kernel"),
]

REPO = Path(__file__).resolve().parents[2]
WORDS = ("--profile", "prod", "--engine", "cartesi", "--from", FILES)


def test_a_cartesi_machine_is_built_sealed_and_serves(vcr: Any) -> None:
    example = REPO / "examples" / "static"
    built = vcr.json("build", *WORDS, example)
    names = [rung["name"] for rung in built["ladder"]]
    assert names[-3:] == ["machine", "snapshot", "sealed"]
    made = json.loads(Path(built["ladder"][-2]["path"]).read_text())
    assert (made["engine"], made["pinned"]) == ("cartesi", True)
    machine = vcr.json("up", *WORDS, example)
    status, page = get(address(machine))
    assert status == 200
    assert "verifiable machine" in page
    vcr("down", "-t", "1", example)


def test_an_app_that_is_never_healthy_leaves_nothing(vcr: Any, project: Path) -> None:
    with (project / "Dockerfile").open("a") as file:
        file.write('CMD ["busybox", "sh", "-c", "exit 3"]\n')
    assert "exit app rc=3" in vcr("build", *WORDS, project, code=6).stderr
