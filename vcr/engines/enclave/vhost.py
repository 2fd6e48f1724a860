"""vhost-user, the back end's side: how QEMU hands over a device's memory and queues.

https://www.qemu.org/docs/master/interop/vhost-user.html
"""

import mmap
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from vcr.engines.enclave.vring import GuestError, Memory, Queue, Region

VERSION_1 = 1 << 32  # virtio 1.0
PROTOCOL_FEATURES = 1 << 30
MULTIPLE_QUEUES, REPLY_ACK, CONFIG = 1 << 0, 1 << 3, 1 << 9
NEED_REPLY = 1 << 3  # of a message's flags
REPLY = 1 | 1 << 2  # version 1, and that it is one
NO_FD = 1 << 8
MAX_PAYLOAD = 4096
MAX_FDS = 8
_HEADER = struct.Struct("<III")
_REGION = struct.Struct("<QQQQ")
_PAIR = struct.Struct("<II")
_ADDRESSES = struct.Struct("<IIQQQQ")
_U64 = struct.Struct("<Q")


@dataclass(frozen=True)
class Message:
    """One message, and the files that came with it."""

    request: int
    flags: int
    payload: bytes
    fds: list[int]

    @property
    def number(self) -> int:
        """Return the payload as a number."""
        (value,) = _U64.unpack_from(self.payload)
        return int(value)

    @property
    def pair(self) -> tuple[int, int]:
        """Return the payload as a queue's index and a number."""
        index, value = _PAIR.unpack_from(self.payload)
        return index, value


def receive(sock: socket.socket) -> Message | None:
    """Read one message, None at the end; raises GuestError, OSError."""
    header, fds, _, _ = socket.recv_fds(sock, _HEADER.size, MAX_FDS)
    try:
        header += _rest(sock, _HEADER.size - len(header)) if header else b""
        if len(header) < _HEADER.size:
            return None
        request, flags, size = _HEADER.unpack(header)
        if size > MAX_PAYLOAD:
            raise GuestError(f"a message of {size} bytes")
        payload = _rest(sock, size)
        if len(payload) < size:
            return None
        message = Message(request, flags, payload, fds)
        fds = []
        return message
    finally:
        for fd in fds:
            os.close(fd)


def _rest(sock: socket.socket, size: int) -> bytes:
    """Return SIZE bytes, fewer only at the end."""
    data = b""
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return data


class Backend:
    """The state of one device: its memory and queues."""

    def __init__(self, queues: int, config: bytes) -> None:
        """CONFIG is the device's configuration space."""
        self.queues = [Queue() for _ in range(queues)]
        self.memory = Memory([])
        self.config = config
        self.kicked: Callable[[int, int], None] = lambda _old, _new: None

    def handle(self, message: Message) -> bytes | None:
        """Do what MESSAGE asks and return the answer, if it wants one; raises GuestError."""
        fds = iter(message.fds)
        action = self._ACTIONS.get(message.request)
        try:
            answer = action(self, message, fds) if action else None
        except (struct.error, IndexError, ValueError, OverflowError, OSError) as error:
            raise GuestError(f"request {message.request}: {error}") from None
        finally:
            for fd in fds:  # what nobody took
                os.close(fd)
        if answer is None and message.flags & NEED_REPLY:
            answer = _U64.pack(0)
        if answer is None:
            return None
        return _HEADER.pack(message.request, REPLY, len(answer)) + answer

    def close(self) -> None:
        """Close the files of the queues."""
        for fd in (fd for queue in self.queues for fd in (queue.kick, queue.call) if fd >= 0):
            with suppress(OSError):
                os.close(fd)

    def _features(self, _message: Message, _fds: Iterator[int]) -> bytes:
        return _U64.pack(VERSION_1 | PROTOCOL_FEATURES)

    def _protocol_features(self, _message: Message, _fds: Iterator[int]) -> bytes:
        return _U64.pack(CONFIG | REPLY_ACK | MULTIPLE_QUEUES)

    def _queue_count(self, _message: Message, _fds: Iterator[int]) -> bytes:
        return _U64.pack(len(self.queues))

    def _config(self, message: Message, _fds: Iterator[int]) -> bytes:
        _, size, _ = _HEADER.unpack_from(message.payload)
        size = min(size, MAX_PAYLOAD)
        return message.payload[: _HEADER.size] + self.config.ljust(size, b"\0")[:size]

    def _memory(self, message: Message, fds: Iterator[int]) -> None:
        (count,) = struct.unpack_from("<I", message.payload)
        regions = []
        for number, fd in zip(range(count), fds, strict=False):
            guest, size, user, offset = _REGION.unpack_from(message.payload, 8 + 32 * number)
            try:
                mapped = mmap.mmap(fd, size + offset)
            finally:
                os.close(fd)
            regions.append(Region(guest, user, size, mapped, offset))
        self.memory = Memory(regions)

    def _size(self, message: Message, _fds: Iterator[int]) -> None:
        index, size = message.pair
        self.queues[index].size = size

    def _addresses(self, message: Message, _fds: Iterator[int]) -> None:
        index, _, descriptors, used, available, _ = _ADDRESSES.unpack_from(message.payload)
        self.queues[index].place(self.memory, descriptors, available, used)

    def _base(self, message: Message, _fds: Iterator[int]) -> None:
        index, base = message.pair
        self.queues[index].next = base & 0xFFFF

    def _stop(self, message: Message, _fds: Iterator[int]) -> bytes:
        index, _ = message.pair
        queue = self.queues[index]
        queue.enabled = False
        self._replace_kick(queue, -1)
        return _PAIR.pack(index, queue.next)

    def _kick(self, message: Message, fds: Iterator[int]) -> None:
        fd = -1 if message.number & NO_FD else next(fds, -1)
        self._replace_kick(self.queues[message.number & 0xFF], fd)

    def _call(self, message: Message, fds: Iterator[int]) -> None:
        queue = self.queues[message.number & 0xFF]
        if queue.call >= 0:
            os.close(queue.call)
        queue.call = -1 if message.number & NO_FD else next(fds, -1)

    def _enable(self, message: Message, _fds: Iterator[int]) -> None:
        index, on = message.pair
        self.queues[index].enabled = bool(on)

    def _replace_kick(self, queue: Queue, fd: int) -> None:
        self.kicked(queue.kick, fd)
        if queue.kick >= 0:
            os.close(queue.kick)
        queue.kick = fd

    # By the numbers of the specification; what is not here needs nothing done.
    _ACTIONS: ClassVar[Mapping[int, Callable[..., bytes | None]]] = {
        1: _features,
        5: _memory,
        8: _size,
        9: _addresses,
        10: _base,
        11: _stop,
        12: _kick,
        13: _call,
        15: _protocol_features,
        17: _queue_count,
        18: _enable,
        24: _config,
    }
