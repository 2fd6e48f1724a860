"""Files and directories as a tar stream: packed on one side, unpacked on the other.

The side that unpacks does not trust the one that packed: nothing is written outside the
target, no device is made, and no link leads out. guest/agent does the same in the machine.
"""

import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import IO

from vcr.agent.archive import members, well_formed
from vcr.beneath import Below
from vcr.errors import HostError, UsageError, VcrError

PERMISSIONS = 0o777  # of a file's mode, all that is passed on
SMALL = 1 << 20  # bytes that are read of a file which says it has none, as those of /proc do

MAX_PATH = 4096  # bytes of a path, as Linux: PATH_MAX
TOLD = 200  # characters of a name in a message
OURS = 0o700  # of a directory's, what is there in any case: so it can be removed again

type Say = Callable[[str], None]
type Entry = tuple[tarfile.TarInfo, IO[bytes] | None]


def pack(source: Path, out: IO[bytes], left_out: Say) -> None:
    """Write the file or directory SOURCE to OUT, by its own name; raises OSError.

    What is on another file system, and what is neither file, directory nor link, is left
    out, and LEFT_OUT called.
    """
    top = source.lstat()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path, status in _walk(source, top.st_dev, left_out):
            below = str(path).removeprefix(str(source)).lstrip("/")
            try:
                _pack_one(archive, path, str(Path(source.name, below)), status)
            except PermissionError as error:
                left_out(f"{path}: {error.strerror}")


def _walk(top: Path, device: int, left_out: Say) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield what is to be packed, a directory before what is in it."""
    waiting = [top]
    while waiting:
        path = waiting.pop()
        try:
            status = path.lstat()
        except FileNotFoundError:  # it went away meanwhile
            if path == top:
                raise
            continue
        kind = stat.S_IFMT(status.st_mode)
        if kind not in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
            left_out(f"{path}: it is neither a file, a directory nor a link")
        elif kind == stat.S_IFDIR and status.st_dev != device:
            left_out(f"{path}: it is on another file system")
        else:
            yield path, status
            waiting += _below(path, left_out) if kind == stat.S_IFDIR else []


def _below(directory: Path, left_out: Say) -> list[Path]:
    """Return what is in DIRECTORY, the last name first."""
    try:
        return sorted(directory.iterdir(), reverse=True)
    except OSError as error:
        left_out(f"{directory}: {error.strerror}")
        return []


def _pack_one(archive: tarfile.TarFile, path: Path, name: str, status: os.stat_result) -> None:
    # Not tarfile's gettarinfo: it asks the system for users, which in a container is the app's.
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = status.st_mode & PERMISSIONS, int(status.st_mtime)
    if stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
        archive.addfile(info)
    else:
        # What was a file a moment ago may be a link by now, or a FIFO nobody writes to.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            info.size = status.st_size
            archive.addfile(info, _Exactly(file, info))


class _Exactly:
    """Gives as many bytes of a file as its header says, whatever becomes of it meanwhile."""

    def __init__(self, file: IO[bytes], info: tarfile.TarInfo) -> None:
        self._file, self._small = file, b""
        if info.size == 0:
            self._small = file.read(SMALL)
            info.size = len(self._small)

    def read(self, size: int = -1, /) -> bytes:
        """Return SIZE bytes."""
        small, self._small = self._small[:size], self._small[size:]
        return (small or self._file.read(size)).ljust(size, b"\0")


def unpack(stream: IO[bytes], target: str, left_out: Say) -> Path:
    """Write what STREAM has at its top to the path TARGET or, if that is a directory, into it.

    Returns where. It appears whole or not at all; a file replaces a file, a directory nothing.
    LEFT_OUT is called with what is not written. Raises UsageError, HostError, VcrError.
    """
    try:
        with well_formed():
            return _unpack(members(stream), target, left_out)
    except OSError as error:
        raise HostError(
            f"cannot write {target}",
            why=error.strerror or str(error),
            fix="check the permissions and the free space there",
        ) from None


def _unpack(archive: Iterator[Entry], target: str, left_out: Say) -> Path:
    """Write what ARCHIVE has at its top to TARGET; raises OSError, and what tarfile does."""
    first = next(archive, None)
    if first is None:
        raise VcrError("there is nothing to copy")
    top = names_in(first[0].name)[0]
    place = _place(target, top, is_directory=first[0].isdir())
    scratch = Path(tempfile.mkdtemp(dir=place.parent, prefix=".vcr-"))
    try:
        with Below(scratch) as below:
            unpack_all(first, archive, below, left_out)
            if not below.kind([top]):
                raise VcrError(f"nothing of {top} can be copied")
            os.rename(top, place, src_dir_fd=below.at([top])[0])  # also over a file
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return place


def _place(target: str, top: str, *, is_directory: bool) -> Path:
    """Return the target of something called TOP; raises UsageError."""
    place = Path(target)
    if place.is_dir():
        place /= top
    elif target.endswith("/"):
        raise UsageError(f"{target} is not a directory", fix="make it first")
    if place.is_dir() or (is_directory and (place.exists() or place.is_symlink())):
        raise UsageError(
            f"{place} exists already",
            why="vcr does not overwrite a directory",
            fix="remove it, or choose another name",
        )
    return place


def unpack_all(first: Entry, rest: Iterator[Entry], below: Below, left_out: Say) -> None:
    """Write the entries FIRST and REST; what is above each has to be a directory made here."""
    links: list[tuple[list[str], str]] = []
    for info, content in chain([first], rest):
        names = names_in(info.name)
        if info.issym():
            links.append((names, info.linkname))
        elif info.isdir():
            below.make_directory(names)
            below.set_mode(names, info.mode & PERMISSIONS | OURS)
        elif content is not None:
            _write(below, names, content, info)
        elif info.islnk():
            try:
                below.hard_link(names, names_in(info.linkname))
            except OSError as error:
                left_out(f"{info.name}: it is one with {info.linkname}: {error.strerror}")
        else:
            left_out(f"{info.name}: it is neither a file, a directory nor a link")
    for names, goal in links:  # last: nothing is written through one
        if stays_inside(names, goal):
            below.link(names, goal)
        else:
            left_out(f"{'/'.join(names)}: the link leads out, to {goal}")


def stays_inside(names: Sequence[str], goal: str) -> bool:
    """Return whether a link at NAMES, whose first is the copy's own, stays in it with GOAL.

    It is read as text. First it goes up, from a directory that was made here; then down only,
    by directories and by links of which the same is true. One that goes up later may lead
    anywhere, depending on what it has come through.
    """
    parts = [part for part in goal.split("/") if part not in {"", "."}]
    ups = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    is_down = bool(goal) and not goal.startswith("/") and ".." not in parts[ups:]
    return is_down and ups <= len(names) - 2


def _write(below: Below, names: Sequence[str], content: IO[bytes], info: tarfile.TarInfo) -> None:
    with os.fdopen(below.create(names), "wb") as file:
        shutil.copyfileobj(content, file, 1 << 16)
        file.flush()
        os.fchmod(file.fileno(), info.mode & PERMISSIONS)
        with suppress(OverflowError, ValueError, OSError):  # a time that there is not
            os.utime(file.fileno(), (info.mtime, info.mtime))


def names_in(path: str) -> list[str]:
    """Return the names in PATH; raises VcrError unless they lead downwards."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if not parts or path.startswith("/") or ".." in parts or len(os.fsencode(path)) > MAX_PATH:
        raise VcrError(f"{path[:TOLD]!r} leads elsewhere", why="vcr does not trust what came out")
    return parts
