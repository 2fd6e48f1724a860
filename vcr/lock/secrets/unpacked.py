"""What is packed inside a body: content codings of HTTP, and files that are archives.

Read in pieces and up to a bound, so that what unpacks without end costs no more than that.
Content codings: RFC 9110, section 8.4.1, and the IANA registry of them.
"""

import bz2
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator

from vcr.foreign import CHUNK, MIB

MOST = 4096 * MIB  # that is looked at of what is packed in one body
AUTO = zlib.MAX_WBITS | 32  # a header of gzip or of zlib
LZMA_MEMORY = 256 * MIB
PART = 64 << 10
MAX_MEMBERS = 100_000  # of a zip file
# What files of each kind begin with.
GZIP, BZIP2, XZ, ZIP = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"PK\x03\x04"


class UnreadableError(Exception):
    """It is packed in a way that is not known here, broken, or too much."""


def decoded(pieces: Iterator[bytes], codings: str) -> Iterator[bytes]:
    """Return PIECES of a body without the content CODINGS it has; raises UnreadableError.

    Only where it is read: an iterator does nothing before.
    """
    for coding in reversed([word.strip().lower() for word in codings.split(",")]):
        match coding:
            case "" | "identity":
                pass
            case "gzip" | "x-gzip":
                pieces = _inflated(pieces, AUTO)
            case "deflate":
                pieces = _deflated(pieces)
            case _:
                raise UnreadableError(f"it is compressed by {coding}")
    return pieces


def members(data: bytes) -> Iterator[Iterator[bytes]]:
    """Yield the content of each file packed in DATA, in pieces; nothing without an archive.

    Broken archives have what they have up to there.
    """
    if data.startswith(GZIP):
        yield _tolerant(_inflated(iter([data]), AUTO))
    elif data.startswith(BZIP2):
        yield _tolerant(_streamed(data, bz2.BZ2Decompressor))
    elif data.startswith(XZ):
        yield _tolerant(_streamed(data, lambda: lzma.LZMADecompressor(memlimit=LZMA_MEMORY)))
    elif data.startswith(ZIP):
        yield from _zipped(data)


def bounded(pieces: Iterator[bytes], most: int = MOST) -> Iterator[bytes]:
    """Yield PIECES; raises UnreadableError when they are more than MOST bytes."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise UnreadableError(f"it unpacks to more than {most // MIB} MiB")
        yield piece


def _tolerant(pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except UnreadableError:
        return


def _inflated(pieces: Iterator[bytes], bits: int) -> Iterator[bytes]:
    """Yield what PIECES of gzip, of one member or more, or of deflate inflate to."""
    stream = zlib.decompressobj(bits)
    rest = b""
    try:
        for part in _parts(pieces):
            rest = part
            while rest:
                # Another member of gzip follows, or what is nothing.
                stream = zlib.decompressobj(bits) if stream.eof else stream
                yield stream.decompress(rest, CHUNK)
                rest = stream.unconsumed_tail or stream.unused_data
        while more := stream.decompress(b"", CHUNK):
            yield more
    except zlib.error as error:
        raise UnreadableError(f"it is not what it says: {error}") from None


def _deflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what PIECES of `deflate` inflate to: of zlib, or, as some servers do, without it."""
    first = next(pieces, b"")
    rest = _chained(first, pieces)
    try:
        zlib.decompressobj().decompress(first, 1)
    except zlib.error:
        return _inflated(rest, -zlib.MAX_WBITS)
    return _inflated(rest, zlib.MAX_WBITS)


def _chained(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


type _New = Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]


def _streamed(data: bytes, new: _New) -> Iterator[bytes]:
    """Yield what DATA, of one stream or more, unpacks to."""
    try:
        yield from _streams(data, new)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise UnreadableError(f"it is not what it says: {error}") from None


def _streams(data: bytes, new: _New) -> Iterator[bytes]:
    stream = new()
    for part in _parts(iter([data])):
        rest = part
        while rest:
            stream = new() if stream.eof else stream
            yield stream.decompress(rest, CHUNK)
            while not (stream.eof or stream.needs_input):
                yield stream.decompress(b"", CHUNK)
            rest = stream.unused_data if stream.eof else b""


def _parts(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield PIECES in small parts: what a stream leaves of one is copied."""
    for piece in pieces:
        for at in range(0, len(piece), PART):
            yield piece[at : at + PART]


def _zipped(data: bytes) -> Iterator[Iterator[bytes]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()[:MAX_MEMBERS]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return
    for entry in entries:
        yield _member(archive, entry)


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(entry) as file:
            while piece := file.read(CHUNK):
                yield piece
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return  # encrypted, broken, or packed in another way
