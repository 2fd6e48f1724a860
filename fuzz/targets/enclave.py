"""Peers of an emulated enclave: its security module, its vsock and virtio, and the wire to it."""

import base64
import json
import mmap
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import cbor2

from fuzz.target import Target
from vcr.diagnosis.facts import MAX_FACTS, Facts
from vcr.engines.enclave import nsm, vhost, vring, vsock, wire
from vcr.engines.enclave.nsm import SoftwareNsm
from vcr.engines.enclave.packet import Op, Packet
from vcr.engines.enclave.vhost import Backend, Message
from vcr.engines.enclave.vring import GuestError, Memory, Queue, Region, gather, scatter
from vcr.engines.enclave.vsock import BUFFER, HOST_CID, MAX_LINKS, Switch
from vcr.tools.nsm import request

CID, SERVICE = 16, 9
MODULE = SoftwareNsm({0: b"\x01" * 48}, now=1_790_000_000.0)


def read_request(data: bytes, _directory: Path) -> None:
    """Answer a request of the guest; whatever it is, there is an answer, and it is CBOR."""
    assert len(MODULE.handle(data)) <= 0x3000, "an answer is longer than the device's"
    assert isinstance(cbor2.loads(MODULE.handle(data)), dict | str), "an answer is none"


def _requests() -> Iterator[bytes]:
    yield cbor2.dumps("DescribeNSM")
    yield cbor2.dumps("GetRandom")
    for name, fields in {
        "DescribePCR": {"index": 0},
        "ExtendPCR": {"index": 17, "data": b"x"},
        "LockPCR": {"index": 31},
        "LockPCRs": {"range": 20},
    }.items():
        yield cbor2.dumps({name: fields})
    yield request(b"\x01" * 32, b"nonce")


def read_requests(data: bytes, _directory: Path) -> None:
    """Serve a stream of requests, each with its length ahead."""
    answer, _ = _peer(data, lambda sock: wire.serve_nsm(sock, lambda _: b"x"))
    assert len(answer) <= 2 * len(data) + 64, "more answers than requests"


def _peer[T](said: bytes, work: Callable[[socket.socket], T]) -> tuple[bytes, T]:
    """Do WORK with a socket whose other end says SAID and closes; return what that end got, too."""
    ours, theirs = socket.socketpair()
    got = bytearray()

    def read() -> None:
        with suppress(OSError):
            while piece := theirs.recv(1 << 16):
                got.extend(piece)

    with theirs:
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        writer = threading.Thread(target=_say, args=(theirs, said), daemon=True)
        writer.start()
        with ours:
            done = work(ours)
        writer.join()
        reader.join()
    return bytes(got), done


def _say(sock: socket.socket, said: bytes) -> None:
    with suppress(OSError):
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)


def read_answer(data: bytes, _directory: Path) -> None:
    """Read what an enclave's loader answers on its control port."""
    if b"document" in data:
        wire.attest(lambda _port: _answering(data), nonce=b"x", user_data=None)
    elif b"facts" in data:
        line = wire.facts(lambda _port: _answering(data))
        assert len(line) <= MAX_FACTS, "facts are long"
        assert "\n" not in line, "facts are more than a line"
    else:
        wire.health(lambda _port: _answering(data), 1)


def _answering(said: bytes) -> socket.socket:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    _KEPT.append(theirs)
    if len(_KEPT) > 8:
        _KEPT.pop(0).close()
    return ours


_KEPT: list[socket.socket] = []  # ends of sockets, so that what was said can still be read


def read_packets(data: bytes, _directory: Path) -> None:
    """Take packets of a guest, and give it all that there is for it."""
    far: list[socket.socket] = []

    def serve() -> socket.socket:
        ours, theirs = socket.socketpair()
        far.append(ours)
        return theirs

    switch = Switch(CID, {SERVICE: serve, 10: serve})
    try:
        at = 0
        while at + 2 <= len(data):
            (length,) = struct.unpack_from("<H", data, at)
            with suppress(ValueError):
                switch.receive(Packet.decode(data[at + 2 : at + 2 + length]))
            at += 2 + length
            if length & 1:
                _drain(switch)
        _drain(switch)
        assert len(switch.links) <= MAX_LINKS, "too many connections"
        assert sum(len(link.pending) for link in switch.links.values()) <= BUFFER * len(
            switch.links
        ), "too much is kept"
    finally:
        switch.close()
        for sock in far:
            sock.close()


def _drain(switch: Switch) -> None:
    for _ in range(4096):
        if switch.outgoing(4096) is None:
            return


