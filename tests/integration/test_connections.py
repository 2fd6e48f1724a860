"""Connections to an app in a machine: many at once, none lost, whole, silent, ended by halves."""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest
from program import runner_in

pytestmark = [pytest.mark.nix, pytest.mark.vm]

# It takes one connection after the other, and its backlog is 1. The first line says what it does.
APP = """\
import base64, hashlib, socket, threading, time

kept = {}

def exactly(file, size):
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data

def web_socket(file, client):  # RFC 6455: answers texts, and says one itself
    lines = [line.split() for line in iter(file.readline, b"\\r\\n")]
    key = next(line[1] for line in lines if line[0].lower() == b"sec-websocket-key:")
    accepted = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    accepted = base64.b64encode(accepted)
    client.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\n"
        b"Connection: Upgrade\\r\\nSec-WebSocket-Accept: " + accepted + b"\\r\\n\\r\\n")
    time.sleep(0.5)
    client.sendall(b"\\x81\\5hello")
    while True:
        head, mask = exactly(file, 2), exactly(file, 4)
        text = bytes(c ^ mask[n % 4] for n, c in enumerate(exactly(file, head[1] & 127)))
        client.sendall(bytes([head[0], len(text)]) + text)
        if head[0] & 15 == 8:
            return

def serve(client):
    file = client.makefile("rb")
    word, _, argument = file.readline().decode().strip().partition(" ")
    if word == "say":
        client.sendall(argument.encode())
    elif word == "wait":
        time.sleep(float(argument))
        client.sendall(b"waited")
    elif word == "drip":
        for number in range(5):
            client.sendall(f"data: {number}\\n\\n".encode())
            time.sleep(0.5)
    elif word == "give":
        rest, piece = int(argument), bytes(range(256)) * 256
        while rest:
            rest -= client.send(piece[:rest])
    elif word == "take":  # until the client's half is closed
        seen, size = hashlib.sha256(), 0
        while piece := file.read1(1 << 16):
            seen.update(piece)
            size += len(piece)
        client.sendall(f"{size} {seen.hexdigest()}".encode())
    elif word == "post":  # so many bytes, while both halves stay open
        seen = hashlib.sha256(exactly(file, int(argument)))
        client.sendall(seen.hexdigest().encode() + b"\\n")
        file.read()
    elif word == "bye":  # its own half ends first
        client.sendall(b"bye")
        client.shutdown(socket.SHUT_WR)
        kept[argument] = file.read()
    elif word == "kept":
        client.sendall(kept.get(argument, b""))  # nothing until all has come
    elif word == "GET":
        web_socket(file, client)
    elif word == "reset":
        client.sendall(b"some")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
        file.close()
        client.close()
        return
    file.close()
    try:
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the client has left
    client.close()

def answer_datagrams(port):
    app = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    app.bind(("0.0.0.0", port))
    app.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    while True:
        data, sender = app.recvfrom(1 << 16)
        if data == b"who":
            data = b"%d" % sender[1]
        if data.startswith(b"twice "):
            app.sendto(data[6:], sender)
            data = data[6:]
        app.sendto(data, sender)

for port in (53, 54):
    threading.Thread(target=answer_datagrams, args=(port,)).start()
listener = socket.socket()
listener.bind(("0.0.0.0", 8000))
listener.listen(1)
print("listening", flush=True)
while True:
    client = listener.accept()[0]
    threading.Thread(target=serve, args=(client,)).start()
"""
MIB = 1 << 20
OVER_IPV6: dict[str, int] = {}  # by profile: the port of ::1 that leads to the app, too
RELAYS: dict[str, int] = {}  # by profile: the process that carries connections, in a machine
RELAY_KIB = 64 << 10  # of memory at most, whatever is carried
OF_UDP: dict[str, list[tuple[str, int]]] = {}  # by profile: the ports of 53/udp, 53/udp, 54/udp
# Connections in turns, seconds of silence, bytes each way: less where only the machine's start
# is another.
MUCH = {
    "vm": (1000, 65, 200 * MIB),
    "prod": (160, 10, 16 * MIB),
    "dev": (160, 10, 1024 * MIB),
    "enclave": (32, 65, 2 * MIB),
}
PATIENCE = {"seconds": 60.0}  # of a client: more in an enclave, an emulator in an emulator
IN_AN_ENCLAVE = pytest.param(
    "enclave", marks=[pytest.mark.kernel("enclave"), pytest.mark.limit(1800)]
)


