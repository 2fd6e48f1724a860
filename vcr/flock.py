"""Locks on files and directories; the kernel ends them with their holder. flock(2)."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vcr.errors import HostError


@contextmanager
def flocked(path: Path, *, shared: bool = False, wait: bool = False) -> Iterator[bool]:
    """Hold the lock at PATH while the block runs; yield whether it is held.

    PATH is a directory that is there, or a file, which is made. A SHARED lock keeps others
    from an exclusive one only. WAIT for a holder to let go, instead of yielding False at
    once. Raises HostError.
    """
    kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        handle = _lock(path, kind)
    except OSError as error:
        raise HostError(
            f"cannot lock {path}",
            why=error.strerror or str(error),
            fix="check the permissions and the free space there",
        ) from error
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def _lock(path: Path, kind: int) -> int | None:
    """Return an open file that has the lock, None when somebody else has it."""
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, kind)
            if _is_there(path, handle):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # whoever held it removed the file: others lock another by now


def _open(path: Path) -> int:
    if path.is_dir():
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _is_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
