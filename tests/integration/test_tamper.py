"""A flipped byte, wherever it is, is found: in the snapshot, the drive, its parameters, the ladder.

Positions are random, from a fixed seed; nothing is built anew for them.
"""

import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_prod import STATIC, stage

from vcr.engines.machine import Channels
from vcr.engines.qemu.snapshot import SnapshotMachine
from vcr.engines.sealed import check_drive, check_machine, read_parameters
from vcr.errors import ExitCode, MismatchError
from vcr.formats.hashes.merkle import machine_hash
from vcr.formats.hashes.verity import BLOCK
from vcr.settings import Settings
from vcr.tools.nix import Nix

pytestmark = [pytest.mark.nix, pytest.mark.vm]

FLIPS = 12  # of each part


@pytest.fixture
def built(vcr: Any) -> dict[str, Any]:
    ladder: dict[str, Any] = vcr.json("build", "--profile", "prod", STATIC)
    return ladder


@contextmanager
def flipped(path: Path, at: int, chance: random.Random) -> Iterator[None]:
    """Flip a bit of the byte AT of the file at PATH while the block runs."""
    with path.open("r+b") as file:
        old = os.pread(file.fileno(), 1, at)
        os.pwrite(file.fileno(), bytes([old[0] ^ (1 << chance.randrange(8))]), at)
        try:
            yield
        finally:
            os.pwrite(file.fileno(), old, at)


def writable(source: Path, target: Path) -> Path:
    shutil.copy(source, target)
    target.chmod(0o644)
    return target


def test_of_a_snapshot(built: dict[str, Any], tmp_path: Path) -> None:
    copy = tmp_path / "snapshot"
    copy.mkdir()
    snapshot, sealed = stage(built, "snapshot"), stage(built, "seal")
    files = [writable(snapshot / name, copy / name) for name in ("ram", "state", "machine.json")]
    expected = json.loads((sealed / "verity.json").read_bytes())["machine_hash"]
    check_machine(expected, machine_hash(copy))
    chance = random.Random(1)
    for path in files:
        for _ in range(FLIPS):
            at = chance.randrange(path.stat().st_size)
            with flipped(path, at, chance), pytest.raises(MismatchError) as caught:
                check_machine(expected, machine_hash(copy))
            assert caught.value.code is ExitCode.MISMATCH, f"{path.name}, byte {at}"
    check_machine(expected, machine_hash(copy))


def test_of_a_drive(vcr: Any, built: dict[str, Any], tmp_path: Path) -> None:
    seal = stage(built, "seal")
    drive = writable(seal / "drive", tmp_path / "drive")
    told = read_parameters(seal / "verity.json")
    words = ("verify", "--image", drive, "--root", told["root_hash"], "--verity")
    vcr(*words, seal / "verity.json")
    superblock = told["hash_offset"]
    parts = {
        "data": (0, superblock),
        "superblock": (superblock, superblock + BLOCK),
        "tree": (superblock + BLOCK, drive.stat().st_size),
    }
    chance = random.Random(2)
    for name, (begin, end) in parts.items():
        for _ in range(FLIPS):
            at = chance.randrange(begin, end)
            with flipped(drive, at, chance), pytest.raises(MismatchError, match="not the one"):
                check_drive(drive, told)
        with flipped(drive, at, chance):
            error = vcr(*words, seal / "verity.json", code=3).stderr
        assert "the drive is not the one that was sealed" in error, name
    vcr(*words, seal / "verity.json")
    other = ("--root", "0" * 64, "--verity", seal / "verity.json")
    assert "another drive" in vcr("verify", "--image", drive, *other, code=3).stderr


def test_of_the_parameters(built: dict[str, Any], tmp_path: Path) -> None:
    seal = stage(built, "seal")
    path = writable(seal / "verity.json", tmp_path / "verity.json")
    root = read_parameters(path)["root_hash"]
    chance = random.Random(3)
    for at in range(path.stat().st_size - 1):  # all of them, but for the newline at the end
        with flipped(path, at, chance):
            assert not agrees(path, seal / "drive", root), f"byte {at}"


def agrees(parameters: Path, drive: Path, root: str) -> bool:
    try:
        told = read_parameters(parameters)
        if told["root_hash"] != root:
            return False  # vcr verify --root
        check_drive(drive, told)
    except MismatchError:
        return False
    return True


def test_of_a_ladder(vcr: Any, built: dict[str, Any], tmp_path: Path) -> None:
    """Each is refused by `vcr verify`; tests/unit/test_verify.py tries many more."""
    rungs = [{key: row[key] for key in ("name", "digest", "size")} for row in built["ladder"]]
    claim = {key: value for key, value in built.items() if key not in {"stages", "ladder"}}
    path = tmp_path / "ladder.json"
    path.write_text(json.dumps({**claim, "ladder": rungs}, separators=(",", ":")))
    vcr("verify", path, STATIC, "--accept-cache")
    chance = random.Random(4)
    for _ in range(FLIPS):
        at = chance.randrange(path.stat().st_size)
        with flipped(path, at, chance):
            vcr("verify", path, STATIC, "--accept-cache", code=3)


def test_a_tampered_drive_never_starts(built: dict[str, Any], tmp_path: Path) -> None:
    seal = stage(built, "seal")
    machine = SnapshotMachine(
        name="static",
        qemu=Path("/nonexistent"),
        qemu_data=Path("/nonexistent"),
        drive=writable(seal / "drive", tmp_path / "drive"),
        verity=seal / "verity.json",
        unsquashfs=Nix(Settings.load()).toolset("build") / "usr/bin/unsquashfs",
        ports=(),
        health=None,
    )
    channels = Channels(*(tmp_path / name for name in ("console", "log", "agent", "qmp")))
    chance = random.Random(5)
    at = chance.randrange(machine.drive.stat().st_size)
    with flipped(machine.drive, at, chance), pytest.raises(MismatchError):
        machine.prepare(channels)
    assert not channels.scratch.exists()
    machine.prepare(channels)
    assert channels.scratch.exists()
