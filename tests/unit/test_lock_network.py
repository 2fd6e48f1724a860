"""While locking, a server that does its worst: it ends, and it leads to the network only.

Attacks: silence, a byte now and then, answers, headers and redirects without end, sizes that
are claimed, names that are another address the second time, addresses within addresses.
"""

import contextlib
import hashlib
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vcr.errors import FetchError
from vcr.lock.network import reach, web
from vcr.lock.network.connection import Limits
from vcr.lock.network.fetch import Source, fetch, fetch_checked
from vcr.lock.network.web import exchange

LIMITS = Limits(connect=2, idle=0.5, slowest=1000, total=2, size=1 << 20)
SECONDS = 15.0  # for three attempts and what is between them, on a busy machine
type Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def server(serve: Serve, host: str = "127.0.0.1") -> Iterator[str]:
    """Let SERVE do what it likes with each connection; yield the server's address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)
    over = threading.Event()

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            connection.recv(65536)
            serve(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while not over.is_set():
                connection, _ = listener.accept()
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def silent(_: socket.socket) -> None:
    time.sleep(10)


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def dripping_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def endless_chunks(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def negative_chunk(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def endless_trailer(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    while True:
        connection.sendall(b"x: y\r\n" * 1000)


def endless_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"x: y\r\n" * 1000)


def endless_line(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * 65536)


def endless_continue(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def claims_much(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000\r\n\r\n")
    time.sleep(10)


def breaks_off(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")


def says_nonsense(connection: socket.socket) -> None:
    connection.sendall(b"\x00\xff nonsense\r\n\r\n")


def switches(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")


@pytest.mark.parametrize(
    "serve",
    [
        silent, dripping, dripping_headers, endless, endless_chunks, negative_chunk,
        endless_trailer, endless_headers, endless_line, endless_continue, claims_much,
        breaks_off, says_nonsense, switches,
    ],
    ids=lambda serve: serve.__name__,
)  # fmt: skip
def test_whatever_a_server_does_it_ends(serve: Serve) -> None:
    begun = time.monotonic()
    with server(serve) as url, pytest.raises(FetchError, match="cannot read"):
        exchange("GET", url, {}, b"", is_mirror=True, limits=LIMITS)
    assert time.monotonic() - begun < SECONDS


def test_a_server_that_is_slow_but_goes_on_is_waited_for() -> None:
    def slow(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n")
        for _ in range(4):
            connection.sendall(b"x" * 1024)
            time.sleep(0.2)

    with server(slow) as url:
        assert exchange("GET", url, {}, b"", is_mirror=True, limits=LIMITS).body == b"x" * 4096


def answer(head: str, body: bytes = b"") -> Serve:
    def serve(connection: socket.socket) -> None:
        length = f"Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(f"HTTP/1.1 {head}\r\n{length}".encode() + body)

    return serve


def test_redirects_for_ever_end() -> None:
    with (
        server(answer("302 Found\r\nLocation: /again")) as url,
        pytest.raises(FetchError, match="cannot download") as caught,
    ):
        fetch([Source(url, is_mirror=True)], most=1 << 20, limits=LIMITS)
    assert "it redirects more than 10 times" in caught.value.details[0][1]


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://127.0.0.2:9/", "is refused|this host"),
        ("http://[::1]/", "this host"),
        ("http://[::ffff:127.0.0.1]/", "this host"),
        ("http://2130706433/", "this host"),
        ("http://0x7f.1/", "this host"),
        ("http://localhost/", "this host"),
        ("http://169.254.169.254/latest", "a link of this host"),
        ("file:///etc/passwd", "has to begin with http"),
        ("//\r\nX: y", "its redirect"),
        ("http://a|npm:b", "has to be percent-encoded"),
        ("", "it redirects more than"),
    ],
)
def test_no_redirect_leads_to_this_host_or_elsewhere_than_the_network(
    location: str, words: str
) -> None:
    with (
        server(answer(f"302 Found\r\nLocation: {location}")) as url,
        pytest.raises(FetchError) as caught,
    ):
        fetch([Source(url, is_mirror=True)], most=1 << 20, limits=LIMITS)
    told = caught.value.details[0][1]
    assert any(word in told for word in words.split("|")) or "X: y" not in told
    assert "it answers" not in told


def test_an_address_of_a_project_may_not_be_this_host_but_a_mirror_may() -> None:
    with server(answer("200 OK", b"secret of this host")) as url:
        assert fetch([Source(url, is_mirror=True)], most=99) == b"secret of this host"
        with pytest.raises(FetchError, match="cannot download"):
            fetch([Source(url)], most=99, limits=LIMITS)


def test_a_body_has_at_most_the_size_that_is_promised() -> None:
    with server(answer("200 OK", b"x" * 100)) as url:
        assert len(fetch([Source(url, is_mirror=True)], most=100)) == 100
        with pytest.raises(FetchError, match="cannot download"):
            fetch([Source(url, is_mirror=True)], most=99)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "::", "::1", "fe80::1", "fe80::1%1", "fec0::1", "ff02::1", "fd00:ec2::254",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1",
        "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1",
        "2001:0:7f00:1::", "2001:0:808:808:0:0:80ff:fffe",
    ],
)  # fmt: skip
def test_an_address_that_is_not_the_network_is_refused(text: str) -> None:
    with pytest.raises(FetchError, match="is refused"):
        reach.refuse("host.test", text)


@pytest.mark.parametrize(
    "text",
    ["8.8.8.8", "10.1.2.3", "192.168.1.1", "172.16.0.1", "2606:4700::1111", "fd12::1",
     "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)  # fmt: skip
def test_public_and_private_networks_are_networks(text: str) -> None:
    reach.refuse("host.test", text)


def test_an_address_of_an_interface_is_this_host() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this host has no network")
        own = probe.getsockname()[0]
    with pytest.raises(FetchError) as caught:
        reach.refuse("host.test", own)
    assert "this host" in caught.value.why


class Names:
    """A name server that says one thing first and another then, as rebinding does."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in found]


