"""Archives as they come, compressed or not; what they unpack to is bounded."""

import bz2
import lzma
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from vcr.formats.failure import Failure

ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878
# What data is taken for, by its first bytes. gzip, RFC 1952; deflate inside of it, RFC 1951.
GZIP, BZIP2, XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"
MAX_UNPACKED = 32 << 30  # bytes; ten kilobytes of gzip are ten megabytes of zeros
LZMA_MEMORY = 128 << 20  # bytes: twice what xz -9 takes; a header may ask for 4 GiB
CHUNK = 1 << 20
PART = 64 << 10  # what a stream leaves of one is copied


class Damaged(Failure):
    """Compressed data that is not, whatever its first bytes say."""


class _Stream(Protocol):
    """One stream of compressed data, as bz2 and lzma have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class _Gzip:
    """A stream of gzip in the same form."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + data, max_length)


_NEW: dict[bytes, Callable[[], _Stream]] = {
    GZIP: _Gzip,
    BZIP2: bz2.BZ2Decompressor,
    XZ: lambda: lzma.LZMADecompressor(memlimit=LZMA_MEMORY),
}


def uncompressed(path: Path, scratch: Path, zstd: Path | None = None) -> Path:
    """Return PATH, or a decompressed copy in SCRATCH; ZSTD is the program for what it packs.

    Raises Damaged for what cannot be decompressed, Failure for what is too much.
    """
    with path.open("rb") as file:
        head = file.read(len(XZ))
    if head.startswith(ZSTD):
        return _unpack(path, _unpacked_by(_program(path, zstd), path), scratch)
    new = next((new for magic, new in _NEW.items() if head.startswith(magic)), None)
    return path if new is None else _unpack(path, _unpacked(path, new), scratch)


def _program(path: Path, zstd: Path | None) -> Path:
    if zstd is None:
        raise Failure(
            f"{path.name} is compressed with zstd, which vcr cannot unpack",
            fix="use gzip, bzip2, xz or no compression",
        )
    return zstd


def _unpack(path: Path, pieces: Iterator[bytes], scratch: Path) -> Path:
    """Write PIECES, of the file at PATH, to a new file in SCRATCH; raises as `uncompressed`."""
    scratch.mkdir(parents=True, exist_ok=True)
    target = scratch / f"{len(list(scratch.iterdir()))}.tar"
    try:
        _write(path, pieces, target)
    except (ValueError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise Damaged(f"{path.name} cannot be decompressed", why=str(error)) from None
    return target


def _unpacked_by(program: Path, path: Path) -> Iterator[bytes]:
    """Yield what PROGRAM, zstd(1), unpacks PATH to; raises ValueError for what is damaged.

    It refuses by itself what needs more than 128 MiB of memory.
    """
    argv = [str(program), "--decompress", "--quiet", "--stdout", "--no-progress"]
    with (
        path.open("rb") as packed,
        subprocess.Popen(
            argv, stdin=packed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as zstd,
    ):
        assert zstd.stdout is not None  # noqa: S101 -- it is a pipe
        try:
            while piece := zstd.stdout.read(CHUNK):
                yield piece
        finally:
            zstd.stdout.close()
            code = zstd.wait()
    if code:
        raise ValueError("zstd refuses it")


def _write(path: Path, pieces: Iterator[bytes], target: Path) -> None:
    written = 0
    with target.open("wb") as out:
        for piece in pieces:
            written += len(piece)
            if written > MAX_UNPACKED:
                raise Failure(f"{path.name} unpacks to more than {MAX_UNPACKED >> 30} GiB")
            out.write(piece)


def _unpacked(path: Path, new: Callable[[], _Stream]) -> Iterator[bytes]:
    """Yield what the file at PATH unpacks to: one stream, or several, zeros between them.

    Raises EOFError when it is cut off, and what the library raises.
    """
    stream = new()
    for piece in _pieces(path):
        rest = piece
        while rest:
            if stream.eof:
                rest = rest.lstrip(b"\0")  # padding: gzip(1), xz(1)
                stream = new() if rest else stream
            if rest:
                yield stream.decompress(rest, CHUNK)
            while not (stream.eof or stream.needs_input):
                yield stream.decompress(b"", CHUNK)
            rest = stream.unused_data if rest and stream.eof else b""
    while not stream.eof and (more := stream.decompress(b"", CHUNK)):
        yield more
    if not stream.eof:
        raise EOFError("it is cut off")


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PART):
            yield piece
