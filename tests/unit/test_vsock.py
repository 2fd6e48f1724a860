"""The vsock device: packets, credit and resets, and a guest's driver on real shared memory."""

import array
import mmap
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vcr.engines.enclave.device import Device
from vcr.engines.enclave.packet import Op, Packet
from vcr.engines.enclave.vhost import receive
from vcr.engines.enclave.vring import MAX_CHAIN, MAX_PIECES, GuestError, Memory, Queue, Region
from vcr.engines.enclave.vsock import (
    BUFFER,
    HOST_CID,
    MAX_CALLS,
    MAX_LINKS,
    MAX_PENDING,
    NO_RECEIVE,
    NO_SEND,
    RING_SECONDS,
    Switch,
)

CID = 16
GUEST_PORT = 5000
SERVICE = 9


class Endpoint:
    """A switch with one service, and the far ends of its sockets."""

    def __init__(self) -> None:
        self.far: list[socket.socket] = []
        self.switch = Switch(CID, {SERVICE: self._serve, 7: self._broken})

    def _serve(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.far.append(ours)
        return theirs

    def _broken(self) -> socket.socket:
        raise ConnectionRefusedError

    def send(self, op: int, *, port: int = SERVICE, **fields: int | bytes) -> None:
        given = {"alloc": 65536, **fields}
        self.switch.receive(Packet(CID, HOST_CID, GUEST_PORT, port, op, **given))  # type: ignore[arg-type]

    def drain(self, room: int = 4096) -> list[Packet]:
        found = []
        while packet := self.switch.outgoing(room):
            found.append(packet)
        return found

    def open(self) -> socket.socket:
        self.send(Op.REQUEST)
        (answer,) = self.drain()
        assert answer.op == Op.RESPONSE
        assert (answer.source_cid, answer.target_cid) == (HOST_CID, CID)
        return self.far[-1]


def ops(packets: list[Packet]) -> list[int]:
    return [packet.op for packet in packets]


def ready(end: Endpoint) -> None:
    """Say what epoll would: the sockets may have something."""
    end.switch.readable |= dict.fromkeys(end.switch.links)


def test_data_goes_both_ways() -> None:
    end = Endpoint()
    far = end.open()
    end.send(Op.RW, data=b"question")
    assert far.recv(100) == b"question"
    far.sendall(b"answer")
    ready(end)
    (packet,) = end.drain()
    assert (packet.op, packet.data, packet.forwarded) == (Op.RW, b"answer", len(b"question"))


def test_no_more_is_sent_than_the_guest_has_room_for() -> None:
    end = Endpoint()
    end.send(Op.REQUEST, alloc=1000)
    assert ops(end.drain()) == [Op.RESPONSE]
    end.far[0].sendall(bytes(5000))
    ready(end)
    assert sum(len(p.data) for p in end.drain(room=300)) == 1000
    end.send(Op.CREDIT_UPDATE, alloc=1000, forwarded=600)
    assert sum(len(p.data) for p in end.drain(room=300)) == 600
    end.send(Op.CREDIT_UPDATE, alloc=1000, forwarded=5000)  # more than was ever sent
    assert end.drain() == []


def test_credit_counts_past_4_gib() -> None:
    end = Endpoint()
    end.open()
    (link,) = end.switch.links.values()
    link.sent = (1 << 32) + 100
    link.forwarded = link.told = (1 << 32) + 7
    end.far[0].sendall(bytes(500))
    end.send(Op.CREDIT_UPDATE, alloc=200, forwarded=50)
    ready(end)
    (packet,) = end.drain()
    assert (len(packet.data), packet.forwarded) == (150, 7)


def test_a_guest_that_ignores_its_credit_is_cut_off() -> None:
    end = Endpoint()
    end.open()
    for _ in range(200):  # nobody reads the far end
        end.send(Op.RW, data=bytes(16384))
    assert Op.RST in ops(end.drain())
    assert not end.switch.links


def test_the_guest_is_told_when_there_is_room_again() -> None:
    end = Endpoint()
    far = end.open()
    reader = threading.Thread(target=lambda: far.recv(BUFFER * 2, socket.MSG_WAITALL))
    reader.start()
    sent = 0
    while sent < BUFFER // 2:
        end.send(Op.RW, data=bytes(8192))
        sent += 8192
        for key in list(end.switch.links):
            end.switch.writable(key)
    updates = [p for p in end.drain() if p.op == Op.CREDIT_UPDATE]
    assert updates
    assert updates[-1].forwarded <= sent
    end.switch.close()
    reader.join()


def test_a_credit_request_is_answered() -> None:
    end = Endpoint()
    end.open()
    end.send(Op.CREDIT_REQUEST)
    (packet,) = end.drain()
    assert (packet.op, packet.alloc) == (Op.CREDIT_UPDATE, BUFFER)


@pytest.mark.parametrize("port", [7, 8], ids=["broken", "unknown"])
def test_a_call_that_nobody_takes_is_reset(port: int) -> None:
    end = Endpoint()
    end.send(Op.REQUEST, port=port)
    assert ops(end.drain()) == [Op.RST]


@pytest.mark.parametrize("op", [Op.RW, Op.RESPONSE, Op.SHUTDOWN, Op.CREDIT_UPDATE, 0, 99])
def test_packets_of_no_connection_are_reset_but_resets_are_not(op: int) -> None:
    end = Endpoint()
    end.send(op)
    assert ops(end.drain()) == [Op.RST]
    end.send(Op.RST)
    assert end.drain() == []


@pytest.mark.parametrize("op", [Op.REQUEST, Op.RESPONSE, 0, 99])
def test_what_makes_no_sense_ends_a_connection(op: int) -> None:
    end = Endpoint()
    far = end.open()
    end.send(op)
    assert ops(end.drain()) == [Op.RST]
    assert far.recv(1) == b""


def test_only_streams_of_the_guest_itself_are_taken() -> None:
    end = Endpoint()
    end.switch.receive(Packet(CID, HOST_CID, GUEST_PORT, SERVICE, Op.REQUEST, kind=2))
    end.switch.receive(Packet(CID + 1, HOST_CID, GUEST_PORT, SERVICE, Op.REQUEST))
    assert ops(end.drain()) == [Op.RST, Op.RST]
    assert not end.far


def test_each_side_may_end_first() -> None:
    end = Endpoint()
    far = end.open()
    end.send(Op.RW, data=b"all of it")
    end.send(Op.SHUTDOWN, flags=NO_SEND)
    assert far.recv(100) == b"all of it"
    assert far.recv(100) == b""
    far.sendall(b"late answer")
    far.close()
    ready(end)
    data, last = end.drain()
    assert data.data == b"late answer"
    assert (last.op, last.flags) == (Op.SHUTDOWN, NO_SEND | NO_RECEIVE)
    end.send(Op.SHUTDOWN, flags=NO_SEND | NO_RECEIVE)
    assert ops(end.drain()) == [Op.RST]
    assert not end.switch.links


def of_tcp() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


@pytest.mark.parametrize("broken", [True, False])
@pytest.mark.parametrize("op", [Op.SHUTDOWN, Op.RST])
def test_a_client_sees_whether_what_it_got_is_all(op: Op, broken: bool) -> None:
    """The enclave says that it sends no more, and closes: or it only closes."""
    end = Endpoint()
    ours, theirs = of_tcp()
    end.switch.attach(theirs, GUEST_PORT, b"first")
    (request,) = end.drain()
    end.send(Op.RESPONSE, port=request.source_port)
    assert ops(end.drain()) == [Op.RW]
    end.send(Op.RW, port=request.source_port, data=b"some")
    assert ours.recv(100) == b"some"
    if not broken:
        end.send(Op.SHUTDOWN, port=request.source_port, flags=NO_SEND)
    end.send(op, port=request.source_port, flags=NO_SEND | NO_RECEIVE)
    end.drain()
    assert not end.switch.links
    if broken:
        with pytest.raises(ConnectionResetError):
            ours.recv(1)
    else:
        assert ours.recv(1) == b""
    ours.close()
    end.switch.close()


def test_a_half_closed_socket_still_takes_what_the_guest_sends() -> None:
    end = Endpoint()
    far = end.open()
    far.shutdown(socket.SHUT_WR)
    ready(end)
    (last,) = end.drain()
    assert (last.op, last.flags) == (Op.SHUTDOWN, NO_SEND)
    end.send(Op.RW, data=b"still here")
    assert far.recv(100) == b"still here"


def test_a_call_to_the_guest_says_its_first_words_first() -> None:
    end = Endpoint()
    ours, theirs = socket.socketpair()
    ours.sendall(b"then this")
    end.switch.attach(theirs, GUEST_PORT, b"first")
    (request,) = end.drain()
    assert (request.op, request.target_port) == (Op.REQUEST, GUEST_PORT)
    end.send(Op.RESPONSE, port=request.source_port)
    assert b"".join(p.data for p in end.drain(room=3)) == b"firstthen this"


def test_a_call_that_the_guest_refuses_ends() -> None:
    end = Endpoint()
    ours, theirs = socket.socketpair()
    end.switch.attach(theirs, GUEST_PORT)
    (request,) = end.drain()
    end.send(Op.RST, port=request.source_port)
    assert ours.recv(1) == b""


def test_connections_take_turns() -> None:
    end = Endpoint()
    for port in (1, 2):
        end.switch.receive(Packet(CID, HOST_CID, port, SERVICE, Op.REQUEST, alloc=1 << 20))
    end.drain()
    for far in end.far:
        far.sendall(bytes(4000))
    ready(end)
    ports = [packet.target_port for packet in end.drain(room=1000)]
    assert ports == [1, 2] * 4


def test_there_is_a_limit_to_connections() -> None:
    end = Endpoint()
    for port in range(MAX_CALLS + 1):
        end.switch.receive(Packet(CID, HOST_CID, port, SERVICE, Op.REQUEST))
    assert ops(end.drain()).count(Op.RST) == 1
    assert len(end.far) == MAX_CALLS
    callers = [socket.socketpair() for _ in range(MAX_LINKS - MAX_CALLS + 1)]
    for _, theirs in callers:
        end.switch.attach(theirs, GUEST_PORT)
    assert len(end.switch.links) == MAX_LINKS
    assert callers[-1][0].recv(1) == b""
    end.switch.close()
    for ours, _ in callers:
        ours.close()


def test_a_call_that_the_guest_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    end = Endpoint()
    ours, theirs = socket.socketpair()
    end.switch.attach(theirs, GUEST_PORT)
    end.switch.expire()
    assert ops(end.drain()) == [Op.REQUEST]
    later = time.monotonic() + RING_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    end.switch.expire()
    assert ours.recv(1) == b""
    assert ops(end.drain()) == [Op.RST]
    assert not end.switch.links


def test_a_caller_who_hangs_up_while_it_rings_leaves_nothing_behind() -> None:
    end = Endpoint()
    ours, theirs = socket.socketpair()
    end.switch.attach(theirs, GUEST_PORT)
    ours.close()
    end.switch.expire()
    assert not end.switch.links


def test_what_is_kept_for_all_connections_together_is_limited() -> None:
    """Each keeps to its own credit, and nobody reads: 1024 of them would be 256 MiB."""
    end = Endpoint()
    for port in range(MAX_CALLS):
        end.switch.receive(Packet(CID, HOST_CID, port, SERVICE, Op.REQUEST))
        end.drain()
    full = 0
    while full < 2 * MAX_PENDING:
        for port in range(MAX_CALLS):
            data = bytes(BUFFER // 4)
            end.switch.receive(Packet(CID, HOST_CID, port, SERVICE, Op.RW, data=data))
            full += len(data)
            kept = sum(len(link.pending) for link in end.switch.links.values())
            assert kept <= MAX_PENDING
    end.drain()
    for port in range(MAX_CALLS):  # what was kept for a connection that ended counts no more
        end.switch.receive(Packet(CID, HOST_CID, port, SERVICE, Op.RST))
    assert end.switch._pending == 0
    end.switch.close()


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 8), st.binary(max_size=40), st.integers(0, 3))))
def test_no_sequence_of_packets_breaks_it(steps: list[tuple[int, bytes, int]]) -> None:
    end = Endpoint()
    for op, data, flags in steps:
        end.send(op, data=data, flags=flags)
        ready(end)
        end.drain(room=16)
    end.switch.close()


