"""Passes TCP connections on: from a listening socket to wherever `connect` leads.

Where it leads may change while it listens; connections that exist stay where they are.
A connection that leads nowhere is closed at once, as QEMU does. One that leads somewhere
may be silent for as long as it likes, whatever connecting may take.
"""

import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

BACKLOG = 4096
CONNECT_SECONDS = 120.0  # for the other side to have a place in its backlog
TRIES, TRY_SECONDS = 3, 0.001
PAUSE_SECONDS = 0.005
PIECE = 1 << 16
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # struct linger, socket(7)

type Connect = Callable[[], socket.socket]  # raises OSError


def bound(address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """Return a socket at ADDRESS, of IPv4 or IPv6, and PORT; raises OSError.

    KIND: that of TCP, or SOCK_DGRAM, that of UDP.
    """
    is_ipv6 = ":" in address
    found = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, kind)
    try:
        if kind == socket.SOCK_STREAM:  # with UDP, two could have one port: socket(7)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:  # :: is not 0.0.0.0, too: ipv6(7)
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind((address, port))
    except OSError:
        found.close()
        raise
    return found


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that listens on ADDRESS and TCP PORT; raises OSError."""
    listener = bound(address, port)
    try:
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class Dialer:
    """Connects to one address of this host, one connection after the other.

    Where a backlog is full, the kernel asks again after one second, then two, then four, each
    time for all that wait; so it asks again itself, every few milliseconds.
    """

    def __init__(self, find: Callable[[], tuple[str, int]]) -> None:
        """Connect, when called, to the address and TCP port that FIND returns."""
        self._find, self._turn = find, threading.Lock()

    def __call__(self) -> socket.socket:
        """Return a connection; raises OSError where nobody listens, or for two minutes."""
        address, end = self._find(), time.monotonic() + CONNECT_SECONDS
        while time.monotonic() < end:
            with self._turn:
                if found := _ask_once(address):
                    return found
                time.sleep(PAUSE_SECONDS)
        raise TimeoutError


def _ask_once(address: tuple[str, int]) -> socket.socket | None:
    """Return a connection to ADDRESS, None if nobody answers at once; raises OSError."""
    asking = socket.socket()
    asking.settimeout(0)
    code = asking.connect_ex(address)
    for _ in range(TRIES):
        if code in {0, errno.EINPROGRESS}:
            code = asking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            asking.close()
            raise OSError(code, os.strerror(code))
        with suppress(OSError):  # it is not connected yet
            asking.getpeername()
            asking.settimeout(None)
            return asking
        time.sleep(TRY_SECONDS)
    asking.close()
    return None


class Relay:
    """Serves one listening socket in threads that end with the process."""

    def __init__(self, listener: socket.socket, connect: Connect) -> None:
        """Take LISTENER over; assigning `connect` changes where new connections lead."""
        self.connect = connect
        self._listener = listener
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(2), which close does not
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = self.connect()
            except OSError:
                return
            with server:
                server.settimeout(None)  # what connecting may take says nothing about silence
                failed = threading.Event()
                words = (server, client, failed)
                back = threading.Thread(target=_pump, args=words, daemon=True)
                back.start()
                _pump(client, server, failed)
                back.join()


def _pump(source: socket.socket, target: socket.socket, failed: threading.Event) -> None:
    """Copy until SOURCE ends, and pass the end on.

    A reset is none: what came before it may not be all. Then FAILED is set, and closing the two
    resets them.
    """
    try:
        while piece := source.recv(PIECE):
            target.sendall(piece)
    except OSError:
        failed.set()
    with suppress(OSError):
        if not failed.is_set():
            target.shutdown(socket.SHUT_WR)
            return
        for each in (source, target):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RD)  # wakes the other direction, and sends nothing
