"""The Cartesi engine as far as it can be tried without the emulator: what it is told, how
its end is read, what is said to a machine. The driver here is a stand-in that speaks
driver.lua's protocol; tests/integration/test_cartesi_machine.py needs the emulator."""

import http.client
import io
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from vcr.agent.client import Agent
from vcr.engines.cartesi import server as cartesi_server
from vcr.engines.cartesi.frames import PIECE, Session, logged, messages, replay
from vcr.engines.machine import Channels, Forward
from vcr.engines.registry import load_machine
from vcr.errors import VcrError
from vcr.formats.failure import Failure
from vcr.sandbox import cartesi

JOB = cartesi.Job(
    name="app", kernel=Path("/k"), squashfs=Path("/s"), memory_mib=256, healthy=True,
    health=cartesi.Patience(start_period=10.0, retries=2, interval=5.0),
    tools=Path("/t"), emulator=Path("/e"), libraries=Path("/l"), package=Path("/p"), pinned=True,
)  # fmt: skip
# Answers each message with what it was, and its final hash is that of all of them.
DRIVER = """\
import hashlib, struct, sys
seen = hashlib.sha256()
def out(kind, data):
    sys.stdout.buffer.write(struct.pack(">I", len(data) + 1) + kind + data)
    sys.stdout.buffer.flush()
while head := sys.stdin.buffer.read(4):
    message = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
    seen.update(message)
    if message.endswith(b"crash"):
        out(b"H", b"it halted")
        sys.exit(1)
    if message[0] == 2:
        out(b"R", b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n")
        out(b"R", message[1:])
    if message[0] == 3:
        out(b"R", b"pong\\n")
    out(b"E", b"")
out(b"F", seen.digest())
"""
ARGV = [sys.executable, "-c", DRIVER]
CLI = "lua5.4: cartesi-machine.lua"


def test_what_the_emulator_is_told(tmp_path: Path) -> None:
    told = cartesi.arguments(JOB, tmp_path, tmp_path / "hash")
    assert told == [
        "--ram-image=/k",
        "--ram-length=256Mi",
        "--no-root-flash-drive",
        "--flash-drive=label:root,data_filename:/s,read_only,mount:false",
        f"--append-bootargs={cartesi.BOOT_ARGUMENTS}",
        "--no-init-splash",
        "--hash-tree=hash_function:sha256,phtc_size:1",
        f"--console-io=output_filename:{tmp_path / 'console.log'}",
        f"--final-hash={tmp_path / 'hash'}",
        f"--max-mcycle={80 * cartesi.CYCLES_PER_SECOND}",
        f"--store={tmp_path / 'machine'}",
        "--assert-rolling-template",
    ]
    step0 = cartesi.arguments(replace(JOB, healthy=False), tmp_path, tmp_path / "hash")
    assert "--max-mcycle=0" in step0
    assert "--assert-rolling-template" not in step0
    assert cartesi.program(JOB) == ["/t/usr/bin/lua5.4", "/e/usr/share/lua/5.4/cartesi-machine.lua"]
    assert cartesi.environment(JOB)["LUA_CPATH_5_4"] == "/e/usr/lib/lua/5.4/?.so;;"


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (cartesi.ERROR, f"{CLI}:4084: machine is not yielded\n", "cycles passed"),
        (cartesi.ERROR, f"\nHalted\n{CLI}:4084: machine is not yielded\n", "ended by itself"),
        (cartesi.NOT_PARKED, "unhealthy GET /: HTTP 500\n", "unhealthy GET /: HTTP 500"),
        (cartesi.NOT_PARKED, "vcr: exit app rc=3\n", "vcr: exit app rc=3"),
        (cartesi.NOT_PARKED, "", "the machine ended by itself"),
    ],
)
def test_an_app_that_is_not_healthy_leaves_no_machine(
    tmp_path: Path, code: int, said: str, words: str
) -> None:
    stored = tmp_path / "machine"
    stored.mkdir()
    with pytest.raises(Failure) as caught:
        cartesi.check_end(code, said, JOB, stored)
    assert caught.value.report["code"] == "unhealthy"
    assert words in caught.value.report["why"]
    assert not stored.exists()


def test_what_was_seen_of_an_app_is_reported(tmp_path: Path) -> None:
    """The app writes on the same console: what comes last is not its own."""
    said = 'vcr: facts {"exit": 0}\nvcr: exit app rc=3\nvcr: facts {"exit": 3}\n'
    with pytest.raises(Failure) as caught:
        cartesi.check_end(cartesi.NOT_PARKED, said, JOB, tmp_path / "machine")
    assert caught.value.report["facts"] == '{"exit": 3}'


def test_the_version_is_what_the_emulator_says_of_itself() -> None:
    """A package of one's own was described as one of the pinned version."""
    assert cartesi.version_and_cycles(b"0.19.0\t134549455\n") == ("0.19.0", 134549455)


def test_an_emulator_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot be built") as caught:
        cartesi.check_end(127, "no such option\n", JOB, tmp_path / "machine")
    assert caught.value.report["why"] == "no such option"


@pytest.mark.parametrize("healthy", [True, False])
def test_an_error_of_lua_is_not_taken_for_the_limit_of_cycles(
    tmp_path: Path, healthy: bool
) -> None:
    """The interpreter ends with 1 for both: found by an option that is not called so."""
    said = f"{CLI}:2604: unrecognized option --console=x\n"
    with pytest.raises(Failure, match="cannot be built") as caught:
        cartesi.check_end(cartesi.ERROR, said, replace(JOB, healthy=healthy), tmp_path / "machine")
    assert "unrecognized option" in caught.value.report["why"]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(ARGV, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver,
    ):
        yield Session(driver, log)
        driver.kill()


