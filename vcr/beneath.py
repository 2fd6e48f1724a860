"""Files made below a directory of this host, whatever links lie there.

A path is walked name by name with openat(2), O_NOFOLLOW: what is on the way has to be a
directory itself, so nothing is made, read or removed outside. What a stranger's archive or
image has is written through this and through nothing else.
"""

import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

ABOVE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
CREATED = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Below:
    """An open directory; names are given as the parts of a path below it."""

    def __init__(self, root: Path) -> None:
        """Open the directory ROOT, to which links may lead; raises OSError."""
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # One is kept open, since files of a directory mostly come one after the other.
        self._last: tuple[tuple[str, ...], int] = ((), self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._forget()
        os.close(self._root)

    def at(self, names: Sequence[str]) -> tuple[int, str]:
        """Return the directory above NAMES and the last of them, for calls with dir_fd.

        It is open until the next call. Raises OSError when something above is not a directory.
        """
        above, (last, near) = tuple(names[:-1]), self._last
        if above != last:
            is_below = above[: len(last)] == last
            opened = _walk(near, above[len(last) :]) if is_below else _walk(self._root, above)
            self._forget()
            self._last = (above, opened)
        return self._last[1], names[-1]

    def kind(self, names: Sequence[str]) -> int:
        """Return the file type of what is at NAMES, as stat.S_IFMT says it; 0 for nothing."""
        above, name = self.at(names)
        try:
            return stat.S_IFMT(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return 0

    def make_directory(self, names: Sequence[str]) -> None:
        """Make an empty directory, private to this user; raises OSError."""
        above, name = self.at(names)
        os.mkdir(name, 0o700, dir_fd=above)

    def create(self, names: Sequence[str]) -> int:
        """Return a new file, open for writing, private to this user; raises OSError."""
        above, name = self.at(names)
        return os.open(name, CREATED, 0o600, dir_fd=above)

    def link(self, names: Sequence[str], target: str) -> None:
        """Make a symbolic link that says TARGET; raises OSError."""
        above, name = self.at(names)
        os.symlink(target, name, dir_fd=above)

    def hard_link(self, names: Sequence[str], first: Sequence[str]) -> None:
        """Give the regular file at FIRST another name; raises OSError, for other kinds, too."""
        if self.kind(first) != stat.S_IFREG:
            raise OSError(0, "it is not a file of the copy", "/".join(first))
        there, old = self.at(first)
        source = os.dup(there)
        try:
            above, name = self.at(names)
            os.link(old, name, src_dir_fd=source, dst_dir_fd=above, follow_symlinks=False)
        finally:
            os.close(source)

    def make_node(self, names: Sequence[str], mode: int) -> None:
        """Make a FIFO, a socket or, as a device 0:0, a whiteout of MODE; raises OSError."""
        above, name = self.at(names)
        os.mknod(name, mode, 0, dir_fd=above)

    def set_mode(self, names: Sequence[str], mode: int) -> None:
        """Give what is at NAMES its permissions MODE; a link has none. Raises OSError."""
        above, name = self.at(names)
        if self.kind(names) in {stat.S_IFREG, stat.S_IFDIR}:
            with suppress(PermissionError):  # its own mode may forbid to open it
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                _set_mode(os.open(name, flags, dir_fd=above), mode)
                return
        found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        try:
            if not stat.S_ISLNK(os.fstat(found).st_mode):
                os.chmod(f"/proc/self/fd/{found}", mode)  # noqa: PTH101 -- fchmod refuses O_PATH
        finally:
            os.close(found)

    def give(self, names: Sequence[str], uid: int, gid: int) -> None:
        """Make what is at NAMES belong to UID and GID; raises OSError."""
        above, name = self.at(names)
        os.chown(name, uid, gid, dir_fd=above, follow_symlinks=False)

    def set_xattr(self, names: Sequence[str], key: str, value: bytes) -> None:
        """Set an extended attribute of what is at NAMES itself; raises OSError."""
        above, name = self.at(names)
        os.setxattr(f"/proc/self/fd/{above}/{name}", key, value, follow_symlinks=False)

    def remove(self, names: Sequence[str]) -> None:
        """Remove what is at NAMES, a directory with all below it; raises OSError."""
        kind = self.kind(names)
        above, name = self.at(names)
        if kind == stat.S_IFDIR:
            shutil.rmtree(name, dir_fd=above)
        elif kind:
            os.unlink(name, dir_fd=above)

    def _forget(self) -> None:
        if self._last[1] != self._root:
            os.close(self._last[1])
        self._last = ((), self._root)


def _set_mode(handle: int, mode: int) -> None:
    """Set the MODE of HANDLE and close it: without /proc, which inside is another's."""
    try:
        os.fchmod(handle, mode)
    finally:
        os.close(handle)


def _walk(top: int, names: Sequence[str]) -> int:
    """Return the directory NAMES below TOP, opened; raises OSError."""
    found = os.dup(top)
    for name in names:
        try:
            below = os.open(name, ABOVE, dir_fd=found)
        finally:
            os.close(found)
        found = below
    return found
