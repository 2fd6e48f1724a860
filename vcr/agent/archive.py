"""A tar archive that comes as a stream from somebody who is not trusted.

What its headers claim costs nothing: no header takes more than MAX_HEADER bytes, a sparse
file is not read, entries are counted and not kept, and each number is looked at. POSIX.1-2001
(pax), and what GNU tar adds to it.
"""

import io
import os
import select
import struct
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Self

from vcr.errors import VcrError

MAX_HEADER = 1 << 20  # bytes of names and attributes that one entry may have
MAX_ENTRIES = 1_000_000
STALL_SECONDS = 120.0  # in which so many bytes have to come:
STALL_BYTES = 1 << 10
# All that tarfile raises for bytes which are no archive.
BROKEN = (
    tarfile.TarError, ValueError, OverflowError, EOFError, IndexError, RecursionError, struct.error,
)  # fmt: skip
_EXTENDED = frozenset(
    {
        tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
    }
)  # fmt: skip


class _Entry(tarfile.TarInfo):
    """A header that is looked at before what it claims is read."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """Read the next one; an archive ends with a block of zeros and in no other way."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"it is cut off or damaged: {error}") from None

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        """Refuse what takes memory: the entry point that tarfile says subclasses may take."""
        if self.type in _EXTENDED and not 0 <= self.size <= MAX_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        if self.type == tarfile.XGLTYPE:
            raise tarfile.ReadError("a header for all entries, which vcr never writes")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("a sparse file, whose size is only claimed")
        return super()._proc_member(archive)  # type: ignore[misc]

    def _refuse_map(self, *_: object) -> None:
        """Refuse the map of a sparse file, of each of the three kinds that pax has."""
        raise tarfile.ReadError("a sparse file, whose size is only claimed")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_map


@contextmanager
def well_formed() -> Iterator[None]:
    """Raise VcrError where the block reads data, also of files, that is not an archive."""
    try:
        yield
    except BROKEN as error:
        raise VcrError("the received data is not a valid archive", why=str(error)) from None


def members(stream: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Yield what is in the archive STREAM, a file with its content, in the order it comes.

    A content is to be read before the next one is asked for; all of it within `well_formed`.
    """
    with tarfile.open(
        fileobj=stream, mode="r|", tarinfo=_Entry, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for _ in range(MAX_ENTRIES):
            info = archive.next()
            if info is None:
                return
            archive.members.clear()  # type: ignore[attr-defined]  # it keeps them all
            _check(info)
            yield info, archive.extractfile(info) if info.isreg() else None
    raise ValueError(f"it has more than {MAX_ENTRIES} entries")


def _check(info: tarfile.TarInfo) -> None:
    """Refuse an entry that is not what its header says; raises ValueError."""
    if info.size < 0:
        raise ValueError(f"{info.name}: a size of {info.size} bytes")
    if "\0" in info.name or "\0" in info.linkname:
        raise ValueError(f"{info.name!r}: a NUL in a name")


class Stream(io.RawIOBase):
    """The reading end of a pipe that something has to come through all the time."""

    def __init__(self, fd: int) -> None:
        """Take FD over."""
        self._fd = fd
        self._left, self._deadline = STALL_BYTES, time.monotonic() + STALL_SECONDS
        self._ready = select.poll()
        self._ready.register(fd, select.POLLIN)

    def readable(self) -> bool:
        """Say that it is."""
        return True

    def readinto(self, into: Any) -> int:
        """Wait for bytes; raises VcrError when too few have come for too long."""
        seconds = self._deadline - time.monotonic()
        if seconds <= 0 or not self._ready.poll(seconds * 1000):
            raise VcrError(
                "the other side does not send the files to copy",
                why=f"in {STALL_SECONDS:g} seconds not even {STALL_BYTES} bytes came",
            )
        data = os.read(self._fd, len(into))
        into[: len(data)] = data
        self._left -= len(data)
        if self._left <= 0:
            self._left, self._deadline = STALL_BYTES, time.monotonic() + STALL_SECONDS
        return len(data)

    def close(self) -> None:
        """Close the file descriptor."""
        if not self.closed:
            os.close(self._fd)
        super().close()