def _packets() -> Iterator[bytes]:
    def packet(op: int, data: bytes = b"", port: int = 5000, flags: int = 0) -> bytes:
        made = Packet(CID, HOST_CID, port, SERVICE, op, flags, 65536, 0, data).encode()
        return struct.pack("<H", len(made)) + made

    yield (
        packet(Op.REQUEST) + packet(Op.RW, b"hello") + packet(Op.SHUTDOWN, flags=3) + packet(Op.RST)
    )
    yield (
        packet(Op.REQUEST)
        + packet(Op.CREDIT_REQUEST) * 9
        + packet(Op.RW, b"x" * 1000) * 20
        + packet(Op.SHUTDOWN, flags=2)
    )
    yield b"".join(packet(Op.REQUEST, port=n) for n in range(1000))


# A queue as one input: its size, then the guest's memory, at whose begin its rings are.
QUEUE_BYTES = 1 << 16


def read_queue(data: bytes, _directory: Path) -> None:
    """Take what a driver offers in a queue."""
    size = int.from_bytes(data[:2], "little")
    shared = mmap.mmap(-1, QUEUE_BYTES)
    body = data[2 : 2 + QUEUE_BYTES]
    shared[: len(body)] = body
    memory = Memory([Region(0, 0, QUEUE_BYTES, shared, 0)])
    queue = Queue(size=size, enabled=True, kick=0)
    queue.place(memory, 0, 16 * size, 16 * size + 4 + 2 * size)
    while queue.waiting:
        head, pieces = queue.take(memory)
        scatter(gather(pieces)[:64], pieces)
        queue.give_back(head, 1)


def _queues() -> Iterator[bytes]:
    size = 64
    for count, rows in (
        (1, [(4096, 100, 1, 1), (8192, 50, 2, 0)]),
        (64, [(1024, 60000, 1, n + 1) for n in range(64)]),
    ):
        table = b"".join(struct.pack("<QIHH", *row) for row in rows).ljust(16 * size, b"\0")
        yield struct.pack("<H", size) + table + struct.pack("<HH", 0, count) + bytes(2 * size)


def read_messages(data: bytes, _directory: Path) -> None:
    """Take messages of QEMU, the front end."""
    backend = Backend(2, struct.pack("<Q", CID))
    try:
        at = 0
        while at + 10 <= len(data):
            request, flags, size = struct.unpack_from("<HII", data, at)
            backend.handle(
                Message(request, flags, data[at + 10 : at + 10 + size % 4096], _files(request))
            )
            at += 10 + size % 4096
    finally:
        backend.close()


def _files(request: int) -> list[int]:
    """Return what comes with a REQUEST: memory of 4 KiB, or an event."""
    if request == 5:
        handle = os.memfd_create("memory")
        os.ftruncate(handle, 4096)
        return [handle]
    return [os.eventfd(0)] if request in {12, 13} else []


def _messages() -> Iterator[bytes]:
    def message(request: int, payload: bytes) -> bytes:
        return struct.pack("<HII", request, 8, len(payload)) + payload

    yield b"".join(
        (
            message(1, b""),
            message(15, b""),
            message(17, b""),
            message(24, struct.pack("<III", 0, 8, 0) + bytes(8)),
            message(5, struct.pack("<II", 1, 0) + struct.pack("<QQQQ", 0, 4096, 0, 0)),
            message(8, struct.pack("<II", 0, 128)),
            message(10, struct.pack("<II", 0, 0)),
            message(9, struct.pack("<IIQQQQ", 0, 0, 0, 0, 0, 0)),
            message(12, struct.pack("<Q", 0)),
            message(13, struct.pack("<Q", 0)),
            message(18, struct.pack("<II", 0, 1)),
            message(11, struct.pack("<II", 0, 0)),
        )
    )


ANSWERS = [
    json.dumps(answer).encode() + b"\n"
    for answer in (
        {"document": base64.b64encode(b"x").decode()},
        {"code": 0, "output": base64.b64encode(b"x").decode()},
        {"facts": Facts(exit=3).to_line()},
        {"error": "no"},
    )
]

TARGETS = (
    Target(
        "nsm",
        read_request,
        _requests,
        "cbor",
        modules=(nsm,),
        words=(b"\x1a\x80\0\0\0", b"\xc2\x44", b"\xd8\x1c", b"\x1b"),
    ),
    Target(
        "nsm-stream",
        read_requests,
        lambda: [b"\0\0\0\x04abcd\0\0\0\0", b"\0\0\x10\0" + b"x" * 4096],
        may_raise=(OSError,),
    ),
    Target("vsock", read_packets, _packets, modules=(vsock,)),
    Target("vring", read_queue, _queues, may_raise=(GuestError,), modules=(vring,)),
    Target("vhost", read_messages, _messages, may_raise=(GuestError,), modules=(vhost,)),
    Target("wire", read_answer, lambda: ANSWERS, "json", modules=(wire,)),
)
