"""Ports of this host by their protocol: what listens there, and what passes it on."""

import socket
from collections.abc import Callable

from vcr.engines.datagrams import DatagramRelay, listen_datagrams
from vcr.engines.machine import UDP, Forward
from vcr.engines.relay import Dialer, Relay, listen

type Find = Callable[[], tuple[str, int]]  # raises OSError


def listener_of(forward: Forward) -> socket.socket:
    """Return a socket for what comes to the port of this host of FORWARD; raises OSError."""
    if forward.protocol == UDP:
        return listen_datagrams(forward.address, forward.host)
    return listen(forward.address, forward.host)


def relay_to(
    listener: socket.socket, forward: Forward, find: Find
) -> "ConnectionRelay | DatagramRelay":
    """Pass what comes to LISTENER of FORWARD on to the address and port that FIND returns."""
    if forward.protocol == UDP:
        return DatagramRelay(listener, find)
    return ConnectionRelay(listener, find)


class ConnectionRelay(Relay):
    """Passes the connections of one socket on to wherever `find` says.

    Assigning `find` changes where new ones lead.
    """

    def __init__(self, listener: socket.socket, find: Find) -> None:
        """Take LISTENER over; FIND returns an address and a TCP port, or raises OSError."""
        self.find = find
        super().__init__(listener, Dialer(self._now))

    def _now(self) -> tuple[str, int]:
        return self.find()
