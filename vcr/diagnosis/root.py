"""The files of a container's root, as the container sees them: links are followed below it."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vcr.diagnosis.elf import Read
from vcr.formats.failure import Failure
from vcr.formats.tree import Content, Tree

OPENAT2, RESOLVE_IN_ROOT = 437, 0x10  # openat2(2), the same number on every architecture
_LIBC = ctypes.CDLL(None, use_errno=True)
_KINDS = {"file": 0o100000, "dir": 0o040000}  # stat.S_IFREG, S_IFDIR; any other is neither


@dataclass(frozen=True)
class Status:
    """What is to be known of a file."""

    mode: int  # with its kind: inode(7)
    uid: int
    gid: int


class Files(Protocol):
    """Files by their absolute paths."""

    def status(self, path: str) -> Status:
        """Return what is at PATH; raises OSError: FileNotFoundError, NotADirectoryError."""

    def opened(self, path: str) -> AbstractContextManager[Read]:
        """Return a block in which the regular file at PATH is read; raises OSError."""


@dataclass(frozen=True)
class DirectoryFiles:
    """Those below a directory of this host, open as HANDLE."""

    handle: int

    def status(self, path: str) -> Status:
        """Return what is at PATH; raises OSError."""
        at = self._open(path)
        try:
            found = os.fstat(at)
        finally:
            os.close(at)
        return Status(found.st_mode, found.st_uid, found.st_gid)

    @contextmanager
    def opened(self, path: str) -> Iterator[Read]:
        """Read the regular file at PATH; raises OSError."""
        at = self._open(path)
        try:
            handle = os.open(f"/proc/self/fd/{at}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(at)
        try:
            yield lambda size, offset: os.pread(handle, size, offset)
        finally:
            os.close(handle)

    def _open(self, path: str) -> int:
        """Return a handle of PATH, with O_PATH."""
        how = struct.pack("QQQ", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT)
        name = os.fsencode(path)
        if b"\0" in name:
            raise FileNotFoundError(path)
        handle = _LIBC.syscall(OPENAT2, self.handle, name, how, len(how))
        if handle < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return int(handle)


@contextmanager
def files_below(root: Path) -> Iterator[Files]:
    """Yield the files below the directory ROOT; raises OSError."""
    handle = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield DirectoryFiles(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class TreeFiles:
    """Those of a file system in memory."""

    tree: Tree

    def status(self, path: str) -> Status:
        """Return what is at PATH; raises OSError."""
        try:
            node = self.tree.get(self.tree.resolve(path))
        except Failure as failure:  # a loop of links
            raise OSError(failure.report["what"]) from None
        if node is None:
            raise FileNotFoundError(path)
        return Status(_KINDS.get(node.kind, 0) | node.mode, node.uid, node.gid)

    @contextmanager
    def opened(self, path: str) -> Iterator[Read]:
        """Read the regular file at PATH; raises OSError."""
        self.status(path)
        content = self.tree.nodes[self.tree.resolve(path)].content
        if content.path is None:
            yield lambda size, offset: content.data[offset : offset + size]
        elif content.pieces:
            raise OSError("a sparse file is not read")
        else:
            with content.path.open("rb") as file:
                yield lambda size, offset: _part(file.fileno(), content, size, offset)


def _part(handle: int, content: Content, size: int, offset: int) -> bytes:
    left = max(content.size - offset, 0)
    return os.pread(handle, min(size, left), content.offset + offset)
