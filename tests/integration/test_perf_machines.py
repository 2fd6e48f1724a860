"""Profiles, gdb's stub and --turbo, on a machine that is up; what leads to a snapshot, by count."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from program import REPO

STATIC = REPO / "examples" / "static"

pytestmark = [pytest.mark.nix, pytest.mark.vm]


def test_a_machine_of_stage_is_profiled(vcr: Any, tmp_path: Path) -> None:
    done = vcr("up", "--turbo", STATIC)
    assert "NOTHING ABOUT THIS RUN IS REPRODUCIBLE" in done.stderr
    profile, svg = tmp_path / "profile.json", tmp_path / "profile.svg"
    vcr("perf", "record", STATIC, "--system", "--seconds", "3", "--output", profile)
    told = json.loads(profile.read_text())
    assert (told["kind"], told["clock"], told["profile"]) == ("vcr-profile", "time", "stage")
    assert any("kernel`" in stack for stack in told["stacks"])
    assert "SYMBOL" in vcr("perf", "report", profile).stdout
    vcr("perf", "report", profile, "--svg", svg)
    assert svg.read_text().rstrip().endswith("</svg>")
    # The stub answers as the remote protocol of gdb has it: it supports something.
    command = vcr("gdb", "--print", STATIC).stdout
    path = next(word for word in command.replace("'", " ").split() if word.endswith("/gdb"))
    with socket.socket(socket.AF_UNIX) as stub:
        stub.settimeout(30)
        stub.connect(path)
        stub.sendall(b"$qSupported#37")
        assert b"PacketSize" in stub.recv(4096)


def test_a_boot_is_profiled_by_instructions_the_same_each_time(vcr: Any, tmp_path: Path) -> None:
    built = vcr.json("build", STATIC, "--profile", "prod")
    snapshot = next(Path(row["path"]) for row in built["stages"] if row["name"] == "snapshot")
    for name in ("first", "second"):
        vcr("perf", "record", "--boot", STATIC, "--output", tmp_path / name)
    told = json.loads((tmp_path / "first").read_text())
    assert told["clock"] == "instructions"
    machine = json.loads((snapshot / "machine.json").read_text())
    assert told["duration"] == pytest.approx(machine["instructions"], rel=1e-4)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_release_is_not_looked_into(vcr: Any) -> None:
    assert "--turbo is not for" in vcr("up", "--turbo", "--profile", "prod", STATIC, code=2).stderr
    vcr("up", "--profile", "stage-release", STATIC)
    assert "release" in vcr("perf", "record", STATIC, "--seconds", "1", code=2).stderr
    assert "release" in vcr("gdb", "--print", STATIC, code=2).stderr