@pytest.fixture(scope="module", params=["dev", "vm", "prod", IN_AN_ENCLAVE])
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    """The port of this host that leads to the app, in one machine for all tests of a profile."""
    project = tmp_path_factory.mktemp("connections")
    example = Path(__file__).resolve().parents[2] / "examples" / "hello"
    (project / "vcr.toml").write_text((example / "vcr.toml").read_text().split("# Asked")[0])
    (project / "vcr.lock").write_bytes((example / "vcr.lock").read_bytes())
    (project / "app.py").write_text(APP)
    (project / "Dockerfile").write_text(
        "FROM python\nWORKDIR /app\nCOPY app.py .\nUSER nobody\nEXPOSE 8000 8001 53/udp 54/udp\n"
        'CMD ["python3", "/app/app.py"]\n'
    )
    with runner_in(tmp_path_factory.mktemp("state")) as vcr:
        ports = ["-p", "8000", "-p", "[::1]:0:8000"]
        where = ["--profile", request.param]
        if request.param == "enclave":  # no datagrams lead there
            where = ["--profile", "prod", "--enclave"]
        else:
            ports += ["-p", "53/udp", "-p", "[::1]:0:53/udp"]
        PATIENCE["seconds"] = 600.0 if request.param == "enclave" else 60.0
        machine: Any = vcr.json("up", *where, *ports, project)
        OVER_IPV6[request.param] = machine["forwards"][1]["host"]
        if relay := relay_of(machine["pid"]):
            RELAYS[request.param] = relay
        OF_UDP[request.param] = [
            (row["address"], row["host"]) for row in machine["forwards"] if row["protocol"] == "udp"
        ]
        assert ("→53/udp" in vcr("ps").stdout) is (request.param != "enclave")
        yield machine["forwards"][0]["address"], machine["forwards"][0]["host"]


