"""Datagrams of UDP that lead into a machine of QEMU, each sender as a stream.

The frames are those of vcr.engines.streams.
"""

import socket
from collections.abc import Callable
from contextlib import suppress

from vcr.engines.datagrams import AT_ONCE, Origin, Senders, answer, receive
from vcr.engines.streams import Datagrams, Frame, Kind, datagram

PART = 4  # of the streams that a guest may have: so many more are of senders, at most


class SenderStreams:
    """The streams of senders in one channel."""

    def __init__(self, out: bytearray, number: Callable[[], int]) -> None:
        """OUT gets what is to be sent to the guest; NUMBER returns that of a new stream."""
        self._out, self._number = out, number
        self._datagrams = Datagrams()
        self._origins: dict[int, Origin] = {}
        self._senders = Senders[int](1, self._end)

    def begin(self, streams: int) -> None:
        """Serve an agent that has begun, with so many STREAMS; those of one before it are over."""
        self._origins.clear()
        self._senders = Senders[int](max(1, streams // PART), self._end)

    def hear(self, listener: socket.socket, port: int, *, is_ready: bool) -> None:
        """Take what came to LISTENER for PORT of the app; nobody gets it unless IS_READY."""
        with suppress(OSError):  # there are no more
            for _ in range(AT_ONCE):
                data, origin = receive(listener)
                if is_ready:
                    self._out += datagram(self._stream_of(origin, port), data)

    def take(self, frame: Frame) -> bool:
        """Take FRAME of the guest; return whether it was of a datagram, or of a sender.

        Raises ValueError for a frame that must not come within a datagram.
        """
        data, origin = self._datagrams.take(frame), self._origins.get(frame.stream)
        if data is not None and origin is not None:
            answer(origin, data)
            self._senders.get(origin)
        elif frame.kind == Kind.RESET and origin is not None:
            del self._origins[frame.stream]
            self._senders.drop(origin)
        return frame.kind in {Kind.PART, Kind.DATAGRAM} or origin is not None

    def expire(self) -> float | None:
        """End senders that were silent for too long; return the seconds to the next, or None."""
        return self._senders.expire()

    def _stream_of(self, origin: Origin, port: int) -> int:
        stream = self._senders.get(origin)
        if stream is None:
            stream = self._number()
            self._senders.add(origin, stream)
            self._origins[stream] = origin
            self._out += Frame(stream, Kind.SENDER, port.to_bytes(2)).encode()
        return stream

    def _end(self, stream: int) -> None:
        if self._origins.pop(stream, None) is not None:
            self._out += Frame(stream, Kind.RESET).encode()