def test_a_session_is_replayed_to_the_same_hash(session: Session, tmp_path: Path) -> None:
    session.resume(7, b"entropy")
    assert session.ask("ping") == "pong"
    answer = b"".join(session.request(80, b"GET / HTTP/1.1\r\n\r\n"))
    assert answer.endswith(b"\x00PGET / HTTP/1.1\r\n\r\n")
    final = session.close()
    copy = io.BytesIO()
    assert replay(ARGV, {}, tmp_path / "log", copy) == final
    assert copy.getvalue() == (tmp_path / "log").read_bytes()


def test_a_log_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    for text in (b"\0\0", b"\0\0\0\5abc"):
        (tmp_path / "log").write_bytes(text)
        with pytest.raises(VcrError, match="is cut off"):
            list(logged(tmp_path / "log"))


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
def test_a_request_is_cut_into_messages(size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    pieces = list(messages(8080, data))
    assert b"".join(piece[3:] for piece in pieces) == data
    assert all(len(piece) <= PIECE + 3 for piece in pieces)
    assert [piece[0] for piece in pieces] == [1] * (len(pieces) - 1) + [2]


def test_a_machine_that_stops_is_told(session: Session) -> None:
    with pytest.raises(VcrError, match="the Cartesi machine stopped"):
        list(session.request(1, b"crash"))
    with pytest.raises(VcrError, match="the Cartesi emulator ended"):
        session.ask("ping")


def test_an_emulator_that_has_ended_is_told_at_every_request(session: Session) -> None:
    session._driver.kill()
    session._driver.wait()  # now its end of the pipe is closed
    for _ in range(2):
        with pytest.raises(VcrError, match="the Cartesi emulator ended"):
            session.ask("ping")


def test_requests_go_through_in_order(session: Session, tmp_path: Path) -> None:
    proxy = type("Proxy", (cartesi_server._Proxy,), {"session": session, "port": 80})
    server = ThreadingHTTPServer(("127.0.0.1", 0), proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answers = []

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.request("POST", f"/{number}", b"body", {"X-Number": str(number)})
        answers.append(connection.getresponse().read())

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.shutdown()
    assert len(answers) == 8
    assert all(answer.endswith(b"\r\n\r\nbody") for answer in answers)
    assert all(b"Connection: close\r\n" in answer for answer in answers)
    # One after the other: the log has eight whole messages.
    assert len(list(logged(tmp_path / "log"))) == 8


def test_what_a_machine_cannot_take_is_refused(session: Session) -> None:
    proxy = type("Proxy", (cartesi_server._Proxy,), {"session": session, "port": 80})
    server = ThreadingHTTPServer(("127.0.0.1", 0), proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.create_connection(("127.0.0.1", server.server_port)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b" 413 " in client.recv(1000)
    server.shutdown()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_server_finds_vcr_without_help_of_the_environment(tmp_path: Path) -> None:
    """As the installed program starts it: nothing on the module path, another directory."""
    lua = tmp_path / "usr/bin/lua5.4"
    lua.parent.mkdir(parents=True)
    lua.write_text(f"#!{sys.executable}\n{DRIVER}")
    lua.chmod(0o755)
    told = {"schema": 1, "kind": "cartesi", "name": "app", "ports": [80], "health": None}
    paths = dict.fromkeys(
        ("drive", "verity", "unsquashfs", "tools", "libraries", "emulator"), str(tmp_path)
    )
    (tmp_path / "vm.json").write_text(json.dumps({**told, **paths}))
    channels = Channels(*(tmp_path / name for name in ("console", "log", "agent", "qmp")))
    channels.scratch.mkdir()
    forward = Forward("127.0.0.1", free_port(), 80)
    argv = load_machine(tmp_path).command_line([forward], channels)
    with subprocess.Popen(argv, env={}, cwd="/", stderr=subprocess.PIPE) as server:
        try:
            agent, deadline = Agent(channels.agent), time.monotonic() + 20
            while not agent.is_up():
                assert server.poll() is None, server.stderr and server.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            connection = http.client.HTTPConnection(forward.address, forward.host, timeout=10)
            connection.request("GET", "/page")
            assert b"GET /page HTTP/1.1" in connection.getresponse().read()
        finally:
            server.kill()
    assert (tmp_path / "session.log").stat().st_size > 64


def test_the_console_and_the_frames_of_the_driver_do_not_share_a_stream(tmp_path: Path) -> None:
    """The emulator's console is stdout unless told otherwise: a word of the app was a frame."""
    told = {"schema": 1, "kind": "cartesi", "name": "app", "ports": [], "health": None}
    paths = dict.fromkeys(
        ("drive", "verity", "unsquashfs", "tools", "libraries", "emulator"), str(tmp_path)
    )
    (tmp_path / "vm.json").write_text(json.dumps({**told, **paths}))
    channels = Channels(*(tmp_path / name for name in ("console", "log", "agent", "qmp")))
    channels.scratch.mkdir()
    load_machine(tmp_path).command_line([], channels)
    driver = json.loads((channels.scratch / "serve.json").read_text())["driver"]
    assert driver[2:] == [str(channels.scratch / "machine"), str(channels.log)]
    lua = Path(driver[1]).read_text()
    assert 'output_destination = "to_file", output_filename = arg[2]' in lua
