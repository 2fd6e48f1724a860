"""Datagrams of UDP: ports of this host, the relay of a container, and that of a machine."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from test_relay import Agent, serving

from vcr.diagnosis.sockets import UDP_TABLES, listeners
from vcr.engines import datagrams
from vcr.engines.datagrams import DatagramRelay, Senders, answer, listen_datagrams, receive
from vcr.engines.machine import Forward, refuse_datagrams
from vcr.engines.streams import LARGEST, MAX_CONTENT, Frame, Kind, datagram
from vcr.errors import UsageError

PORT = 53
SIZES = (0, 1, 1472, MAX_CONTENT, MAX_CONTENT + 1, LARGEST)


def client_of(listener: socket.socket, address: str = "") -> socket.socket:
    """Return a socket that hears nothing but what comes from where it asks."""
    host, port = listener.getsockname()[:2]
    client = socket.socket(listener.family, socket.SOCK_DGRAM)
    client.settimeout(30)
    client.connect((address or host, port))
    return client


def content(size: int) -> bytes:
    return bytes(n * 7 & 255 for n in range(size))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("bound", "asked"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.3"), ("::1", "::1"), ("::", "::1")],
)
def test_an_answer_comes_from_the_address_that_was_asked(bound: str, asked: str) -> None:
    with listen_datagrams(bound, 0) as listener, client_of(listener, asked) as client:
        client.send(b"question")
        listener.settimeout(30)
        data, origin = receive(listener)
        assert data == b"question"
        answer(origin, b"answer")
        assert client.recv(100) == b"answer"


def test_no_two_have_a_port_of_udp() -> None:
    with listen_datagrams("127.0.0.1", 0) as first, pytest.raises(OSError, match="in use"):
        listen_datagrams("127.0.0.1", first.getsockname()[1])


def test_who_listens_for_datagrams_is_seen() -> None:
    with listen_datagrams("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert any(each.port == port and each.is_loopback for each in listeners(UDP_TABLES))
        assert not any(each.port == port for each in listeners())


def test_who_was_silent_for_longest_makes_way(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    senders = Senders[str](2, ended.append)
    with listen_datagrams("127.0.0.1", 0) as listener:
        first, second, third = (
            datagrams.Origin(listener, ("127.0.0.1", port), ()) for port in (1, 2, 3)
        )
        senders.add(first, "first")
        senders.add(second, "second")
        assert senders.get(first) == "first"
        senders.add(third, "third")
        assert ended == ["second"]
        left = senders.expire()
        assert left is not None
        assert 80 < left <= 90
        monkeypatch.setattr(datagrams, "IDLE_SECONDS", 0.05)
        time.sleep(0.1)
        assert senders.get(third) == "third"
        left = senders.expire()
        assert ended == ["second", "first"]
        assert left is not None
        assert 0 < left <= 0.05
        senders.clear()
        assert ended[2:] == ["third"]
        assert senders.expire() is None


class Echo:
    """An app that answers by its name, who asked, and the question."""

    def __init__(self, name: str) -> None:
        self.socket = listen_datagrams("127.0.0.1", 0)
        self.socket.settimeout(None)
        self.name = name.encode()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                data, address = self.socket.recvfrom(1 << 16)
                if data == b"who":
                    data = b"%s %d" % (self.name, address[1])
                self.socket.sendto(data, address)

    def find(self) -> tuple[str, int]:
        address = self.socket.getsockname()
        return str(address[0]), int(address[1])


@pytest.fixture
def relayed() -> Iterator[tuple[DatagramRelay, socket.socket]]:
    listener = listen_datagrams("127.0.0.1", 0)
    relay = DatagramRelay(listener, Echo("first").find)
    yield relay, listener
    relay.close()
    wait_for(lambda: listener.fileno() < 0)


def test_datagrams_are_relayed_whole(relayed: tuple[DatagramRelay, socket.socket]) -> None:
    with client_of(relayed[1]) as client:
        for size in SIZES:
            client.send(content(size))
            assert client.recv(1 << 16) == content(size)


def test_each_sender_is_another_to_the_app(relayed: tuple[DatagramRelay, socket.socket]) -> None:
    clients = [client_of(relayed[1]) for _ in range(20)]
    for client in clients:
        client.send(b"who")
    answers = {client.recv(100) for client in clients}
    assert len(answers) == 20
    for client in clients:
        client.send(b"who")
    assert {client.recv(100) for client in clients} == answers
    for client in clients:
        client.close()


def test_senders_lead_elsewhere_when_told(relayed: tuple[DatagramRelay, socket.socket]) -> None:
    relay, listener = relayed
    with client_of(listener) as client:
        client.send(b"who")
        assert client.recv(100).startswith(b"first ")
        relay.find = Echo("second").find
        client.send(b"who")
        assert client.recv(100).startswith(b"second ")


def test_a_silent_sender_is_forgotten(
    relayed: tuple[DatagramRelay, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, listener = relayed
    monkeypatch.setattr(datagrams, "IDLE_SECONDS", 0.2)
    with client_of(listener) as client:
        client.send(b"who")
        before = client.recv(100)
        wait_for(lambda: not relay._apps)
        client.send(b"who")
        assert client.recv(100) != before  # another socket, but an answer


def test_what_comes_before_the_app_listens_is_lost_and_nothing_after(
    relayed: tuple[DatagramRelay, socket.socket],
) -> None:
    relay, listener = relayed
    with listen_datagrams("127.0.0.1", 0) as free:
        address = free.getsockname()
    relay.find = lambda: address
    with client_of(listener) as client:
        for _ in range(3):
            client.send(b"too early")
        time.sleep(0.1)
        with listen_datagrams(*address) as app:
            client.send(b"now")
            app.settimeout(30)
            assert app.recv(100) == b"now"


@pytest.fixture
def agent() -> Iterator[tuple[Agent, socket.socket]]:
    listener = listen_datagrams("127.0.0.1", 0)
    with serving(listener, PORT) as end:
        yield end, listener


def test_before_the_guest_says_hello_nobody_hears(agent: tuple[Agent, socket.socket]) -> None:
    guest, listener = agent
    with client_of(listener) as client:
        client.send(b"too early")
        time.sleep(0.2)
        guest.hello()
        client.send(b"now")
        assert guest.next() == Frame(1, Kind.SENDER, PORT.to_bytes(2))
        assert guest.next() == Frame(1, Kind.DATAGRAM, b"now")


def test_datagrams_reach_the_guest_and_come_back_whole(agent: tuple[Agent, socket.socket]) -> None:
    guest, listener = agent
    guest.hello(streams=4, window=1)  # which is that of connections
    with client_of(listener) as client:
        for number, size in enumerate(SIZES):
            client.send(content(size))
            if not number:
                assert guest.next().kind == Kind.SENDER
            got = guest.next()
            data = got.content
            while got.kind == Kind.PART:
                got = guest.next()
                data += got.content
            assert (got.stream, got.kind, data) == (1, Kind.DATAGRAM, content(size))
            guest.channel.sendall(datagram(1, content(size)))
            assert client.recv(1 << 16) == content(size)


def test_senders_have_streams_of_their_own(agent: tuple[Agent, socket.socket]) -> None:
    guest, listener = agent
    guest.hello()
    clients = [client_of(listener) for _ in range(5)]
    for number, client in enumerate(clients, 1):
        client.send(b"%d" % number)
        assert guest.next() == Frame(number, Kind.SENDER, PORT.to_bytes(2))
        assert guest.next() == Frame(number, Kind.DATAGRAM, b"%d" % number)
    for number in range(5, 0, -1):
        guest.send(Frame(number, Kind.DATAGRAM, b"to %d" % number))
    assert [client.recv(100) for client in clients] == [b"to %d" % n for n in range(1, 6)]
    for client in clients:
        client.close()


def test_a_sender_that_is_silent_or_has_to_make_way_is_reset(
    agent: tuple[Agent, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    guest, listener = agent
    guest.hello(streams=8)  # so two senders
    monkeypatch.setattr(datagrams, "IDLE_SECONDS", 60.0)
    clients = [client_of(listener) for _ in range(3)]
    for client in clients:
        client.send(b"x")
    frames = [guest.next() for _ in range(7)]
    kinds = [each.kind for each in frames]
    assert kinds.count(Kind.SENDER) == 3
    assert [each.stream for each in frames if each.kind == Kind.RESET] == [1]
    monkeypatch.setattr(datagrams, "IDLE_SECONDS", 0.2)
    clients[2].send(b"y")
    assert guest.next() == Frame(3, Kind.DATAGRAM, b"y")
    assert {guest.next() for _ in range(2)} == {Frame(2, Kind.RESET), Frame(3, Kind.RESET)}
    clients[0].send(b"z")  # known no more, so new
    assert guest.next() == Frame(4, Kind.SENDER, PORT.to_bytes(2))
    for client in clients:
        client.close()


def test_a_sender_that_the_guest_resets_is_new_again(agent: tuple[Agent, socket.socket]) -> None:
    guest, listener = agent
    guest.hello()
    with client_of(listener) as client:
        client.send(b"x")
        guest.next(), guest.next()
        guest.send(Frame(1, Kind.RESET), Frame(1, Kind.DATAGRAM, b"for nobody"))
        guest.send(Frame(77, Kind.DATAGRAM, b"nor this"))
        time.sleep(0.1)
        client.send(b"y")
        assert guest.next() == Frame(2, Kind.SENDER, PORT.to_bytes(2))
        guest.send(Frame(2, Kind.DATAGRAM, b"answer"))
        assert client.recv(100) == b"answer"


def test_a_guest_that_does_not_read_fills_no_memory(agent: tuple[Agent, socket.socket]) -> None:
    guest, listener = agent
    guest.hello()
    with client_of(listener) as client:
        for _ in range(2000):
            client.send(bytes(60_000))
        time.sleep(0.5)
        guest.channel.settimeout(1)
        got = 0
        with suppress(TimeoutError):
            while True:
                got += len(guest.channel.recv(1 << 16))
    assert 60_000 < got < 4 << 20  # of 120 MB: the others were dropped


@pytest.mark.parametrize(
    "frames",
    [
        (Frame(1, Kind.PART, b"x"), Frame(2, Kind.DATAGRAM, b"y")),
        (Frame(1, Kind.PART, b"x"), Frame(1, Kind.END)),
        (Frame(1, Kind.PART, bytes(MAX_CONTENT)),) * 3,
        (Frame(1, Kind.SENDER, b"\0\1"),),
    ],
    ids=["another between", "an end between", "without an end", "a sender"],
)
def test_a_guest_that_breaks_the_rules_ends_it_all(
    agent: tuple[Agent, socket.socket], frames: tuple[Frame, ...]
) -> None:
    guest, _ = agent
    guest.hello()
    guest.send(*frames)
    with suppress(ConnectionResetError):  # if it was not read to its end
        assert guest.channel.recv(1) == b""


def test_what_cannot_be_carried_is_refused() -> None:
    refuse_datagrams([Forward("127.0.0.1", 1, 2)], "into an enclave")
    with pytest.raises(UsageError, match="no port of UDP leads into an enclave, so not 2/udp"):
        refuse_datagrams([Forward("127.0.0.1", 1, 2, "udp")], "into an enclave")
