"""Makes room for tests: removes what they built before and nothing keeps, where the disk is small.

What is built once makes the next run quick, so it stays where there is room for another run.
"""

import fcntl
import shutil
import sys
from pathlib import Path

from vcr.settings import Settings
from vcr.tools.nix import Nix
from vcr.tools.nix_store import NixStore

STORE = Path("/nix/store")
ROOM = 12 << 30  # bytes that are free before a test that builds


def make_room(store: NixStore, room: int) -> int:
    """Remove builds of STORE that nothing keeps if it has less than ROOM bytes; return how many."""
    if not STORE.exists() or shutil.disk_usage(STORE).free >= room:
        return 0
    return len(store.delete(store.dead_builds()))


def make_room_in_time(locks: Path) -> None:
    """Make room before a test that builds; of several workers one does, by a file in LOCKS."""
    if not STORE.exists() or shutil.disk_usage(STORE).free >= ROOM:
        return
    with (locks / "make-room").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        make_room(NixStore(Nix(Settings.load())), ROOM)


if __name__ == "__main__":
    if removed := make_room(NixStore(Nix(Settings.load())), int(sys.argv[1]) << 30):
        sys.stderr.write(f"removed {removed} builds of earlier runs: little room in /nix\n")
