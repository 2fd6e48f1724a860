"""Connections to the app of a machine as streams in one channel; guest/agent/relay.go is its end.

A frame is a stream's number (4 bytes), what it is (1), the length of the rest (2), the rest;
numbers are big-endian. The guest's first frame is HELLO with a word, which is to be the first
that it gets: what it gets before was for an agent that has ended. Each end may send WINDOW bytes
of a stream that the other has not taken.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

WINDOW = 64 << 10  # bytes
HEAD = struct.Struct(">IBH")
MAX_CONTENT = (32 << 10) - HEAD.size  # bytes: a guest writes a frame in one go
HELLO_BYTES = 16


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