def test_a_name_is_looked_up_once_and_connected_to_as_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The second answer is this host: whoever asks again gets there.
    with server(answer("200 OK", b"secret of this host")) as url:
        names = Names(["198.51.100.7"], ["127.0.0.1"])
        tried: list[Any] = []
        monkeypatch.setattr(socket, "getaddrinfo", names)
        monkeypatch.setattr(web, "ATTEMPTS", 1)

        def refusing(_: socket.socket, place: Any) -> None:
            tried.append(place)
            raise OSError("unreachable")

        monkeypatch.setattr(socket.socket, "connect", refusing)
        with pytest.raises(FetchError, match="cannot read"):
            exchange("GET", url.replace("127.0.0.1", "rebinding.test"), {}, b"", limits=LIMITS)
    port = int(url.rpartition(":")[2].strip("/"))
    assert names.asked == 1
    assert [place for place in tried if place[1] == port] == [("198.51.100.7", port)]


def test_one_bad_address_of_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(["198.51.100.7", "127.0.0.1"]))
    with pytest.raises(FetchError, match="is refused"):
        exchange("GET", "http://both.test/", {}, b"", limits=LIMITS)


def test_a_proxy_is_asked_for_the_name_and_is_where_one_connects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bytes] = []

    def proxy(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(65536))
            proxy(connection)

    threading.Thread(target=serve, daemon=True).start()
    here = f"http://me:pw@127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"http": here})
    monkeypatch.setattr(urllib.request, "proxy_bypass", lambda _: False)
    found = exchange("GET", "http://name.invalid/x?y", {}, b"", limits=LIMITS)
    assert found.body == b"hi"
    assert asked[0].startswith(b"GET http://name.invalid/x?y HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cHc=" in asked[0]
    # What is known here to be this host is not asked of a proxy either.
    with pytest.raises(FetchError, match="is refused"):
        exchange("GET", "http://127.0.0.1/", {}, b"", limits=LIMITS)
    listener.close()


def test_a_kept_file_that_was_changed_is_not_used(tmp_path: Path) -> None:
    data = b"an index"
    sha256 = hashlib.sha256(data).hexdigest()
    (tmp_path / sha256).write_bytes(b"another!")
    with server(answer("200 OK", data)) as url:
        sources = [Source(url, is_mirror=True)]
        kept = fetch_checked(sources, sha256=sha256, size=len(data), cache=tmp_path)
    assert kept == data
    assert (tmp_path / sha256).read_bytes() == data
