"""`vcr lock` with a lock that somebody else wrote, and on a host that is careless."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program import PROGRAM

from vcr.errors import FetchError
from vcr.lock.debian.release import MAX_SIZE, Release
from vcr.lock.network.fetch import Source, fetch
from vcr.tools.apt import mirrors

pytestmark = pytest.mark.nix

REPO = Path(__file__).resolve().parents[2]


def has_release_of(lock: dict[str, Any]) -> bool:
    """Tell whether a mirror of this host still has the release that LOCK is of."""
    day = int(lock["epoch"]) - 24 * 3600
    for mirror in mirrors():
        source = Source(f"{mirror}/dists/trixie/InRelease", is_mirror=True)
        try:
            found = fetch([source], most=MAX_SIZE)
        except FetchError:
            continue
        signed = found.decode().partition("\n\n")[2].partition("\n-----BEGIN ")[0]
        return int(Release.parse(signed).date.timestamp()) == day
    return False


@pytest.fixture
def locked(vcr: Any, project: Path, tmp_path: Path) -> Path:
    """A project whose lock this host has never seen, and can compare."""
    if not has_release_of(json.loads((project / "vcr.lock").read_text())):
        pytest.skip("needs a mirror with the release that the example is locked at")
    known = tmp_path / "cache" / "vcr"
    known.mkdir(parents=True)
    vcr.env["XDG_CACHE_HOME"] = str(known.parent)
    return project


def tamper(project: Path) -> bytes:
    """Replace every hash and address of a package."""
    lock = json.loads((project / "vcr.lock").read_text())
    for packages in lock["bases"]["busybox"]["archs"].values():
        for package in packages:
            package["sha256"] = "ab" * 32
            package["url"] = package["url"].replace("/pool/", "/pool/evil/")
    (project / "vcr.lock").write_text(json.dumps(lock))
    return (project / "vcr.lock").read_bytes()


def test_an_audit_is_content_with_what_the_archive_had(vcr: Any, locked: Path) -> None:
    answer = vcr.json("lock", "--audit", locked)
    assert (answer["compared"], answer["differences"], answer["unasked"]) == (1, [], [])


def test_an_audit_names_what_differs(vcr: Any, locked: Path) -> None:
    before = tamper(locked)
    vcr("lock", "--check", locked)  # which asks no source
    told = vcr("lock", "--audit", locked, code=3).stderr
    assert "error: vcr.lock does not agree with its sources" in told
    assert "[base.busybox] riscv64: busybox-static: sha256 abab" in told
    assert (locked / "vcr.lock").read_bytes() == before


def test_a_tampered_lock_is_not_kept(vcr: Any, locked: Path) -> None:
    before = tamper(locked)
    assert "differs from its source" in vcr("lock", locked, code=3).stderr
    assert (locked / "vcr.lock").read_bytes() == before
    vcr("lock", "--update", locked)
    assert "ab" * 32 not in (locked / "vcr.lock").read_text()
    vcr("lock", "--audit", locked)


@pytest.mark.parametrize("make", ["directory", "fifo", "garbage", "deep", "epoch"])
def test_a_lock_that_is_none_is_exit_code_4(vcr: Any, project: Path, make: str) -> None:
    path = project / "vcr.lock"
    lock = json.loads(path.read_text())
    path.unlink()
    makers: dict[str, Callable[[], object]] = {
        "directory": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "garbage": lambda: path.write_bytes(b"\xff\x00{"),
        "deep": lambda: path.write_text("[" * 200_000),
        "epoch": lambda: path.write_text(json.dumps({**lock, "epoch": 10**18})),
    }
    makers[make]()
    for words in (("build",), ("lock", "--check"), ("lock", "--audit")):
        told = vcr(*words, project, code=4).stderr
        assert "vcr.lock cannot be read" in told
        assert "fix:" in told
    if make == "directory":
        vcr("lock", project, code=4)


def test_what_a_lock_says_of_an_image_is_what_the_image_says(
    vcr: Any, project: Path, tmp_path: Path
) -> None:
    built = vcr.json("build", "image", project)
    base = tmp_path / "base"
    shutil.copytree(Path(built["stages"][0]["path"]) / "layout", base, symlinks=True)
    child = tmp_path / "child"
    child.mkdir()
    shutil.copytree(base, child / "base")
    (child / "vcr.toml").write_text('[base.app]\noci = "base"\n')
    (child / "Dockerfile").write_text("FROM app\nENV A=b\n")
    vcr("lock", child)
    vcr("lock", "--audit", child)
    lock = json.loads((child / "vcr.lock").read_text())
    lock["bases"]["app"]["archs"]["riscv64"]["config"]["Cmd"] = ["/bin/evil"]
    (child / "vcr.lock").write_text(json.dumps(lock))
    told = vcr("build", "image", child, code=3).stderr
    assert "error: vcr.lock contradicts the image" in told
    assert "is not that of the image" in told
    assert "riscv64: config: Cmd" in vcr("lock", "--audit", child, code=3).stderr
    assert "riscv64: config: Cmd" in vcr("lock", child, code=3).stderr


def test_nobody_else_may_write_what_is_locked_under_a_careless_umask(
    vcr: Any, project: Path, tmp_path: Path
) -> None:
    vcr.env |= {
        "XDG_CACHE_HOME": str(tmp_path / "new/cache"),
        "XDG_STATE_HOME": str(tmp_path / "new/state"),
    }
    (project / "vcr.lock").unlink()
    (project / "Dockerfile").write_text("FROM scratch\nCOPY www /www\n")
    code = f"umask 000; exec {' '.join(map(repr, PROGRAM))} lock {project}"
    subprocess.run(["sh", "-c", code], env=vcr.env, check=True, timeout=600)
    made = [project / "vcr.lock", *(tmp_path / "new").rglob("*")]
    assert len(made) > 1
    loose = [path for path in made if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert loose == []
