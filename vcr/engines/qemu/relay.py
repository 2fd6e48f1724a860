"""Carries what comes to ports of this host into a machine of QEMU.

It accepts connections at once, whatever the app does, and carries each as a stream to the agent
in the guest, which connects to the app there: vcr.engines.streams. QEMU's user network and passt
ask the guest once only, so what the app's backlog has no place for was lost. Datagrams of UDP go
the same way: vcr.engines.qemu.senders.
"""

import resource
import selectors
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from vcr.engines.qemu.senders import SenderStreams
from vcr.engines.relay import RESET_AT_CLOSE
from vcr.engines.streams import MAX_CONTENT, WINDOW, Frame, Frames, Hello, Kind

MAX_STREAMS = 4096  # of any guest; one with little memory says less
AHEAD = 256 << 10  # bytes for the guest that wait here, before clients are read
MOST_WAITING = 4 * AHEAD  # before the guest is not heard: an agent reads while it writes
PIECE = 16 << 10
SPARE_FILES = 16  # of what the process may open


@dataclass(frozen=True)
class Door:
    """A socket that listens, of TCP or UDP, and the port of the app that it leads to."""

    listener: socket.socket
    port: int

    @property
    def is_of_datagrams(self) -> bool:
        """Return whether it is of UDP."""
        return self.listener.type == socket.SOCK_DGRAM


@dataclass
class Stream:
    """A client, and what is known about its connection."""

    number: int
    client: socket.socket
    allowed: int  # bytes that the guest takes
    waiting: bytearray = field(default_factory=bytearray)  # for the client
    is_read: bool = False  # the client's half is closed
    is_ended: bool = False  # the guest's is
    is_shut: bool = False  # and the client knows
    is_answered: bool = False

    @property
    def is_over(self) -> bool:
        """Return whether both ends have come, and the client knows."""
        return self.is_shut and self.is_read


