"""A context of 50,000 files: a build with nothing to do reads none of them."""

import ctypes
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vcr.build import contents
from vcr.settings import Settings
from vcr.tools.nar import nar_sha256

pytestmark = [pytest.mark.nix, pytest.mark.limit(900)]

DIRECTORIES, FILES = 50, 1000  # in each
IN_OPEN, IN_ISDIR = 0x20, 0x40000000  # inotify(7)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    for number in range(DIRECTORIES):
        directory = root / f"data/{number:02}"
        directory.mkdir(parents=True)
        for other in range(FILES):
            (directory / f"{other:03}.txt").write_text(f"{number} {other}\n")
    (root / "Dockerfile").write_text('FROM scratch\nCOPY . /app\nCMD ["/app/none"]\n')
    (root / "vcr.toml").write_text('[machine]\nmemory = "256 MiB"\n')
    return root


@contextmanager
def opened(directories: list[Path]) -> Iterator[list[str]]:
    """Collect the names of files that anybody opens in DIRECTORIES while the block runs."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(os.O_NONBLOCK)
    for path in directories:
        assert libc.inotify_add_watch(handle, os.fsencode(path), IN_OPEN) > 0
    names: list[str] = []
    try:
        yield names
        while True:
            try:
                data = os.read(handle, 1 << 20)
            except BlockingIOError:
                return
            while data:
                _, mask, _, length = struct.unpack_from("iIII", data)
                if not mask & IN_ISDIR:
                    names.append(data[16 : 16 + length].rstrip(b"\0").decode())
                data = data[16 + length :]
    finally:
        os.close(handle)


def evaluations(text: str) -> int:
    return sum(line.startswith("debug: nix build --dry-run") for line in text.splitlines())


def test_a_build_with_nothing_to_do_reads_no_file_and_starts_nix_once(
    vcr: Any, project: Path
) -> None:
    vcr("lock", project)
    time.sleep(contents.SETTLED)
    first = vcr.json("build", "image", project)
    directories = sorted((project / "data").iterdir())
    with opened(directories) as names:
        done = vcr("--debug", "build", "image", project)
    assert names == []
    assert [line.split() for line in done.stderr.splitlines() if "cached" in line] == [
        ["image", "cached"]
    ]
    assert sum(line.startswith("debug: ") for line in done.stderr.splitlines()) == 1
    assert evaluations(done.stderr) == 1
    # One that changed is read, by vcr and by Nix, and makes another image.
    (project / "data/07/007.txt").write_text("changed\n")
    with opened([project / "data/07"]) as names:
        second = vcr.json("build", "image", project)
    assert "007.txt" in names
    (stage,) = second["stages"]
    assert stage["reason"] == "data/07/007.txt changed"
    assert second["ladder"][0]["digest"] != first["ladder"][0]["digest"]


def test_what_vcr_missed_of_a_change_is_noticed_by_nix(vcr: Any, tmp_path: Path) -> None:
    """A memory that is wrong names a tree that Nix does not find: then all is read again."""
    root = tmp_path / "small"
    root.mkdir()
    (root / "a.txt").write_text("one")
    (root / "Dockerfile").write_text("FROM scratch\nCOPY a.txt /\n")
    vcr("lock", root)
    time.sleep(contents.SETTLED)
    vcr("build", "image", root)
    kept = contents.Contents.of(root, Settings.load(vcr.env).cache_dir).file
    right, wrong = nar_sha256(root, ["a.txt"]), f"sha256-{'A' * 43}="
    assert right in kept.read_text()
    kept.write_text(kept.read_text().replace(right, wrong))
    assert vcr.json("build", "image", root)["stages"][0]["cached"]
    assert right in kept.read_text()
    assert wrong not in kept.read_text()