@pytest.mark.parametrize("data", [b"", bytes(43), Packet(1, 2, 3, 4, 5, data=b"ab").encode()[:-1]])
def test_a_short_packet_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="packet"):
        Packet.decode(data)


def queue_of(table: bytes, available: bytes = b"\0" * 100) -> tuple[Queue, Memory]:
    memory = mmap.mmap(-1, 1 << 16)
    memory[: len(table)] = table
    memory[4096 : 4096 + len(available)] = available
    region = Region(0, 0, 1 << 16, memory, 0)
    queue = Queue(size=4, enabled=True, kick=0)
    queue.place(Memory([region]), 0, 4096, 8192)
    return queue, Memory([region])


@pytest.mark.parametrize(
    "table",
    [
        struct.pack("<QIHH", 1 << 40, 4, 0, 0),
        struct.pack("<QIHH", (1 << 16) - 2, 4, 0, 0),
        struct.pack("<QIHH", 0, 4, 1, 0),
        struct.pack("<QIHH", 0, 4, 1, 77),
    ],
    ids=["outside", "across the end", "circle", "no such descriptor"],
)
def test_a_guest_cannot_point_outside_its_memory_or_in_circles(table: bytes) -> None:
    queue, memory = queue_of(table)
    with pytest.raises(GuestError):
        queue.take(memory)


