"""A disk that is full: a clear error, nothing half-written, and it works once there is room."""

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from private_store import needs_private_store, private_store
from program import Vcr

pytestmark = pytest.mark.nix

DEV = ("--profile", "dev")


@pytest.fixture
def small(vcr: Vcr, tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, of which nothing is left; vcr sees it, other programs do not."""
    needs_private_store()
    place = tmp_path / "small"
    place.mkdir()
    mount = (
        'mount -t tmpfs -o size=256k,nr_inodes=256 small "$1" && echo ready && exec sleep infinity'
    )
    argv: list[str | Path] = ["unshare", "--mount", "sh", "-c", mount, "sh", place]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    vcr.before = ("nsenter", "--mount", "--target", str(holder.pid), "--")
    yield Path(f"/proc/{holder.pid}/root{place}")
    vcr.before = ()
    holder.kill()
    holder.communicate()


def fill(place: Path, room: int = 0) -> None:
    """Take all the space there is but ROOM bytes."""
    with (place / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while room == 0 or shutil.disk_usage(place).free > room:
            file.write(bytes(4096))


def files(place: Path) -> set[str]:
    return {
        str(p.relative_to(place)) for p in place.rglob("*") if p.name != "ballast" and p.is_file()
    }


def test_an_export(vcr: Vcr, project: Path, small: Path, tmp_path: Path) -> None:
    done = vcr("export", "vm", tmp_path / "small/out", project, code=5)
    assert "error: there is no room for the export in" in done.stderr
    assert [path.name for path in small.iterdir()] == []


@pytest.mark.parametrize("full", [True, False], ids=["full", "filling up"])
def test_the_state_of_a_container(
    vcr: Vcr, project: Path, small: Path, tmp_path: Path, full: bool
) -> None:
    """The layers of the image do not fit into what is there."""
    vcr("build", "image", *DEV, project)
    state = vcr.env["XDG_STATE_HOME"]
    vcr.env["XDG_STATE_HOME"] = str(tmp_path / "small/state")
    if full:
        fill(small)
    done = vcr("up", *DEV, project, code=5)
    assert "No space left on device" in done.stderr
    assert "free space there" in done.stderr
    assert "Traceback" not in done.stderr
    layers = small / "state/vcr/layers"
    assert not layers.exists() or list(layers.iterdir()) == []
    assert vcr.json("ps", "--all")["machines"] == []
    vcr.env["XDG_STATE_HOME"] = state
    assert vcr.json("up", *DEV, project)["status"] == "healthy"


def test_the_cache(vcr: Vcr, project: Path, small: Path, tmp_path: Path) -> None:
    vcr.env["XDG_CACHE_HOME"] = str(tmp_path / "small/cache")
    fill(small)
    done = vcr("build", "image", project, code=5)
    assert "error: cannot write" in done.stderr
    assert "why: No space left on device" in done.stderr
    assert files(small) == set()
    (small / "ballast").unlink()
    vcr("build", "image", project)


def test_the_temporary_directory(
    vcr: Vcr, project: Path, small: Path, tmp_path: Path, chance: random.Random
) -> None:
    (project / "www/index.html").write_text(f"never built before: {chance.random()}\n")
    vcr.env["TMPDIR"] = str(tmp_path / "small")
    fill(small)
    done = vcr("build", "image", project, code=5)
    assert "error: the disk is full" in done.stderr
    (small / "ballast").unlink()
    vcr("build", "image", project)
    assert list(small.iterdir()) == []


def test_a_new_project(vcr: Vcr, small: Path, tmp_path: Path) -> None:
    fill(small)
    done = vcr("-C", tmp_path / "small", "create", "app", code=5)
    assert "No space left on device" in done.stderr
    assert [path.name for path in small.iterdir()] == ["ballast"]


def test_the_lock_is_as_it_was(vcr: Vcr, project: Path, small: Path, tmp_path: Path) -> None:
    whole = (project / "vcr.lock").read_text()
    place = small / "app"
    shutil.copytree(project, place)
    stale = json.loads(whole)
    del stale["engine"]  # as in locks of before it was kept: written anew without a network
    (place / "vcr.lock").write_text(json.dumps(stale))
    before = (place / "vcr.lock").read_bytes()
    fill(small)
    done = vcr("lock", tmp_path / "small/app", code=5)
    assert "No space left on device" in done.stderr
    assert (place / "vcr.lock").read_bytes() == before
    assert {path.name for path in place.iterdir()} == {path.name for path in project.iterdir()}
    (small / "ballast").unlink()
    vcr("lock", tmp_path / "small/app")
    assert (place / "vcr.lock").read_text() == whole


@pytest.mark.parametrize("room", [100 << 10, 1 << 20], ids=lambda n: f"{n >> 10} KiB")
def test_the_store(vcr: Vcr, project: Path, tmp_path: Path, room: int) -> None:
    """ROOM bytes are left for a layer of 2 MiB, in a store on a disk of its own."""
    needs_private_store()
    disk = tmp_path / "disk"
    disk.mkdir()
    (project / "www/index.html").write_bytes(bytes(2 << 20))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "disk", disk], check=True)
    try:
        with private_store(disk / "store") as vcr.before:
            fill(disk, room)
            done = vcr("build", "image", project, code=5)
            assert "error: the disk is full" in done.stderr, done.stderr
            assert "vcr prune" in done.stderr
            (disk / "ballast").unlink()
            vcr("build", "image", project)
    finally:
        vcr.before = ()
        subprocess.run(["umount", "--lazy", disk], check=True)
