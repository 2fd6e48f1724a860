"""The relay of a machine's ports, with an agent that the test speaks for."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from vcr.engines.qemu.relay import Relay
from vcr.engines.relay import BACKLOG, Dialer, listen
from vcr.engines.streams import HEAD, MAX_CONTENT, WINDOW, Frame, Frames, Hello, Kind

WORD = b"0123456789abcdef"
PORT = 8000


class Agent:
    """The end in the guest."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.frames, self.ready = Frames(), list[Frame]()
        channel.settimeout(30)

    def hello(self, streams: int = 4096, window: int = WINDOW) -> None:
        self.send(Frame(0, Kind.HELLO, Hello(WORD, streams, window).encode()))
        got = b""
        while not got.endswith(WORD):
            got += self.channel.recv(1)

    def send(self, *frames: Frame) -> None:
        self.channel.sendall(b"".join(frame.encode() for frame in frames))

    def next(self) -> Frame:
        while not self.ready:
            self.ready = self.frames.feed(self.channel.recv(1 << 16))
        return self.ready.pop(0)


class HostFrames(Frames):
    """Reads what a host sends."""

    def feed(self, data: bytes) -> list[Frame]:
        self._rest += data
        found = []
        while len(self._rest) >= HEAD.size:
            stream, kind, length = HEAD.unpack_from(self._rest)
            end = HEAD.size + length
            if len(self._rest) < end:
                break
            found.append(Frame(stream, Kind(kind), bytes(self._rest[HEAD.size : end])))
            del self._rest[:end]
        return found


@contextmanager
def serving(listener: socket.socket, port: int) -> Iterator[Agent]:
    """The agent's end of a relay that leads from LISTENER to PORT of the app."""
    ours, theirs = socket.socketpair()

    def run() -> None:
        with suppress(ValueError, OSError):
            Relay(theirs, [(listener, port)]).run()
        theirs.close()

    thread = threading.Thread(target=run)
    thread.start()
    end = Agent(ours)
    end.frames = HostFrames()
    yield end
    ours.close()
    thread.join(10)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
def agent() -> Iterator[tuple[Agent, tuple[str, int]]]:
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    with serving(listener, PORT) as end:
        yield end, address


def connected(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, 30)


def test_before_the_guest_says_hello_a_client_sees_an_end(
    agent: tuple[Agent, tuple[str, int]],
) -> None:
    _, address = agent
    with connected(address) as client:
        assert client.recv(1) == b""


def test_a_connection_is_opened_carried_and_ended_by_halves(
    agent: tuple[Agent, tuple[str, int]],
) -> None:
    guest, address = agent
    guest.hello()
    with connected(address) as client:
        opened = guest.next()
        assert (opened.kind, opened.number) == (Kind.OPEN, PORT)
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert guest.next() == Frame(opened.stream, Kind.DATA, b"question")
        assert guest.next() == Frame(opened.stream, Kind.END)
        guest.send(Frame(opened.stream, Kind.DATA, b"answer"), Frame(opened.stream, Kind.END))
        assert client.recv(100) == b"answer"
        assert client.recv(100) == b""
        assert guest.next() == Frame(opened.stream, Kind.CREDIT, (6).to_bytes(4))


def test_a_guest_gets_no_more_than_it_takes(agent: tuple[Agent, tuple[str, int]]) -> None:
    guest, address = agent
    guest.hello()
    with connected(address) as client:
        opened = guest.next()
        sending = threading.Thread(target=client.sendall, args=(bytes(3 * WINDOW),))
        sending.start()
        got = 0
        while got < WINDOW:
            got += len(guest.next().content)
        assert got == WINDOW
        guest.channel.settimeout(0.3)
        with pytest.raises(TimeoutError):
            guest.next()
        guest.channel.settimeout(30)
        guest.send(Frame(opened.stream, Kind.CREDIT, (2 * WINDOW).to_bytes(4)))
        while got < 2 * WINDOW:
            got += len(guest.next().content)
        assert got == 2 * WINDOW
        guest.send(Frame(opened.stream, Kind.CREDIT, WINDOW.to_bytes(4)))
        while got < 3 * WINDOW:
            got += len(guest.next().content)
        sending.join()


