"""Logs that something hostile may write: bounded on the disk, and read within bounds.

What is old in a log is given back to the file system by punching a hole: no byte changes its
place, so whoever writes or follows it continues, and nothing that was just written is lost.
fallocate(2), lseek(2). Where there are no holes a log is emptied instead.
"""

import ctypes
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

KEPT_BYTES = 16 << 20  # of a log, at its end, that are kept in any case
MOST_BYTES = 2 * KEPT_BYTES  # that it may take on the disk until it is shortened
MOST_READ = 4 * KEPT_BYTES
TAIL_BYTES = 64 << 10
BLOCK = 4096
KEEP_SIZE, PUNCH_HOLE = 1, 2  # linux/falloc.h


def shorten(path: Path) -> bool:
    """Shorten the log at PATH if it has grown too large; return whether it did. Raises OSError."""
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_blocks * 512 <= MOST_BYTES:
            return False
        if not _punch(handle, (status.st_size - KEPT_BYTES) // BLOCK * BLOCK):
            os.ftruncate(handle, 0)  # all writers append
        return True
    finally:
        os.close(handle)


def _punch(handle: int, end: int) -> bool:
    """Make the file HANDLE a hole up to byte END; return whether that can be done here."""
    call = ctypes.CDLL(None, use_errno=True).fallocate
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return end > 0 and call(handle, KEEP_SIZE | PUNCH_HOLE, 0, end) == 0


def first_kept(file: IO[bytes], position: int = 0) -> int:
    """Return where the next byte of FILE from POSITION on is that was not given back."""
    with suppress(OSError):  # there is none, or the file system has no holes
        return max(position, os.lseek(file.fileno(), position, os.SEEK_DATA))
    return position


def begin_of(file: IO[bytes], size: int) -> int:
    """Return where in FILE, of SIZE bytes, the first whole line is that is to be read."""
    begin = max(first_kept(file), size - MOST_READ)
    if begin <= 0:
        return 0
    file.seek(begin)
    return begin + len(file.readline(MOST_READ))


def last_lines(path: Path, most: int = TAIL_BYTES) -> list[str]:
    """Return the lines in the last MOST bytes of the log at PATH, none if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(first_kept(file), size - most))
            data = file.read(most)
    except OSError:
        return []
    return data.lstrip(b"\0").decode("utf-8", "replace").splitlines()