@pytest.mark.parametrize(
    ("pieces", "each"), [(MAX_PIECES, 60_000), (MAX_PIECES + 1, 1), (3, MAX_CHAIN // 2)]
)
def test_a_chain_of_one_buffer_many_times_is_refused(pieces: int, each: int) -> None:
    """Of a guest of 4 GiB, a chain of its memory 64 times would be 256 GiB to gather."""
    size, room = 128, 1 << 17
    shared = mmap.mmap(-1, room)
    table = b"".join(struct.pack("<QIHH", 4096, each, 1, n + 1) for n in range(pieces - 1))
    table += struct.pack("<QIHH", 4096, each, 0, 0)
    shared[: len(table)] = table
    memory = Memory([Region(0, 0, room, shared, 0)])
    queue = Queue(size=size, enabled=True, kick=0)
    queue.place(memory, 0, 16 * size, 32 * size)
    with pytest.raises(GuestError, match="chain"):
        queue.take(memory)


def test_a_queue_cannot_have_more_entries_than_its_size() -> None:
    queue, _ = queue_of(b"", struct.pack("<HH", 0, 9))
    with pytest.raises(GuestError):
        _ = queue.waiting


class Guest:
    """A driver for the device as a guest's kernel has it, on memory shared with the device."""

    SIZE = 1 << 20
    USER = 0x7000_0000  # where QEMU would have mapped it
    RINGS = (0x0000, 0x4000)
    BUFFERS = (0x10000, 0x80000)
    COUNT = 16
    ROOM = 4096 + 44

    def __init__(self, path: Path) -> None:
        self.fd = os.memfd_create("guest")
        os.ftruncate(self.fd, self.SIZE)
        self.memory = mmap.mmap(self.fd, self.SIZE)
        self.control = socket.socket(socket.AF_UNIX)
        self.control.connect(str(path))
        self.kicks = [os.eventfd(0), os.eventfd(0)]
        self.calls = [os.eventfd(0), os.eventfd(0)]
        self.seen = [0, 0]
        self._start()

    def _start(self) -> None:
        assert self.ask(1) & 1 << 32
        self.ask(15)
        region = struct.pack("<IIQQQQ", 1, 0, 0, self.SIZE, self.USER, 0)
        self.tell(5, region, self.fd)
        for index in (0, 1):
            base = self.USER + self.RINGS[index]
            self.tell(8, struct.pack("<II", index, self.COUNT))
            places = (base, base + 0x2000, base + 0x1000)
            self.tell(9, struct.pack("<IIQQQQ", index, 0, *places, 0))
            self.tell(10, struct.pack("<II", index, 0))
            self.tell(12, struct.pack("<Q", index), self.kicks[index])
            self.tell(13, struct.pack("<Q", index), self.calls[index])
            self.tell(18, struct.pack("<II", index, 1))
        for number in range(self.COUNT):
            self.offer(0, number, self.ROOM)

    def ask(self, request: int) -> int:
        self.control.sendall(struct.pack("<III", request, 1, 0))
        answer = self.control.recv(20)
        return int(struct.unpack("<IIIQ", answer)[3])

    def tell(self, request: int, payload: bytes, *fds: int) -> None:
        header = struct.pack("<III", request, 1 | 8, len(payload))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.control.sendmsg([header + payload], rights)
        assert struct.unpack("<IIIQ", self.control.recv(20))[3] == 0

    def offer(self, queue: int, number: int, size: int) -> None:
        """Make buffer NUMBER available and wake the device."""
        address = self.BUFFERS[queue] + number * 8192
        descriptor = struct.pack("<QIHH", address, size, 2 if queue == 0 else 0, 0)
        ring = self.RINGS[queue]
        self.memory[ring + 16 * number : ring + 16 * number + 16] = descriptor
        (index,) = struct.unpack_from("<H", self.memory, ring + 0x1002)
        struct.pack_into("<H", self.memory, ring + 0x1004 + 2 * (index % self.COUNT), number)
        struct.pack_into("<H", self.memory, ring + 0x1002, (index + 1) & 0xFFFF)
        os.eventfd_write(self.kicks[queue], 1)

    def send(self, packet: Packet) -> None:
        data = packet.encode()
        address = self.BUFFERS[1]
        self.memory[address : address + len(data)] = data
        self.offer(1, 0, len(data))
        self._next(1)

    def receive(self) -> Packet:
        number, length = self._next(0)
        address = self.BUFFERS[0] + number * 8192
        packet = Packet.decode(self.memory[address : address + length])
        self.offer(0, number, self.ROOM)
        return packet

    def _next(self, queue: int) -> tuple[int, int]:
        used = self.RINGS[queue] + 0x2000
        deadline = time.monotonic() + 10
        while struct.unpack_from("<H", self.memory, used + 2)[0] == self.seen[queue] & 0xFFFF:
            assert time.monotonic() < deadline, "the device does not answer"
            time.sleep(0.0005)
        at = used + 4 + 8 * (self.seen[queue] % self.COUNT)
        self.seen[queue] += 1
        number, length = struct.unpack_from("<II", self.memory, at)
        return number, length


def echo() -> socket.socket:
    ours, theirs = socket.socketpair()

    def serve() -> None:
        while data := ours.recv(65536):
            ours.sendall(data)
        ours.close()

    threading.Thread(target=serve, daemon=True).start()
    return theirs


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with Device(tmp_path / "vsock", CID, {SERVICE: echo}) as made:
        yield made


def test_a_driver_gets_back_what_it_sends(device: Device, tmp_path: Path) -> None:
    guest = Guest(tmp_path / "vsock")
    guest.send(Packet(CID, HOST_CID, 1, SERVICE, Op.REQUEST, alloc=1 << 20))
    assert guest.receive().op == Op.RESPONSE
    sent, got = os.urandom(300_000), b""
    for at in range(0, len(sent), 4000):
        packet = Packet(CID, HOST_CID, 1, SERVICE, Op.RW, 0, 1 << 20, len(got))
        guest.send(Packet(**{**packet.__dict__, "data": sent[at : at + 4000]}))
        while len(got) < at:
            answer = guest.receive()
            got += answer.data if answer.op == Op.RW else b""
    while len(got) < len(sent):
        got += guest.receive().data
    assert got == sent


def test_the_host_calls_the_guest(device: Device, tmp_path: Path) -> None:
    guest = Guest(tmp_path / "vsock")
    connection = device.connect(GUEST_PORT)
    request = guest.receive()
    assert (request.op, request.target_port) == (Op.REQUEST, GUEST_PORT)
    back = (CID, HOST_CID, GUEST_PORT, request.source_port)
    guest.send(Packet(*back, Op.RESPONSE, alloc=4096))
    connection.sendall(b"hello")
    assert guest.receive().data == b"hello"
    guest.send(Packet(*back, Op.RST))
    assert connection.recv(1) == b""


def test_a_guest_that_cheats_stops_the_device_and_nothing_else(
    device: Device, tmp_path: Path
) -> None:
    guest = Guest(tmp_path / "vsock")
    connection = device.connect(GUEST_PORT)
    struct.pack_into("<QIHH", guest.memory, guest.RINGS[1], 1 << 50, 100, 0, 0)
    struct.pack_into("<H", guest.memory, guest.RINGS[1] + 0x1002, 1)
    os.eventfd_write(guest.kicks[1], 1)
    assert connection.recv(1) == b""
    device.stop()
    assert device.connect(GUEST_PORT).recv(1) == b""  # whoever still calls is told
    assert "not in the guest's memory" in device.error


def test_a_file_with_the_number_of_a_connection_that_ended_is_not_taken_for_it(
    device: Device, tmp_path: Path
) -> None:
    guest = Guest(tmp_path / "vsock")
    guest.send(Packet(CID, HOST_CID, GUEST_PORT, SERVICE, Op.REQUEST, alloc=1 << 16))
    assert guest.receive().op == Op.RESPONSE
    assert device._keys
    guest.send(Packet(CID, HOST_CID, GUEST_PORT, SERVICE, Op.RST))
    deadline = time.monotonic() + 10
    while device._keys:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_message_that_never_ends_does_not_hold_the_device(tmp_path: Path) -> None:
    """Its thread would wait, and who stops it would wait for the thread."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(0.2)
    memory = os.memfd_create("of one message")
    socket.send_fds(ours, [struct.pack("<III", 5, 1, 40) + b"x"], [memory])
    with pytest.raises(TimeoutError):
        receive(theirs)
    names = [str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    assert sum("memfd:of one message" in name for name in names) == 1  # what came is closed
    os.close(memory)


def test_the_device_ends_with_its_qemu(device: Device, tmp_path: Path) -> None:
    guest = Guest(tmp_path / "vsock")
    connection = device.connect(GUEST_PORT)
    guest.control.close()
    assert connection.recv(1) == b""
