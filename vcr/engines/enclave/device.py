"""A virtio-vsock device for stock QEMU, in a thread of this process and without privileges.

QEMU is started with `-device vhost-user-vsock-device` on the socket of this device. What
the guest calls is answered by services, functions that return a connected socket; calls to
the guest are made with `connect`.
"""

import os
import select
import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from vcr.engines.enclave.packet import Packet
from vcr.engines.enclave.vhost import Backend, receive
from vcr.engines.enclave.vring import GuestError, gather, scatter
from vcr.engines.enclave.vsock import Key, Service, Switch

RECEIVE, TRANSMIT = 0, 1  # the queues, as the guest calls them
MAX_REPLIES = 1024  # with more waiting, the guest has to read before it may send
MAX_PACKET = 64 << 10  # bytes of data, as Linux has it
MAX_TURN = 256  # packets each way before whoever else waits has a turn
EXPIRE_SECONDS = 1.0  # at most, between looks at calls that nobody answers
FRONT_SECONDS = 10.0  # for the rest of a message of QEMU


class Device:
    """One device; a context manager."""

    def __init__(self, path: Path, cid: int, services: Mapping[int, Service]) -> None:
        """Listen at PATH, at most 107 bytes long, for the QEMU of the guest CID; raises OSError."""
        self.switch = Switch(cid, services)
        self.switch.opened = self._watch
        self.switch.closing = self._forget
        self.error: str = ""  # why it stopped, if not because it was told to
        self._backend = Backend(2, struct.pack("<Q", cid))
        self._backend.kicked = self._rewire
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._front: socket.socket | None = None
        self._epoll = select.epoll()
        self._keys: dict[int, Key] = {}
        self._calls: list[tuple[socket.socket, int, bytes]] = []
        self._closed = False
        self._lock = threading.Lock()  # of the two
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._over = threading.Event()
        for fd in (self._wake, self._listener.fileno()):
            self._epoll.register(fd, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, daemon=True, name="vsock")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it and close every connection."""
        self._over.set()
        os.eventfd_write(self._wake, 1)
        self._thread.join()

    def connect(self, port: int) -> socket.socket:
        """Return a connection to PORT of the guest; when it is refused it ends at once."""
        ours, theirs = socket.socketpair()
        self.attach(theirs, port)
        return ours

    def attach(self, sock: socket.socket, port: int, first: bytes = b"") -> None:
        """Connect SOCK, which is the device's from now on, with PORT of the guest.

        FIRST is sent to the guest ahead of what SOCK has.
        """
        with self._lock:
            if self._closed:
                sock.close()
                return
            self._calls.append((sock, port, first))
        os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                for fd, mask in self._epoll.poll(EXPIRE_SECONDS):
                    self._dispatch(fd, mask)
                self.switch.expire()
                self._pump()
        except (GuestError, OSError) as error:
            self.error = str(error)
        finally:
            self._close()

    def _dispatch(self, fd: int, mask: int) -> None:
        if fd == self._wake:
            os.eventfd_read(fd)
            with self._lock:
                calls, self._calls = self._calls, []
            for sock, port, first in calls:
                self.switch.attach(sock, port, first)
        elif fd == self._listener.fileno():
            self._accept()
        elif self._front is not None and fd == self._front.fileno():
            self._control(self._front)
        elif fd in self._keys:
            key = self._keys[fd]
            if mask & ~select.EPOLLOUT and key in self.switch.links:
                self.switch.readable[key] = None
            if mask & select.EPOLLOUT:
                self.switch.writable(key)
        else:
            with suppress(OSError):  # a kick: there is something in a queue
                os.eventfd_read(fd)

    def _accept(self) -> None:
        front, _ = self._listener.accept()
        if self._front is not None:
            front.close()  # a device has one front end
            return
        self._front = front
        front.settimeout(FRONT_SECONDS)
        self._epoll.register(front.fileno(), select.EPOLLIN)

    def _control(self, front: socket.socket) -> None:
        message = receive(front)
        if message is None:
            self._over.set()  # QEMU is gone
            return
        answer = self._backend.handle(message)
        if answer is not None:
            front.sendall(answer)

    def _rewire(self, old: int, new: int) -> None:
        if old >= 0:
            with suppress(OSError):
                self._epoll.unregister(old)
        if new >= 0:
            self._epoll.register(new, select.EPOLLIN)

    def _watch(self, key: Key, sock: socket.socket) -> None:
        # Edge-triggered: `readable` remembers what there is until the guest has room.
        self._keys[sock.fileno()] = key
        self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)

    def _forget(self, sock: socket.socket) -> None:
        # Its number may be that of the next file, which may be no connection.
        with suppress(OSError):
            self._epoll.unregister(sock.fileno())
        self._keys.pop(sock.fileno(), None)

    def _pump(self) -> None:
        """Move packets until one side has nothing, or no room, or has had its turn."""
        receiving, transmitting = (self._backend.queues[i] for i in (RECEIVE, TRANSMIT))
        memory = self._backend.memory
        for _ in range(MAX_TURN):
            if not transmitting.waiting or len(self.switch.replies) >= MAX_REPLIES:
                break
            head, pieces = transmitting.take(memory)
            try:
                self.switch.receive(Packet.decode(gather(pieces)))
            except ValueError as error:
                raise GuestError(str(error)) from None
            transmitting.give_back(head, 0)
            self._fill()
        else:
            os.eventfd_write(self._wake, 1)  # there may be more
        self._fill()
        for queue in (receiving, transmitting):
            queue.signal()

    def _fill(self) -> None:
        """Give the guest what there is for it, as long as it has buffers."""
        queue, memory = self._backend.queues[RECEIVE], self._backend.memory
        for _ in range(MAX_TURN):
            if not queue.waiting:
                return
            before = queue.next
            head, pieces = queue.take(memory)
            room = sum(map(len, pieces)) - Packet.FORM.size
            if room < 0:
                raise GuestError("a buffer that has no room for a packet")
            packet = self.switch.outgoing(min(room, MAX_PACKET))
            if packet is None:
                queue.next = before  # the buffer stays available
                return
            data = packet.encode()
            scatter(data, pieces)
            queue.give_back(head, len(data))
        os.eventfd_write(self._wake, 1)

    def _close(self) -> None:
        self.switch.close()
        with self._lock:
            self._closed = True
            for sock, _, _ in self._calls:
                sock.close()
        for file in (self._front, self._listener):
            if file is not None:
                file.close()
        self._backend.close()
        self._epoll.close()
