"""Connections to the app of a machine as streams in one channel; guest/agent/relay.go is its end.

A frame is a stream's number (4 bytes), what it is (1), the length of the rest (2), the rest;
numbers are big-endian. The guest's first frame is HELLO: a word, which is to be the first that it
gets (what it gets before was for an agent that has ended), how many streams may be open (4 bytes),
and its window (4). Each end may send so many bytes of a stream that the other has not taken: to
the guest its window, which depends on its memory, to the host WINDOW.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

WINDOW = 64 << 10  # bytes
HEAD = struct.Struct(">IBH")
MAX_CONTENT = (32 << 10) - HEAD.size  # bytes: a guest writes a frame in one go
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
        """Return the content of CREDIT and OPEN, a number."""
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


def _check(kind: int, length: int) -> None:
    expected = LENGTHS.get(Kind(kind)) if kind in Kind else None
    is_data = kind == Kind.DATA and length <= MAX_CONTENT
    if not is_data and length != expected:
        raise ValueError(f"a frame {kind} of {length} bytes")
