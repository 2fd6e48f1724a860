"""The host's end of virtio-vsock: packets in, packets out, and the sockets behind them.

Virtual I/O Device (VIRTIO) 1.2, section 5.10: https://docs.oasis-open.org/virtio/virtio/v1.2/.
Only streams. Neither side is trusted to keep to its credit: a guest that sends more than
it may loses the connection, and no more is read from a socket than the guest has room for.
Whatever CID the guest calls (2 is the host's, 3 an enclave's parent's) is answered by us.
How many connections there are, how much is kept for them all, and how long a call rings is
limited.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from vcr.engines.enclave.packet import STREAM, Op, Packet
from vcr.engines.relay import RESET_AT_CLOSE

HOST_CID = 3  # of an enclave's parent: https://docs.aws.amazon.com/enclaves/latest/user/
BUFFER = 256 << 10  # bytes that we take from the guest before somebody has read them
MAX_PENDING = 32 << 20  # of all connections together
MAX_LINKS = 1024
MAX_CALLS = 128  # of them, that the guest began: each may take a thread of a service
RING_SECONDS = 60.0  # a guest that is emulated takes its time; Linux itself waits for 2
FIRST_PORT = 1 << 20  # of ours, for calls to the guest
NO_RECEIVE, NO_SEND = 1, 2  # flags of SHUTDOWN
MASK = 0xFFFFFFFF

type Key = tuple[int, int, int]  # the host's CID and port, the guest's port
type Service = Callable[[], socket.socket]


@dataclass
class Link:
    """One connection between a socket of this host and the guest."""

    sock: socket.socket
    established: bool
    alloc: int = 0  # what the guest can take
    taken: int = 0  # what it has taken of what we sent
    sent: int = 0
    forwarded: int = 0  # bytes of the guest that the socket has taken
    told: int = 0  # `forwarded` as the guest knows it
    pending: bytearray = field(default_factory=bytearray)  # for the socket
    first: bytes = b""  # for the guest, before anything from the socket
    we_ended: bool = False
    guest_ended: bool = False
    is_call: bool = False  # the guest began it
    began: float = field(default_factory=time.monotonic)

    @property
    def credit(self) -> int:
        """Return how many bytes the guest has room for; 0 for a senseless claim."""
        in_flight = (self.sent - self.taken) & MASK
        return self.alloc - in_flight if in_flight <= self.alloc else 0


class Switch:
    """All connections of one guest."""

    def __init__(self, cid: int, services: Mapping[int, Service]) -> None:
        """CID is the guest's; SERVICES are what it can call, by port."""
        self.cid = cid
        self.services = services
        self.links: dict[Key, Link] = {}
        # Whose sockets may have something for the guest; a dict, because they take turns.
        self.readable: dict[Key, None] = {}
        self.replies: deque[tuple[Key, Op, int]] = deque()
        self.opened: Callable[[Key, socket.socket], None] = lambda _key, _sock: None
        self.closing: Callable[[socket.socket], None] = lambda _sock: None
        self._next_port = FIRST_PORT
        self._pending = 0  # bytes that are kept, in all

    def attach(self, sock: socket.socket, port: int, first: bytes = b"") -> None:
        """Call PORT of the guest for SOCK, which is ours from now on; FIRST is sent ahead."""
        if len(self.links) >= MAX_LINKS:
            sock.close()
            return
        self._next_port += 1
        key = (HOST_CID, self._next_port, port)
        self._add(key, Link(sock, established=False, first=first))
        self.replies.append((key, Op.REQUEST, 0))

    def receive(self, packet: Packet) -> None:
        """Take what the guest sent."""
        key = (packet.target_cid, packet.target_port, packet.source_port)
        if packet.source_cid != self.cid or packet.kind != STREAM:
            self._refuse(key, packet.op)
            return
        link = self.links.get(key)
        if packet.op == Op.REQUEST:
            self._accept(key, packet)
            return
        if link is None:
            self._refuse(key, packet.op)
            return
        link.alloc, link.taken = packet.alloc, packet.forwarded
        match packet.op:
            case Op.RESPONSE if not link.established:
                link.established = True
                self.readable[key] = None
            case Op.RW if link.established:
                self._take(key, link, packet.data)
            case Op.SHUTDOWN:
                self._shut(key, link, packet.flags)
            case Op.RST:
                self._break(link)
                self._drop(key)
            case Op.CREDIT_REQUEST:
                self.replies.append((key, Op.CREDIT_UPDATE, 0))
            case Op.CREDIT_UPDATE:
                pass
            case _:
                self._reset(key)

    def writable(self, key: Key) -> None:
        """Continue with what was kept for a socket that had no room."""
        link = self.links.get(key)
        if link is not None:
            self._flush(key, link)

    def outgoing(self, room: int) -> Packet | None:
        """Return the next packet for the guest, with up to ROOM bytes of data."""
        if self.replies:
            key, op, flags = self.replies.popleft()
            return self._packet(key, op, flags)
        for key in list(self.readable):
            link = self.links.get(key)
            if link is None or not link.established or link.we_ended:
                self.readable.pop(key, None)
                continue
            size = min(room, link.credit)
            if size <= 0:
                continue  # a later packet of the guest gives credit
            packet = self._read(key, link, size)
            if packet is not None:
                return packet
        return None

    def expire(self) -> None:
        """Give up calls that the guest has not answered, or whose caller has hung up."""
        late = time.monotonic() - RING_SECONDS
        for key, link in list(self.links.items()):
            if not link.established and (link.began < late or _deaf(link.sock)):
                self._reset(key)

    def close(self) -> None:
        """Close all sockets."""
        for key in list(self.links):
            self._drop(key)

    def _read(self, key: Key, link: Link, size: int) -> Packet | None:
        """Return what the socket of LINK has for the guest; without more, its end or None."""
        try:
            data = link.first[:size] or link.sock.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self.readable.pop(key, None)
            return None
        except OSError:
            data = b""
        if not data:
            link.we_ended = True
            self.readable.pop(key, None)
            return self._packet(key, Op.SHUTDOWN, NO_SEND | _deaf(link.sock))
        link.first = link.first[len(data) :]
        self.readable[key] = self.readable.pop(key)  # behind the others
        packet = self._packet(key, Op.RW, 0, data)
        link.sent += len(data)
        return packet

    def _accept(self, key: Key, packet: Packet) -> None:
        service = self.services.get(packet.target_port)
        if key in self.links:
            self._reset(key)
            return
        if service is None or not self._has_room_for_a_call():
            self._refuse(key, packet.op)
            return
        try:
            sock = service()
        except OSError:
            self._refuse(key, packet.op)
            return
        link = Link(
            sock, established=True, alloc=packet.alloc, taken=packet.forwarded, is_call=True
        )
        self.replies.append((key, Op.RESPONSE, 0))
        self._add(key, link)

    def _has_room_for_a_call(self) -> bool:
        calls = sum(link.is_call for link in self.links.values())
        return calls < MAX_CALLS and len(self.links) < MAX_LINKS

    def _add(self, key: Key, link: Link) -> None:
        link.sock.settimeout(0)
        self.links[key] = link
        self.readable[key] = None
        self.opened(key, link.sock)

    def _take(self, key: Key, link: Link, data: bytes) -> None:
        is_too_much = self._pending + len(data) > MAX_PENDING
        if link.guest_ended or len(link.pending) + len(data) > BUFFER or is_too_much:
            self._reset(key)
            return
        link.pending += data
        self._pending += len(data)
        self._flush(key, link)

    def _flush(self, key: Key, link: Link) -> None:
        while link.pending:
            try:
                count = link.sock.send(link.pending, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                self._reset(key)
                return
            del link.pending[:count]
            self._pending -= count
            link.forwarded += count
        if link.guest_ended:
            self._end(key, link)
        elif link.forwarded - link.told > BUFFER // 4:
            self.replies.append((key, Op.CREDIT_UPDATE, 0))
            link.told = link.forwarded

    def _shut(self, key: Key, link: Link, flags: int) -> None:
        if flags & NO_RECEIVE and flags & NO_SEND and self._break(link):
            self._reset(key)
            return
        if flags & NO_RECEIVE:
            link.we_ended = True
        if flags & NO_SEND:
            link.guest_ended = True
            self._flush(key, link)

    def _break(self, link: Link) -> bool:
        """Have a client of TCP see a reset, unless the guest has said that it sends no more.

        A socket of vsock that is closed without that was broken off: docs/enclave.md, the wire.
        """
        is_of_tcp = link.sock.family in {socket.AF_INET, socket.AF_INET6}
        if not is_of_tcp or link.guest_ended or not link.established:
            return False
        with suppress(OSError):
            link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        return True

    def _end(self, key: Key, link: Link) -> None:
        """Pass on that the guest has said all it will; without a way back, that is the end."""
        if link.we_ended:
            self._reset(key)
            return
        with suppress(OSError):
            link.sock.shutdown(socket.SHUT_WR)

    def _reset(self, key: Key) -> None:
        self._drop(key)
        self.replies.append((key, Op.RST, 0))

    def _refuse(self, key: Key, op: int) -> None:
        if op != Op.RST:  # a reset is not answered: two sides would never stop
            self.replies.append((key, Op.RST, 0))

    def _drop(self, key: Key) -> None:
        self.readable.pop(key, None)
        link = self.links.pop(key, None)
        if link is not None:
            self._pending -= len(link.pending)
            self.closing(link.sock)
            link.sock.close()

    def _packet(self, key: Key, op: Op, flags: int, data: bytes = b"") -> Packet:
        cid, port, guest_port = key
        link = self.links.get(key)
        forwarded = 0
        if link is not None:
            forwarded = link.forwarded & MASK
            link.told = link.forwarded
        return Packet(cid, self.cid, port, guest_port, op, flags, BUFFER, forwarded, data)


def _deaf(sock: socket.socket) -> int:
    """Return NO_RECEIVE when nobody reads any more what SOCK is sent."""
    poll = select.poll()
    poll.register(sock, 0)
    return NO_RECEIVE if any(mask & select.POLLHUP for _, mask in poll.poll(0)) else 0
