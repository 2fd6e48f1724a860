"""A sealed drive that is changed while a machine starts: what was checked is what is used."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vcr.engines import sealed
from vcr.errors import HostError, MismatchError
from vcr.formats.hashes import verity
from vcr.formats.hashes.verity import BLOCK

SALT = "ab" * 32


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """Return a drive of 200 blocks, with its tree and its parameters beside it."""
    path = tmp_path / "drive"
    path.write_bytes(os.urandom(200 * BLOCK))
    told = verity.parameters(path, f"sha256:{SALT}")
    _, levels = verity._tree(path, told.data_blocks, bytes.fromhex(SALT))
    block = verity._superblock(told).ljust(BLOCK, b"\0")
    with path.open("ab") as file:
        file.write(block + b"".join(reversed(levels)))
    content = {**told.as_json(), "schema": 1, "machine_hash": f"sha256:{SALT}"}
    (tmp_path / "verity.json").write_text(json.dumps(content))
    return path


def unsquashfs(tmp_path: Path, before: str) -> Path:
    """Return a program in its place that does what BEFORE says, and keeps what it is given."""
    path = tmp_path / "unsquashfs"
    path.write_text(f'#!/bin/sh\nset -e\n{before}\nmkdir "$5"\ncat "$6" > "$5/got"\n')
    path.chmod(0o755)
    return path


def start(tmp_path: Path, before: str = "") -> bytes:
    place = tmp_path / "place"
    place.mkdir(exist_ok=True)
    program = unsquashfs(tmp_path, before)
    sealed.unpack(tmp_path / "drive", tmp_path / "verity.json", program, ["x"], place / "scratch")
    assert [path.name for path in place.iterdir()] == ["scratch"]
    return (place / "scratch" / "got").read_bytes()


SWAPS = {
    "another file by its name": "printf evil > {0}.new; mv {0}.new {0}",
    "other bytes in its place": "printf evil | dd of={0} conv=notrunc bs=1 seek=5000",
    "emptied": ": > {0}",
    "removed": "rm {0}",
    "a link": "rm {0}; ln -s /etc/passwd {0}",
}


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
def test_a_drive_that_is_swapped_after_the_check_is_not_used(
    tmp_path: Path, drive: Path, swap: str
) -> None:
    whole = drive.read_bytes()
    assert start(tmp_path, swap.format(drive)) == whole


def test_a_drive_that_differs_is_not_used(tmp_path: Path, drive: Path) -> None:
    whole = drive.read_bytes()
    for at in (0, 5000, 200 * BLOCK + 9, len(whole) - 1):
        changed = bytearray(whole)
        changed[at] ^= 1
        drive.write_bytes(changed)
        with pytest.raises(MismatchError):
            start(tmp_path, "exit 1")
    for other in (whole[:-1], whole[:BLOCK], whole + b"x", whole + bytes(4 << 20), b""):
        drive.write_bytes(other)
        with pytest.raises(MismatchError):
            start(tmp_path, "exit 1")
    assert list((tmp_path / "place").iterdir()) == []


def test_a_drive_without_end_is_not_read(tmp_path: Path, drive: Path) -> None:
    makers: tuple[Callable[[], None], ...] = (
        lambda: drive.symlink_to("/dev/zero"),
        lambda: os.mkfifo(drive),
    )
    for make in makers:
        drive.unlink()
        make()
        with pytest.raises(HostError, match="cannot read"):
            start(tmp_path, "exit 1")
    drive.unlink()
    with drive.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(MismatchError):
        start(tmp_path, "exit 1")


def test_where_files_are_not_shared_it_is_copied(
    tmp_path: Path, drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refused)
    whole = drive.read_bytes()
    assert start(tmp_path, SWAPS["emptied"].format(drive)) == whole
