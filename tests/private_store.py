"""A Nix store of a test's own: all of the host's, and what is written to it is the test's.

An overlay over /nix in a mount namespace that a process holds. What is below must not
change meanwhile but by addition, as stores do. Nix's database is in a directory of its own:
in an overlay, a journal that another process makes below would be taken for that of a copy.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MOUNT = (
    'mount -t overlay overlay -o "lowerdir=/nix,upperdir=$1,workdir=$2" /nix'
    ' && mount --bind "$3" /nix/var/nix/db && echo ready && exec sleep infinity'
)
DATABASE = Path("/nix/var/nix/db/db.sqlite")
SCHEMA = DATABASE.with_name("schema")  # its version


def needs_private_store() -> None:
    """Skip the test where a store of its own cannot be had."""
    nix = shutil.which("nix")
    if os.geteuid() != 0 or nix is None or Path(nix).resolve().is_relative_to("/nix"):
        pytest.skip("needs the right to mount, and a Nix that is not in /nix")


@contextmanager
def private_store(directory: Path) -> Iterator[tuple[str | Path, ...]]:
    """Make the store below DIRECTORY; yield what a command that uses it begins with."""
    needs_private_store()
    upper, work, database = (directory / name for name in ("upper", "work", "db"))
    for each in (upper, work, database):
        each.mkdir(parents=True)
    _copy_database(database)
    argv: list[str | Path] = ["unshare", "--mount", "sh", "-c", MOUNT, "sh", upper, work, database]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != "ready\n":
            pytest.skip(f"needs an overlay over /nix: {holder.stderr.read()}")
        yield ("nsenter", "--mount", "--target", str(holder.pid), "--")
    finally:
        holder.kill()
        holder.communicate()
        shutil.rmtree(directory, ignore_errors=True)


def _copy_database(directory: Path) -> None:
    """Copy Nix's database into DIRECTORY as it is now, while others may write to it."""
    with (
        sqlite3.connect(DATABASE) as source,
        sqlite3.connect(directory / DATABASE.name) as copy,
    ):
        source.backup(copy)
    copy.close()
    source.close()
    shutil.copy(SCHEMA, directory)
