"""Files and directories as a tar stream: packed on one side, unpacked on the other.

The side that unpacks does not trust the one that packed: nothing is written outside the
target, no device is made, and no link leads out. guest/agent does the same in the machine.
"""

import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from vcr.errors import HostError, UsageError, VcrError

PERMISSIONS = 0o777  # of a file's mode, all that is passed on
SMALL = 1 << 20  # bytes that are read of a file which says it has none, as those of /proc do

type Say = Callable[[str], None]


def pack(source: Path, out: IO[bytes], left_out: Say) -> None:
    """Write the file or directory SOURCE to OUT, by its own name; raises OSError.

    What is on another file system, and what is neither file, directory nor link, is left
    out, and LEFT_OUT told so.
    """
    top = source.lstat()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path, status in _walk(source, top.st_dev, left_out):
            name = source.name / path.relative_to(source)
            try:
                _pack_one(archive, path, str(name), status)
            except PermissionError as error:
                left_out(f"{path}: {error.strerror}")


def _walk(top: Path, device: int, left_out: Say) -> Iterator[tuple[Path, os.stat_result]]:
    status = top.lstat()
    kind = stat.S_IFMT(status.st_mode)
    if kind not in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
        left_out(f"{top}: it is neither a file, a directory nor a link")
        return
    if kind == stat.S_IFDIR and status.st_dev != device:
        left_out(f"{top}: it is another file system")
        return
    yield top, status
    if kind != stat.S_IFDIR:
        return
    try:
        below = sorted(top.iterdir())
    except OSError as error:
        left_out(f"{top}: {error.strerror}")
        return
    for path in below:
        with suppress(FileNotFoundError):  # it went away meanwhile
            yield from _walk(path, device, left_out)


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
        with path.open("rb") as file:
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
    LEFT_OUT is told of what is not written. Raises UsageError, HostError, VcrError.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            first = archive.next()
            if first is None:
                raise VcrError("there is nothing to copy")
            top = _parts(first)[0]
            place = _place(target, top, is_directory=first.isdir())
            scratch = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
            try:
                _unpack_all(archive, first, scratch, left_out)
                os.rename(scratch / top, place)  # noqa: PTH104 -- also over a file
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except tarfile.TarError as error:
        raise VcrError("what came is no good archive", why=str(error)) from None
    except OSError as error:
        raise HostError(
            f"cannot write {target}",
            why=error.strerror or str(error),
            fix="check the permissions and the free space there",
        ) from None
    return place


def _place(target: str, top: str, *, is_directory: bool) -> Path:
    """Return where something called TOP comes to be; raises UsageError."""
    place = Path(target)
    if place.is_dir():
        place /= top
    elif target.endswith("/"):
        raise UsageError(f"{target} is no directory", fix="make it first")
    if place.is_dir() or (is_directory and (place.exists() or place.is_symlink())):
        raise UsageError(
            f"{place} is there already",
            why="a directory is not written over",
            fix="remove it, or choose another name",
        )
    return place


def _unpack_all(
    archive: tarfile.TarFile, first: tarfile.TarInfo, scratch: Path, left_out: Say
) -> None:
    links: list[tuple[Path, str]] = []
    info: tarfile.TarInfo | None = first
    while info is not None:
        path = scratch.joinpath(*_parts(info))
        if info.issym():
            links.append((path, info.linkname))
        elif info.isdir():
            path.mkdir()
        elif info.isreg():
            _write(path, archive.extractfile(info), info)
        else:
            left_out(f"{info.name}: it is neither a file, a directory nor a link")
        info = archive.next()
    for path, goal in links:  # last: nothing is written through one
        path.symlink_to(goal)
    inside = scratch.resolve()
    for path, goal in [link for link in links if not _leads(link[0]).is_relative_to(inside)]:
        path.unlink()
        left_out(f"{path.relative_to(scratch)}: the link leads out, to {goal}")


def _leads(link: Path) -> Path:
    """Return where LINK leads; what goes in circles may be anywhere."""
    try:
        return link.resolve()
    except (OSError, RuntimeError):
        return Path("/")


def _write(path: Path, content: Any, info: tarfile.TarInfo) -> None:
    with path.open("xb") as file:
        shutil.copyfileobj(content, file, 1 << 16)
    path.chmod(info.mode & PERMISSIONS)
    os.utime(path, (info.mtime, info.mtime))


def _parts(info: tarfile.TarInfo) -> list[str]:
    """Return the names in INFO's; raises VcrError unless they lead downwards."""
    parts = [part for part in info.name.split("/") if part not in {"", "."}]
    if not parts or info.name.startswith("/") or ".." in parts:
        raise VcrError(f"{info.name!r} leads elsewhere", why="what came is not trusted")
    return parts
