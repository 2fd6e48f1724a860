"""Makes room for a run of all tests: removes what earlier runs built, where the disk is small.

What is built once makes the next run quick, so it stays where there is room for another run.
"""

import shutil
import sys

from vcr.settings import Settings
from vcr.tools.nix import Nix
from vcr.tools.nix_store import NixStore


def make_room(store: NixStore, room: int) -> int:
    """Remove builds of STORE that nothing keeps if it has less than ROOM bytes; return how many."""
    if shutil.disk_usage("/nix/store").free >= room:
        return 0
    return len(store.delete(store.dead_builds()))


if __name__ == "__main__":
    if removed := make_room(NixStore(Nix(Settings.load())), int(sys.argv[1]) << 30):
        sys.stderr.write(f"removed {removed} builds of earlier runs: little room in /nix\n")