def test_a_guest_with_little_memory_gets_no_more_than_it_takes(
    agent: tuple[Agent, tuple[str, int]],
) -> None:
    """What more connect wait on this host, and come when one has ended: none is lost."""
    guest, address = agent
    guest.hello(streams=2, window=1000)
    clients = [connected(address) for _ in range(5)]
    for client in clients:
        client.sendall(bytes(3000))
    got: dict[int, int] = {}
    deadline = time.monotonic() + 30
    while sum(got.values()) < 2000 and time.monotonic() < deadline:
        frame = guest.next()
        got.setdefault(frame.stream, 0)
        got[frame.stream] += len(frame.content) if frame.kind == Kind.DATA else 0
    guest.channel.settimeout(0.3)
    with pytest.raises(TimeoutError):
        guest.next()
    guest.channel.settimeout(30)
    assert list(got.values()) == [1000, 1000]
    guest.send(*(Frame(stream, Kind.RESET) for stream in got))
    opened: set[int] = set()
    while len(opened) < 2:
        frame = guest.next()
        opened |= {frame.stream} if frame.kind == Kind.OPEN else set()
    assert not opened & set(got)
    for client in clients:
        client.close()


def test_a_stream_counts_until_the_guest_has_taken_all_of_it(
    agent: tuple[Agent, tuple[str, int]],
) -> None:
    """Of an app that answers before it has read everything; else the guest had one too many."""
    guest, address = agent
    guest.hello(streams=1)
    first, second = connected(address), connected(address)
    first.sendall(b"x" * 100)
    first.shutdown(socket.SHUT_WR)
    kinds = [guest.next().kind for _ in range(3)]
    assert kinds == [Kind.OPEN, Kind.DATA, Kind.END]
    guest.send(Frame(1, Kind.DATA, b"answer"), Frame(1, Kind.END))
    with first.makefile("rb") as answer:
        assert answer.read() == b"answer"
    assert guest.next().kind == Kind.CREDIT
    guest.channel.settimeout(0.3)
    with pytest.raises(TimeoutError):
        guest.next()
    guest.channel.settimeout(30)
    guest.send(Frame(1, Kind.CREDIT, (100).to_bytes(4)))
    assert guest.next().kind == Kind.OPEN
    first.close()
    second.close()


@pytest.mark.parametrize(("streams", "window"), [(0, 1000), (1, 0), (1, WINDOW + 1)])
def test_a_guest_that_takes_nothing_is_none(streams: int, window: int) -> None:
    with pytest.raises(ValueError, match=r"streams of [0-9]+ bytes"):
        Hello.of(Hello(WORD, streams, window).encode())


def test_a_reset_before_an_answer_is_an_end_and_after_one_a_reset(
    agent: tuple[Agent, tuple[str, int]],
) -> None:
    guest, address = agent
    guest.hello()
    with connected(address) as client:
        guest.send(Frame(guest.next().stream, Kind.RESET))
        assert client.recv(1) == b""
    with connected(address) as client:
        opened = guest.next()
        guest.send(Frame(opened.stream, Kind.DATA, b"x"))
        assert client.recv(1) == b"x"
        assert guest.next().kind == Kind.CREDIT
        guest.send(Frame(opened.stream, Kind.RESET))
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_client_that_resets_is_a_reset(agent: tuple[Agent, tuple[str, int]]) -> None:
    guest, address = agent
    guest.hello()
    client = connected(address)
    opened = guest.next()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert guest.next() == Frame(opened.stream, Kind.RESET)


