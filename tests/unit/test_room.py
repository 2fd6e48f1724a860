"""`bin/test --all` on a disk that is too small says so, before it builds or tests anything."""

import os
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
MOUNT = 'mount -t tmpfs -o size=3m small "$1" || exit 77; shift; exec "$@"'
ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user")


def run_with_little_room(place: Path, **env: str) -> str:
    """Run all tests where PLACE is on a disk of 3 MiB; return what is said."""
    argv = ["unshare", *ROOT, "--mount", "sh", "-euc", MOUNT, "sh", place, REPO / "bin/test"]
    done = subprocess.run(
        [*argv, "--all"], env=os.environ | env, capture_output=True, text=True, check=False
    )
    if done.returncode == 77 or "unshare: " in done.stderr:
        pytest.skip(f"needs the right to mount: {done.stderr}")
    assert (done.returncode, done.stdout) == (5, "")
    return done.stderr


def test_a_temporary_directory_with_little_room(tmp_path: Path) -> None:
    place = tmp_path / "a b"
    place.mkdir()
    assert run_with_little_room(place, TMPDIR=str(place)) == (
        f"error: there is too little room in {place}\n"
        "  why: all tests take up to 8 GiB there, and 3 MiB are free\n"
        "  fix: make room, or set TMPDIR to a directory on another disk\n"
    )


@pytest.mark.skipif(not Path("/nix/store").exists(), reason="needs a store")
def test_a_store_with_little_room() -> None:
    said = run_with_little_room(Path("/nix"))
    assert said.startswith("error: there is too little room in /nix\n")
    assert "8 GiB there, and 3 MiB are free" in said
    assert "`bin/vcr prune`" in said
