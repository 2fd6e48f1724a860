"""Connections to the app of a machine as streams in one channel: docs/guest.md, connections.

guest/agent/relay.go is the guest's end. This is the host's, as guest/loader/relay.go in an enclave.

A frame is a stream's number (4 bytes), what it is (1), the length of the rest (2), the rest;
numbers are big-endian. The guest's first frame is HELLO: a word, which is to be the first that it
gets (what it gets before was for an agent that has ended), how many streams may be open (4 bytes),
and its window (4). Each end may send so many bytes of a stream that the other has not taken: to
the guest its window, which depends on its memory, to the host WINDOW.

A stream can also carry datagrams of UDP, those of one sender and what the app answers it: the
host begins it with SENDER, and either end ends it with RESET. A datagram is a frame DATAGRAM, or
one of PART before that: no frame of another kind or stream is between these two. There is neither
a window nor an end; a datagram that an end cannot pass on at once is dropped, and always whole.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

WINDOW = 64 << 10  # bytes
HEAD = struct.Struct(">IBH")
MAX_CONTENT = (32 << 10) - HEAD.size  # bytes: a guest writes a frame in one go
LARGEST = 65_507  # bytes of a datagram: 65,535 without the heads of IPv4 and UDP
WORD_BYTES = 16
_BOUNDS = struct.Struct(">II")
HELLO_BYTES = WORD_BYTES + _BOUNDS.size


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 0  # of the guest: an agent begins
    OPEN = 1  # of the host: the port of the app, 2 bytes
    DATA = 2
    END = 3  # nothing follows in this direction
    RESET = 4  # the stream is over
    CREDIT = 5  # so many bytes were taken: 4 bytes
    SENDER = 6  # of the host: the port of the app, 2 bytes; the stream is of datagrams
    PART = 7  # of a datagram, which the next frame continues
    DATAGRAM = 8  # all of one, or its end


PIECES = (Kind.PART, Kind.DATAGRAM)
LENGTHS = {Kind.HELLO: HELLO_BYTES, Kind.END: 0, Kind.RESET: 0, Kind.CREDIT: 4}  # of the guest's


@dataclass(frozen=True)
class Frame:
    """One of either end."""

    stream: int
    kind: Kind
    content: bytes = b""

    def encode(self) -> bytes:
        """Return it as it is sent."""
        return HEAD.pack(self.stream, self.kind, len(self.content)) + self.content

    @property
    def number(self) -> int:
        """Return the content of CREDIT, OPEN and SENDER, a number."""
        return int.from_bytes(self.content)


@dataclass(frozen=True)
class Hello:
    """What the guest begins with."""

    word: bytes
    streams: int  # that may be open at a time
    window: int  # bytes of each that it takes ahead

    @classmethod
    def of(cls, content: bytes) -> "Hello":
        """Read it; raises ValueError for bounds with which nothing could be carried."""
        hello = cls(content[:WORD_BYTES], *_BOUNDS.unpack_from(content, WORD_BYTES))
        if hello.streams < 1 or not 1 <= hello.window <= WINDOW:
            raise ValueError(f"{hello.streams} streams of {hello.window} bytes")
        return hello

    def encode(self) -> bytes:
        """Return it as it is sent."""
        return self.word + _BOUNDS.pack(self.streams, self.window)


class Frames:
    """Takes the bytes of a guest, and gives its frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that end in DATA; raises ValueError for what is no frame."""
        rest, found, at = self._rest, [], 0
        rest += data
        while len(rest) - at >= HEAD.size:
            stream, kind, length = HEAD.unpack_from(rest, at)
            _check(kind, length)
            end = at + HEAD.size + length
            if len(rest) < end:
                break
            found.append(Frame(stream, Kind(kind), bytes(rest[at + HEAD.size : end])))
            at = end
        del rest[:at]
        return found


class Datagrams:
    """Puts the datagrams of one end together again."""

    def __init__(self) -> None:
        self._stream: int | None = None  # of which a part has come
        self._content = bytearray()

    def take(self, frame: Frame) -> bytes | None:
        """Return the datagram that FRAME ends, None when it ends none.

        Raises ValueError for a frame between those of a datagram, and for one that is larger than
        UDP allows. HELLO is of another agent: what came of a datagram before it is nothing.
        """
        if frame.kind == Kind.HELLO:
            self._stream = None
        if self._stream is not None and (frame.kind not in PIECES or frame.stream != self._stream):
            raise ValueError(f"a frame {frame.kind} within a datagram of {self._stream}")
        if frame.kind not in PIECES:
            return None
        if self._stream is None:
            self._content.clear()
        self._content += frame.content
        if len(self._content) > LARGEST:
            raise ValueError(f"a datagram of more than {LARGEST} bytes")
        self._stream = frame.stream if frame.kind == Kind.PART else None
        return bytes(self._content) if self._stream is None else None


def datagram(stream: int, content: bytes) -> bytes:
    """Return the frames of a datagram with CONTENT, at most LARGEST bytes, as they are sent."""
    first, rest = content[:MAX_CONTENT], content[MAX_CONTENT:]
    if not rest:
        return Frame(stream, Kind.DATAGRAM, first).encode()
    return Frame(stream, Kind.PART, first).encode() + datagram(stream, rest)


def _check(kind: int, length: int) -> None:
    expected = LENGTHS.get(Kind(kind)) if kind in Kind else None
    is_data = kind in {Kind.DATA, *PIECES} and length <= MAX_CONTENT
    if not is_data and length != expected:
        raise ValueError(f"a frame {kind} of {length} bytes")