def test_an_agent_that_begins_again_ends_the_streams_before(
    agent: tuple[Agent, tuple[str, int]],
) -> None:
    guest, address = agent
    guest.hello()
    with connected(address) as old:
        first = guest.next()
        guest.hello()
        with pytest.raises(ConnectionResetError):
            old.recv(1)
    with connected(address) as client:
        second = guest.next()
        assert second.stream != first.stream
        guest.send(Frame(first.stream, Kind.DATA, b"late"), Frame(second.stream, Kind.DATA, b"x"))
        assert client.recv(10) == b"x"


@pytest.mark.parametrize(
    "frames",
    [
        [Frame(1, Kind.DATA, bytes(MAX_CONTENT)) for _ in range(512)],
        [Frame(1, Kind.END), Frame(1, Kind.DATA, b"x")],
        [Frame(1, Kind.OPEN, b"12")],
        [Frame(1, Kind.CREDIT, b"x")],
    ],
    ids=["more than it may", "after its end", "it opens", "short"],
)
def test_a_guest_that_breaks_the_rules_ends_it_all(
    agent: tuple[Agent, tuple[str, int]], frames: list[Frame]
) -> None:
    guest, address = agent
    guest.hello()
    with connected(address) as client:
        assert guest.next().stream == 1
        with suppress(OSError):  # it has ended before all is sent
            guest.send(*frames)
        with suppress(ConnectionResetError):
            while guest.channel.recv(1 << 16):
                pass
        del client


def test_a_guest_that_only_talks_fills_no_memory(
    agent: tuple[Agent, tuple[str, int]],
) -> None:
    guest, address = agent
    guest.hello()
    with connected(address) as client:
        opened = guest.next()
        got = bytearray()

        def read() -> None:
            while piece := client.recv(1 << 16):
                got.extend(piece)

        reading = threading.Thread(target=read)
        reading.start()
        guest.channel.settimeout(2)
        left = memoryview(Frame(opened.stream, Kind.DATA, b"x").encode() * 250_000)
        with suppress(TimeoutError):  # each of these frames would be answered
            while left:
                left = left[guest.channel.send(left[: 1 << 12]) :]
        client.shutdown(socket.SHUT_RDWR)
        reading.join()
    assert len(left) > 0
    assert 0 < len(got) < 200_000


def test_more_clients_than_a_backlog_of_libraries_has_are_accepted(
    agent: tuple[Agent, tuple[str, int]],
) -> None:
    guest, address = agent
    guest.hello()
    clients = [connected(address) for _ in range(300)]
    assert len({guest.next().stream for _ in clients}) == len(clients)
    for client in clients:
        client.close()
    assert len(clients) < BACKLOG


def test_silence_costs_no_time(agent: tuple[Agent, tuple[str, int]]) -> None:
    guest, address = agent
    guest.hello()
    with connected(address):
        guest.next()
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.2


def test_frames_arrive_in_any_pieces() -> None:
    frames = [Frame(1, Kind.DATA, b"abc"), Frame(2, Kind.END), Frame(3, Kind.CREDIT, bytes(4))]
    data = b"".join(frame.encode() for frame in frames)
    for size in (1, 2, 7, 100):
        reader = Frames()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert [frame for piece in pieces for frame in reader.feed(piece)] == frames


def test_a_backlog_of_one_has_place_for_a_hundred_in_time() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        dial = Dialer(listener.getsockname)
        found: list[socket.socket] = []
        threads = [threading.Thread(target=lambda: found.append(dial())) for _ in range(100)]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for _ in threads:
            listener.accept()[0].close()
            time.sleep(0.001)
        for thread in threads:
            thread.join()
        assert time.monotonic() - begin < 20
    for one in found:
        assert one.recv(1) == b""
        one.close()
    assert len(found) == 100


def test_where_nobody_listens_it_is_refused_at_once() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = listener.getsockname()
    with pytest.raises(ConnectionRefusedError):
        Dialer(lambda: address)()