def relay_of(pid: int) -> int:
    """Return the process that QEMU, the process PID, has for its ports, 0 for none."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            head, _, fields = path.read_text().rpartition(")")
            if head.endswith("(vcr-relay") and int(fields.split()[1]) == pid:
                return int(path.parent.name)
    return 0


def peak_kib(pid: int) -> int:
    """Return the most memory that the process PID has had, in KiB: proc_pid_status(5)."""
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmHWM:"))


def ask(address: tuple[str, int], line: str, more: float = 0.0) -> bytes:
    """Return all that the app says to LINE; raises OSError."""
    with socket.create_connection(address, PATIENCE["seconds"] + more) as client:
        client.sendall(f"{line}\n".encode())
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def outcome(address: tuple[str, int], number: int) -> str:
    try:
        got = ask(address, f"say {number}")
    except OSError as error:
        return type(error).__name__
    return "answered" if got == str(number).encode() else f"got {got!r}"


def counted(address: tuple[str, int], total: int, at_once: int) -> dict[str, int]:
    with ThreadPoolExecutor(at_once) as pool:
        found = list(pool.map(lambda number: outcome(address, number), range(total)))
    return {each: found.count(each) for each in found}


def test_a_port_of_ipv6_leads_there_too(
    address: tuple[str, int], request: pytest.FixtureRequest
) -> None:
    port = OVER_IPV6[request.node.callspec.params["address"]]
    assert ask(("::1", port), "say six") == b"six"
    assert counted(("::1", port), 50, 25) == {"answered": 50}
    with pytest.raises(ConnectionRefusedError):
        ask(("127.0.0.1", port), "say four")


def test_five_hundred_at_once_are_answered(
    address: tuple[str, int], request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["address"] == "enclave":
        pytest.skip("they are answered, but it takes ten minutes")
    assert counted(address, 500, 500) == {"answered": 500}


def test_a_hundred_at_once_are_answered(address: tuple[str, int]) -> None:
    assert counted(address, 100, 100) == {"answered": 100}


@pytest.fixture
def much(request: pytest.FixtureRequest) -> tuple[int, int, int]:
    return MUCH[request.node.callspec.params["address"]]


@pytest.mark.limit(900)
def test_very_many_in_turns_of_sixteen_are_answered(
    address: tuple[str, int], much: tuple[int, int, int]
) -> None:
    assert counted(address, much[0], 16) == {"answered": much[0]}


def test_a_client_may_be_silent_for_as_long_as_it_likes(
    address: tuple[str, int], much: tuple[int, int, int]
) -> None:
    begin = time.monotonic()
    assert ask(address, f"wait {much[1]}", much[1]) == b"waited"
    assert time.monotonic() - begin >= much[1]


def test_what_is_sent_bit_by_bit_arrives_so(address: tuple[str, int]) -> None:
    with socket.create_connection(address, PATIENCE["seconds"]) as client:
        client.sendall(b"drip\n")
        seen = []
        while piece := client.recv(4096):
            seen.append((time.monotonic(), piece))
    assert b"".join(piece for _, piece in seen).count(b"data: ") == 5
    assert seen[-1][0] - seen[0][0] > 1.0


@pytest.mark.limit(900)
def test_much_arrives_whole_both_ways(address: tuple[str, int], much: tuple[int, int, int]) -> None:
    size = much[2]
    expected = hashlib.sha256(bytes(range(256)) * (size // 256)).hexdigest()
    with socket.create_connection(address, 5 * PATIENCE["seconds"]) as client:
        client.sendall(b"give %d\n" % size)
        seen, got = hashlib.sha256(), 0
        while piece := client.recv(1 << 16):
            seen.update(piece)
            got += len(piece)
    assert (got, seen.hexdigest()) == (size, expected)
    with socket.create_connection(address, 5 * PATIENCE["seconds"]) as client:
        client.sendall(b"take\n")
        for _ in range(size // MIB):
            client.sendall(bytes(range(256)) * (MIB // 256))
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1 << 16) == f"{size} {expected}".encode()


def test_the_app_may_end_its_half_first(address: tuple[str, int]) -> None:
    with (
        socket.create_connection(address, PATIENCE["seconds"]) as client,
        client.makefile("rb") as file,
    ):
        client.sendall(b"bye 1\n")
        assert file.read() == b"bye"
        time.sleep(1)
        client.sendall(b"said after that")
        client.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + PATIENCE["seconds"]
    while (got := ask(address, "kept 1")) != b"said after that":
        assert not got
        assert time.monotonic() < deadline


def test_twenty_megabytes_are_posted(address: tuple[str, int]) -> None:
    if PATIENCE["seconds"] > 60:
        pytest.skip("in an enclave it takes too long: two come and go, above")
    data = bytes(range(250)) * 80_000
    with (
        socket.create_connection(address, 5 * PATIENCE["seconds"]) as client,
        client.makefile("rb") as file,
    ):
        client.sendall(b"post %d\n" % len(data) + data)
        assert file.readline().strip() == hashlib.sha256(data).hexdigest().encode()


def said_over_web_socket(file: BufferedReader) -> tuple[int, bytes]:
    first, size = file.read(2)
    return first, file.read(size)


def test_a_web_socket_stays_open_and_carries_texts_both_ways(
    address: tuple[str, int], much: tuple[int, int, int]
) -> None:
    """RFC 6455; its example of a key, 1.3."""
    with socket.create_connection(address, 120.0) as client, client.makefile("rb") as file:
        client.sendall(
            b"GET /chat HTTP/1.1\r\nHost: app\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        head = list(iter(file.readline, b"\r\n"))
        assert b"101" in head[0]
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert said_over_web_socket(file) == (0x81, b"hello")
        for number, silence in enumerate((0, 0, much[1], 0)):
            time.sleep(silence)
            text = b"text %d" % number
            mask = bytes((1, 2, 3, 4))
            masked = bytes(each ^ mask[n % 4] for n, each in enumerate(text))
            client.sendall(bytes((0x81, 0x80 | len(text))) + mask + masked)
            assert said_over_web_socket(file) == (0x81, text)
        client.sendall(bytes((0x88, 0x80)) + bytes(4))
        assert said_over_web_socket(file) == (0x88, b"")
        assert file.read() == b""


def test_what_carries_it_stays_small(
    address: tuple[str, int], request: pytest.FixtureRequest
) -> None:
    """After what the tests above have sent, and beside clients that do not read."""
    profile = request.node.callspec.params["address"]
    assert (profile in RELAYS) == (profile in {"vm", "prod"})
    slow = [socket.create_connection(address, PATIENCE["seconds"]) for _ in range(30)]
    for client in slow:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"give %d\n" % (8 * MIB))
    time.sleep(2)
    if profile in RELAYS:
        assert 0 < peak_kib(RELAYS[profile]) < RELAY_KIB
    assert counted(address, 8, 4) == {"answered": 8}
    for client in slow:
        client.close()


def test_who_does_not_read_holds_nobody_up(address: tuple[str, int]) -> None:
    with socket.create_connection(address, PATIENCE["seconds"]) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"give %d\n" % (64 * MIB))
        time.sleep(2)
        assert counted(address, 20, 4) == {"answered": 20}


def test_a_reset_is_no_end(address: tuple[str, int]) -> None:
    with pytest.raises(ConnectionResetError):
        ask(address, "reset")


def test_clients_that_leave_leave_nothing_behind(address: tuple[str, int]) -> None:
    def leave() -> None:
        with socket.create_connection(address, PATIENCE["seconds"]) as client:
            client.sendall(b"give %d\n" % (8 * MIB))
            client.recv(1)

    threads = [threading.Thread(target=leave) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(address, 16, 16) == {"answered": 16}


@pytest.fixture
def of_udp(
    address: tuple[str, int], request: pytest.FixtureRequest
) -> dict[str, list[tuple[str, int]]]:
    """The ports of this host that lead to 53/udp, over IPv4 and IPv6, and to 54/udp."""
    assert address
    if request.node.callspec.params["address"] == "enclave":
        pytest.skip("no datagrams lead to an enclave")
    first, second, third = OF_UDP[request.node.callspec.params["address"]]
    return {"53": [first, second], "54": [third]}


def client_to(place: tuple[str, int]) -> socket.socket:
    """Return a socket that hears nothing but answers of PLACE."""
    client = socket.socket(
        socket.AF_INET6 if ":" in place[0] else socket.AF_INET, socket.SOCK_DGRAM
    )
    client.connect(place)
    return client


def exchange(client: socket.socket, data: bytes) -> bytes:
    """Return the answer to DATA, which is asked for again each time that it is lost."""
    client.settimeout(5)
    for _ in range(6):
        client.send(data)
        try:
            return client.recv(1 << 16)
        except TimeoutError:
            pass
    raise TimeoutError


def test_datagrams_are_answered_whole(of_udp: dict[str, list[tuple[str, int]]]) -> None:
    for place in (*of_udp["53"], *of_udp["54"]):
        with client_to(place) as client:
            for size in (0, 1, 1472, 9000, 32_761, 32_762, 65_507):
                data = bytes(n * 7 & 255 for n in range(size))
                assert exchange(client, data) == data
            client.send(b"twice this")  # two datagrams stay two
            assert [client.recv(100), client.recv(100)] == [b"this", b"this"]


def test_each_sender_has_a_port_of_its_own(of_udp: dict[str, list[tuple[str, int]]]) -> None:
    clients = [client_to(of_udp["53"][0]) for _ in range(50)]
    seen = [exchange(client, b"who") for client in clients]
    assert len(set(seen)) == len(clients)
    assert [exchange(client, b"who") for client in clients] == seen
    for client in clients:
        client.close()


def test_ports_of_udp_are_not_those_of_tcp(of_udp: dict[str, list[tuple[str, int]]]) -> None:
    with pytest.raises(ConnectionRefusedError):
        ask(of_udp["54"][0], "say x")


def test_datagrams_hold_no_connection_up(
    address: tuple[str, int], of_udp: dict[str, list[tuple[str, int]]]
) -> None:
    """Faster than the app reads they are lost; what comes after them is answered."""
    with client_to(of_udp["53"][0]) as client:
        for _ in range(500):
            client.send(bytes(1000))
        assert counted(address, 20, 4) == {"answered": 20}
        client.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                client.recv(1 << 16)
    with client_to(of_udp["53"][0]) as client:
        assert exchange(client, b"after") == b"after"