class Relay:
    """Carries connections to LISTENERS, each with a port of the app, through CHANNEL."""

    def __init__(
        self, channel: socket.socket, listeners: Sequence[tuple[socket.socket, int]]
    ) -> None:
        """Take both over; nothing happens before `run`."""
        self._channel = channel
        doors = [Door(*each) for each in listeners]
        self._doors = [each for each in doors if not each.is_of_datagrams]
        self._open_doors = [each for each in doors if each.is_of_datagrams]
        self._selector = selectors.DefaultSelector()
        self._frames, self._out = Frames(), bytearray()
        self._streams: dict[int, Stream] = {}
        self._changed: dict[int, Stream] = {}  # since they were last watched for
        self._had_room: bool | None = None
        self._is_ready = False  # the guest has said hello
        self._is_accepting = self._is_over = False
        self._last = 0
        spare = SPARE_FILES + len(doors)
        self._possible = self._most = max(1, min(MAX_STREAMS, raise_limit() - spare))
        self._window = WINDOW  # of the guest
        self._senders = SenderStreams(self._out, self._next_number)

    def run(self) -> None:
        """Serve until the other end of the channel is closed; raises ValueError, OSError."""
        for each in (self._channel, *(door.listener for door in self._doors)):
            each.settimeout(0)
        self._selector.register(self._channel, selectors.EVENT_READ)
        while not self._is_over:
            seconds = self._senders.expire()
            self._watch()
            for key, events in self._selector.select(seconds):
                if isinstance(key.data, Stream):
                    self._serve(key.data, events)
                elif isinstance(key.data, Door):
                    self._come(key.data)
                elif events & selectors.EVENT_READ:
                    self._hear()
            self._flush()

    def _watch(self) -> None:
        """Wait for what can be dealt with."""
        events = selectors.EVENT_READ if len(self._out) < MOST_WAITING else 0
        self._want(self._channel, events, is_writer=bool(self._out))
        is_accepting = len(self._streams) < self._most
        if is_accepting is not self._is_accepting:
            self._is_accepting = is_accepting
            for door in self._doors:
                self._open(door, is_open=is_accepting)
        has_room = len(self._out) < AHEAD
        if has_room is not self._had_room:
            for door in self._open_doors:
                self._open(door, is_open=has_room)
        changed = self._changed if has_room is self._had_room else self._streams
        self._had_room, self._changed = has_room, {}
        for stream in changed.values():
            if stream.number not in self._streams:
                continue
            is_reader = has_room and stream.allowed > 0 and not stream.is_read
            self._want(
                stream.client,
                selectors.EVENT_READ if is_reader else 0,
                is_writer=bool(stream.waiting),
                data=stream,
            )

    def _open(self, door: Door, *, is_open: bool) -> None:
        events = selectors.EVENT_READ if is_open else 0
        self._want(door.listener, events, is_writer=False, data=door)

    def _want(
        self, one: socket.socket, events: int, *, is_writer: bool, data: Stream | Door | None = None
    ) -> None:
        events |= selectors.EVENT_WRITE if is_writer else 0
        known = self._selector.get_map().get(one)
        if known is None and events:
            self._selector.register(one, events, data)
        elif known is not None and not events:
            self._selector.unregister(one)
        elif known is not None and known.events != events:
            self._selector.modify(one, events, known.data)

    def _send(self, stream: int, kind: Kind, content: bytes = b"") -> None:
        self._out += Frame(stream, kind, content).encode()

    def _flush(self) -> None:
        with suppress(BlockingIOError):
            while self._out:
                del self._out[: self._channel.send(self._out[: 1 << 16])]

    def _next_number(self) -> int:
        self._last = self._last % 0xFFFFFFFF + 1
        return self._last

    def _come(self, door: Door) -> None:
        if door.is_of_datagrams:
            self._senders.hear(door.listener, door.port, is_ready=self._is_ready)
        else:
            self._accept(door)

    def _accept(self, door: Door) -> None:
        with suppress(OSError):  # the client has left, or there are no more files
            while len(self._streams) < self._most:
                client = door.listener.accept()[0]
                if not self._is_ready:  # the machine boots
                    client.close()
                    continue
                client.settimeout(0)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                number = self._next_number()
                self._streams[number] = Stream(number, client, self._window)
                self._changed[number] = self._streams[number]
                self._send(number, Kind.OPEN, door.port.to_bytes(2))

    def _serve(self, stream: Stream, events: int) -> None:
        if stream.number not in self._streams:
            return  # it has ended in this round
        self._changed[stream.number] = stream
        try:
            if events & selectors.EVENT_WRITE:
                self._write(stream)
            if events & selectors.EVENT_READ:
                self._read(stream)
        except BlockingIOError:
            pass
        except OSError:  # the client has left
            self._send(stream.number, Kind.RESET)
            self._forget(stream)

    def _read(self, stream: Stream) -> None:
        if stream.is_read or stream.allowed <= 0:
            return
        piece = stream.client.recv(min(PIECE, stream.allowed, MAX_CONTENT))
        stream.allowed -= len(piece)
        if piece:
            self._send(stream.number, Kind.DATA, piece)
        else:
            stream.is_read = True
            self._send(stream.number, Kind.END)
            self._end(stream)

    def _write(self, stream: Stream) -> None:
        sent = stream.client.send(stream.waiting)
        del stream.waiting[:sent]
        if sent:
            self._send(stream.number, Kind.CREDIT, sent.to_bytes(4))
        self._end(stream)

    def _end(self, stream: Stream) -> None:
        """Pass the guest's end on; forget a stream that has both."""
        if stream.is_ended and not stream.waiting and not stream.is_shut:
            stream.is_shut = True
            with suppress(OSError):
                stream.client.shutdown(socket.SHUT_WR)
        # The guest has to have room for another one: what it has not taken, it still holds.
        if stream.is_over and stream.allowed >= self._window:
            self._forget(stream)

    def _forget(self, stream: Stream, *, is_reset: bool = False) -> None:
        del self._streams[stream.number]
        with suppress(KeyError):
            self._selector.unregister(stream.client)
        if is_reset:
            stream.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        stream.client.close()

    def _hear(self) -> None:
        """Take what the guest sends."""
        with suppress(BlockingIOError):
            data = self._channel.recv(1 << 16)
            self._is_over = not data
            for frame in self._frames.feed(data):
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        if self._senders.take(frame):
            return
        if frame.kind == Kind.HELLO:
            self._begin(Hello.of(frame.content))
            return
        stream = self._streams.get(frame.stream)
        if stream is None:
            return  # it has ended here
        self._changed[stream.number] = stream
        match frame.kind:
            case Kind.DATA:
                self._give(stream, frame.content)
            case Kind.END:
                stream.is_ended = True
                self._end(stream)
            case Kind.RESET:  # what the client got is not all; one that got nothing sees an end
                self._forget(stream, is_reset=stream.is_answered and not stream.is_over)
            case Kind.CREDIT:
                stream.allowed = min(stream.allowed + frame.number, self._window)
                self._end(stream)

    def _give(self, stream: Stream, data: bytes) -> None:
        if stream.is_ended or len(stream.waiting) + len(data) > WINDOW:
            raise ValueError(f"stream {stream.number} sends more than it may")
        stream.is_answered = True
        stream.waiting += data
        try:
            self._write(stream)
        except BlockingIOError:
            pass
        except OSError:
            self._send(stream.number, Kind.RESET)
            self._forget(stream)

    def _begin(self, hello: Hello) -> None:
        """Serve an agent that has begun; the streams of one before it are over."""
        for stream in list(self._streams.values()):
            self._forget(stream, is_reset=True)
        self._most, self._window = min(self._possible, hello.streams), hello.window
        self._senders.begin(self._most)
        self._out[:] = hello.word
        self._is_ready = True


def raise_limit() -> int:
    """Let this process open as many files as it may at most; return how many."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most if most != resource.RLIM_INFINITY else 1 << 20
