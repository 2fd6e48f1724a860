"""Package indexes, unpacked piece by piece; one that was read stays in a form that is read fast.

An index of Debian takes a second to unpack from xz, a quarter of one from zlib at its first
level. What is kept is called by the hash that the signed release has for what it unpacks to, and
every reading compares it, so that what is kept is never believed.
"""

import hashlib
import lzma
import os
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from vcr.errors import HostError
from vcr.foreign import MIB, open_regular
from vcr.lock.debian.packages import Index
from vcr.lock.debian.release import MAX_INDEX, File
from vcr.lock.secrets.unpacked import LZMA_MEMORY

PIECE = 256 << 10  # bytes that are unpacked at a time
LEVEL = 1  # of zlib: the fastest
UNUSED_SECONDS = 30 * 86400.0  # after which a kept index is removed


class Indexes:
    """The indexes that this host has read, in a directory."""

    def __init__(self, directory: Path) -> None:
        """Keep them in DIRECTORY."""
        self.directory = directory

    def find(self, promised: File) -> Index | None:
        """Return the index that is PROMISED if it is kept here as it should be."""
        path = self._path(promised)
        try:
            with open_regular(path) as file:
                index = Index(checked(_inflated(file), promised), self._unnamed())
            os.utime(path)  # it is used
        except FileNotFoundError:
            return None
        except (OSError, ValueError, zlib.error):  # not as it was written
            with suppress(OSError):
                path.unlink()
            return None
        return index

    def read(self, packed: bytes, promised: File | None) -> Index:
        """Return the index of PACKED, a file of xz, and keep it if it is PROMISED.

        Raises ValueError and LZMAError unless it unpacks to what is promised, HostError.
        """
        pieces = checked(_decompressed(packed), promised)
        try:
            if promised is not None:
                pieces = self._kept(pieces, promised)
            return Index(pieces, self._unnamed())
        except OSError as error:
            raise HostError(
                f"there is no room for a package index in {self.directory}",
                why=error.strerror or str(error),
            ) from None

    def _path(self, promised: File) -> Path:
        return self.directory / f"{promised.sha256}.zlib"

    def _kept(self, pieces: Iterable[bytes], promised: File) -> Iterator[bytes]:
        """Yield PIECES, and keep them when all have come; raises OSError."""
        packer = zlib.compressobj(LEVEL)
        self.directory.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.directory, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    file.write(packer.compress(piece))
                    yield piece
                file.write(packer.flush())
            Path(name).rename(self._path(promised))
            self._remove_older()
        finally:
            with suppress(FileNotFoundError):
                Path(name).unlink()

    def _unnamed(self) -> BinaryIO:
        """Return a new file that takes room as long as it is open; raises OSError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        return cast("BinaryIO", tempfile.TemporaryFile(dir=self.directory))

    def _remove_older(self) -> None:
        """Remove what was not read for long."""
        now = time.time()
        for path in self.directory.iterdir():
            with suppress(OSError):  # another vcr was faster
                if path.stat().st_mtime < now - UNUSED_SECONDS:
                    path.unlink()


def checked(pieces: Iterable[bytes], promised: File | None) -> Iterator[bytes]:
    """Yield PIECES; raises ValueError unless they are as PROMISED, at most one piece too late."""
    most = min(promised.size, MAX_INDEX) if promised else MAX_INDEX
    size, digest = 0, hashlib.sha256()
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise ValueError(f"it does not unpack to the {most} bytes that were promised")
        digest.update(piece)
        yield piece
    if promised and (size, digest.hexdigest()) != (promised.size, promised.sha256):
        raise ValueError("it does not unpack to the promised content")


def _decompressed(data: bytes) -> Iterator[bytes]:
    """Yield what DATA of xz unpacks to; raises ValueError if it ends too early, LZMAError."""
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY)
    piece = stream.decompress(data, MIB)
    while piece or not (stream.eof or stream.needs_input):
        yield piece
        piece = b"" if stream.eof else stream.decompress(b"", MIB)
    if not stream.eof:
        raise ValueError("it does not unpack to the end")


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    """Yield what FILE of zlib unpacks to; raises OSError, zlib.error."""
    stream = zlib.decompressobj()
    while packed := file.read(PIECE):
        while packed:
            yield stream.decompress(packed, PIECE)
            packed = stream.unconsumed_tail
    yield stream.flush()
