"""What vcr keeps on this host outside the Nix store that no running machine needs.

The caller holds `exclusive`, so that no machine is just being made.
"""

import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vcr.atomic import SCRATCH, remove_abandoned
from vcr.engines.container.layers import remove_tree
from vcr.engines.container.services import PLACE
from vcr.flock import flocked
from vcr.runtime.record import LOCK, STARTING, Record, Records

WRITTEN_SECONDS = 60.0  # after which a file that is being written by vcr.atomic was abandoned
MADE_SECONDS = 2.0  # after which a build has mounted its directory into its sandbox
# Where Nix builds; it removes that itself, unless it is killed: src/libstore/build in Nix
_BUILT = re.compile(r"nix-build-vcr-.*\.drv-\d+")
_WRITTEN = re.compile(r"\..+\.[a-z0-9_]{8}")  # its name, by tempfile


@dataclass(frozen=True)
class Leftover:
    """One file or directory that may go: a machine, socket, layer or scratch."""

    kind: str
    path: Path

    @property
    def size(self) -> int:
        """Return the bytes that it takes on the disk; a file of two names counts once."""
        found: dict[tuple[int, int], int] = {}
        for path in (self.path, *self.path.rglob("*")):
            with suppress(OSError):
                status = path.lstat()
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
        return sum(found.values())

    def remove(self) -> None:
        """Remove it, unless it has come into use."""
        if self.kind == "machine":
            with flocked(self.path / LOCK) as is_held:
                if is_held:
                    remove_tree(self.path)
        elif self.path.name.startswith(SCRATCH):
            remove_abandoned(self.path)
        elif self.path.is_dir() and not self.path.is_symlink():
            remove_tree(self.path)
        else:
            self.path.unlink(missing_ok=True)


@contextmanager
def exclusive(records: Records) -> Iterator[None]:
    """Wait until no machine is just being made, and let none be while the block runs."""
    with flocked(records.settings.state_dir / STARTING, wait=True):
        yield


def find_leftovers(records: Records) -> list[Leftover]:
    """Return what may go, machines first."""
    running = [record for record in records.all() if record.is_running]
    needed = {name for record in running for name in (record.key, record.where)}
    state, runtime = records.settings.state_dir, records.settings.runtime_dir
    machines = [path for path in _children(state / "machines") if not _is_used(path, needed)]
    kept = {path.name for path in _children(state / "machines")} - {m.name for m in machines}
    sockets = {records.channels(key).agent.parent for key in kept}
    layers = {layer for record in running for layer in _layers_of(record, records)}
    return [
        *(Leftover("machine", path) for path in machines),
        *(Leftover("socket", path) for path in _children(runtime) if path not in sockets),
        *(Leftover("layer", path) for path in _children(state / "layers") if path not in layers),
        *(Leftover("scratch", path) for path in _scratch(records)),
    ]


def _is_used(machine: Path, needed: set[str]) -> bool:
    """Return whether the directory of a MACHINE is of one that runs, or that vcr works at."""
    project = machine.with_name(machine.name.partition("~")[0])
    if machine.name in needed or project.name in needed or not machine.is_dir():
        return True
    if not (project / LOCK).exists():
        return False
    with flocked(project / LOCK) as is_held:
        return not is_held


def _layers_of(record: Record, records: Records) -> list[Path]:
    """Return the directories of unpacked layers that the containers of RECORD are made of."""
    scratch = records.channels(record.where).scratch
    lists = [scratch / "layers", *scratch.glob(f"{PLACE}/*/layers")]  # a machine has none
    layers = [layer for path in lists if path.exists() for layer in json.loads(path.read_bytes())]
    return [Path(layer).parent for layer in layers]


def _scratch(records: Records) -> Iterator[Path]:
    """Yield what a vcr that was killed had begun to write."""
    settings = records.settings
    temporary = _children(Path(tempfile.gettempdir()))
    yield from filter(_is_free, temporary)
    built = [path for path in temporary if _BUILT.fullmatch(path.name) and _is_ours(path)]
    mounts = list(_mounts({path.name for path in built})) if built else []
    yield from (path for path in built if not any(_is_at(path, mount) for mount in mounts))
    apps = {settings.state_dir / name for name in ("layers", "volumes")}
    for base in (settings.state_dir, settings.cache_dir):
        for directory, names, files in base.walk():
            names[:] = [name for name in names if directory / name not in apps]
            yield from filter(_is_abandoned, (directory / name for name in files))


def _is_free(path: Path) -> bool:
    """Return whether PATH is a scratch directory of this user that no vcr works in."""
    if not path.name.startswith(SCRATCH) or not path.is_dir():
        return False
    if path.stat().st_uid != os.geteuid():
        return False
    with flocked(path) as is_held:
        return is_held


def _is_ours(path: Path) -> bool:
    """Return whether PATH is this user's, and is not only just being made."""
    status = path.lstat()
    return status.st_uid == os.geteuid() and status.st_mtime < time.time() - MADE_SECONDS


def _mounts(names: set[str]) -> Iterator[Path]:
    """Yield where a directory of one of NAMES is mounted, in any process this user may look at.

    The fourth field of a line is the directory, the fifth is where: proc_pid_mountinfo(5).
    """
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        with suppress(OSError):
            rows = [line.split() for line in path.read_text().splitlines()]
            found = [row[4] for row in rows if row[3].rpartition("/")[2] in names]
            yield from (path.with_name("root") / where.lstrip("/") for where in found)


def _is_at(path: Path, mount: Path) -> bool:
    """Return whether PATH is the directory at MOUNT, or may be, since it is not known."""
    try:
        return path.samefile(mount)
    except OSError:
        return mount.parent.exists() and path.exists()


def _is_abandoned(path: Path) -> bool:
    """Return whether PATH is a file that vcr.atomic did not finish."""
    if not _WRITTEN.fullmatch(path.name):
        return False
    return path.lstat().st_mtime < time.time() - WRITTEN_SECONDS


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []
