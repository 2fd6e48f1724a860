"""Datagrams of UDP at ports of this host: who sends them, and how they are answered.

A sender is known by its address and by the one of this host that it wrote to, which its answers
come from: at 0.0.0.0 and :: the kernel would choose one, and a client drops what comes from
another. What is known of a sender is kept for as long as Docker keeps it without a word either
way. ip(7), ipv6(7), udp(7)
"""

import os
import select
import socket
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from vcr.engines.relay import bound

IDLE_SECONDS = 90.0  # UDPConnTrackTimeout of github.com/moby/moby, cmd/docker-proxy/udp_proxy.go
AT_ONCE = 32  # datagrams of one socket, before others get their turn
MOST_SENDERS = 1024  # of one port, where each has a socket
SPACE = 1 << 16
IP_PKTINFO = 8  # linux/in.h; socket has it from Python 3.14 on
_IN_PKTINFO = struct.Struct("=i4s4s")  # interface, local address, address of the head
_IN6_PKTINFO = struct.Struct("=16sI")
_LINK_LOCAL = (0xFE80, 0xFFC0)  # RFC 4291, 2.5.6: such an address needs its interface

type Ancillary = tuple[tuple[int, int, bytes], ...]


class Origin(NamedTuple):
    """Where a datagram came from, and whereby it is answered."""

    listener: socket.socket
    address: tuple[Any, ...]
    source: Ancillary  # the address of this host, where LISTENER has any


def listen_datagrams(address: str, port: int) -> socket.socket:
    """Return a socket that takes datagrams for ADDRESS and UDP PORT; raises OSError."""
    listener = bound(address, port, socket.SOCK_DGRAM)
    if address == "::":
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    elif address == "0.0.0.0":  # noqa: S104
        listener.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    listener.settimeout(0)
    return listener


def receive(listener: socket.socket) -> tuple[bytes, Origin]:
    """Return the next datagram of LISTENER; raises BlockingIOError when there is none."""
    data, ancillary, _, address = listener.recvmsg(SPACE, 64)
    return data, Origin(listener, address, tuple(map(_answering, ancillary)))


def answer(origin: Origin, data: bytes) -> None:
    """Send DATA to ORIGIN, unless that is not possible now."""
    with suppress(OSError):
        origin.listener.sendmsg([data], origin.source, socket.MSG_DONTWAIT, origin.address)


def _answering(ancillary: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    """Return what makes an answer come from the address that ANCILLARY says a datagram came to."""
    level, kind, data = ancillary
    if level == socket.IPPROTO_IP:
        _, local, _ = _IN_PKTINFO.unpack(data)
        return level, kind, _IN_PKTINFO.pack(0, local, bytes(4))
    local, interface = _IN6_PKTINFO.unpack(data)
    prefix, mask = _LINK_LOCAL
    is_link_local = int.from_bytes(local[:2]) & mask == prefix
    return level, kind, _IN6_PKTINFO.pack(local, interface if is_link_local else 0)


class Senders[T]:
    """What is kept of each sender; the one that was silent for longest comes first."""

    def __init__(self, most: int, end: Callable[[T], None]) -> None:
        """Keep MOST at a time; END is called with what was kept of one that is not any more."""
        self._most, self._end = most, end
        self._kept: OrderedDict[Origin, tuple[T, float]] = OrderedDict()

    def get(self, origin: Origin) -> T | None:
        """Return what is kept of ORIGIN, which is not silent; None of a new one."""
        kept = self._kept.get(origin)
        if kept is None:
            return None
        self._kept[origin] = kept[0], time.monotonic()
        self._kept.move_to_end(origin)
        return kept[0]

    def add(self, origin: Origin, what: T) -> None:
        """Keep WHAT of ORIGIN, a new one."""
        while len(self._kept) >= self._most:
            self._end(self._kept.popitem(last=False)[1][0])
        self._kept[origin] = what, time.monotonic()

    def drop(self, origin: Origin) -> None:
        """Keep nothing of ORIGIN."""
        kept = self._kept.pop(origin, None)
        if kept is not None:
            self._end(kept[0])

    def clear(self) -> None:
        """Keep nothing."""
        while self._kept:
            self._end(self._kept.popitem()[1][0])

    def expire(self) -> float | None:
        """End those that were silent for too long; return the seconds to the next, None if none."""
        now = time.monotonic()
        while self._kept:
            what, last = next(iter(self._kept.values()))
            if now - last < IDLE_SECONDS:
                return last + IDLE_SECONDS - now
            self._kept.popitem(last=False)
            self._end(what)
        return None


class DatagramRelay:
    """Passes the datagrams of one socket on to wherever `find` says, in a thread.

    Each sender has a socket there. Assigning `find` changes where all of them lead.
    """

    def __init__(self, listener: socket.socket, find: Callable[[], tuple[str, int]]) -> None:
        """Take LISTENER over; FIND returns an address and a UDP port, or raises OSError."""
        self.find = find
        self._listener, self._is_closed = listener, False
        self._wake = os.eventfd(0)
        self._poll = select.epoll()
        self._apps: dict[int, tuple[socket.socket, Origin]] = {}  # by file descriptor
        self._senders = Senders[tuple[socket.socket, object]](MOST_SENDERS, self._end)
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """Take no more datagrams."""
        self._is_closed = True
        os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        for each in (self._listener.fileno(), self._wake):
            self._poll.register(each, select.EPOLLIN)
        while not self._is_closed:
            for fd, _ in self._poll.poll(self._senders.expire()):
                if fd == self._listener.fileno():
                    self._hear()
                elif fd in self._apps:
                    self._answer(*self._apps[fd])
        self._senders.clear()
        self._listener.close()
        self._poll.close()
        os.close(self._wake)

    def _hear(self) -> None:
        with suppress(OSError):  # there are no more
            for _ in range(AT_ONCE):
                data, origin = receive(self._listener)
                with suppress(OSError):  # it leads nowhere
                    _give(self._app_of(origin), data)

    def _app_of(self, origin: Origin) -> socket.socket:
        """Return the socket of ORIGIN to the app; raises OSError."""
        find, kept = self.find, self._senders.get(origin)
        if kept is not None and kept[1] is find:
            return kept[0]
        self._senders.drop(origin)
        app = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            app.connect(find())
            self._poll.register(app.fileno(), select.EPOLLIN)
        except OSError:
            app.close()
            raise
        self._apps[app.fileno()] = app, origin
        self._senders.add(origin, (app, find))
        return app

    def _answer(self, app: socket.socket, origin: Origin) -> None:
        with suppress(BlockingIOError):
            for _ in range(AT_ONCE):
                with suppress(ConnectionRefusedError):  # nobody took one before
                    answer(origin, app.recv(SPACE))
                    self._senders.get(origin)

    def _end(self, kept: tuple[socket.socket, object]) -> None:
        app, _ = kept
        del self._apps[app.fileno()]
        app.close()  # which epoll notices


def _give(app: socket.socket, data: bytes) -> None:
    """Send DATA to APP. That nobody took one before is said in place of sending: udp(7)."""
    try:
        app.send(data)
    except ConnectionRefusedError:
        app.send(data)
