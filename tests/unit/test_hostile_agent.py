"""A guest that says anything: no answer takes more than its time or its memory, none is 70."""

import base64
import io
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from vcr.agent import deadline as asked
from vcr.agent import debug, session
from vcr.agent.client import Agent, NoAnswerError, exit_code
from vcr.agent.deadline import KILLED, http_status, last_output
from vcr.agent.debug import Request, ask
from vcr.agent.server import Answers, listen_unix
from vcr.agent.session import Streams
from vcr.engines.exec import MachineInside
from vcr.engines.machine import Forward
from vcr.errors import VcrError
from vcr.model.health import CommandProbe, HealthCheck, HttpProbe
from vcr.runtime import exec as inside
from vcr.runtime.health import Prober
from vcr.sandbox.hardware import debug_sockets

MEMORY = 64 << 10  # KiB that an answer may cost, whatever it has

type Talk = Callable[[socket.socket], None]


class Guest:
    """Listens at PATH, or on a port, and lets TALK say to each connection what it wants."""

    def __init__(self, talk: Talk, path: Path | None = None) -> None:
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(str(path) if path else ("127.0.0.1", 0))
        self.listener.listen()
        threading.Thread(target=self._serve, args=(talk,), daemon=True).start()

    def _serve(self, talk: Talk) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._talk, args=(talk, connection), daemon=True).start()

    def _talk(self, talk: Talk, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            talk(connection)


def endless(piece: bytes) -> Talk:
    """Say PIECE as often as it is taken."""

    def talk(connection: socket.socket) -> None:
        while True:
            connection.sendall(piece)

    return talk


def dripping(piece: bytes) -> Talk:
    """Say PIECE, and some of it again and again, a little at a time."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(piece)
        while True:
            time.sleep(0.05)
            connection.sendall(piece[-1:])

    return talk


def saying(text: bytes) -> Talk:
    """Read one line and say TEXT, and no more."""

    def talk(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(text)
        connection.recv(1)

    return talk


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """See that neither time nor memory goes."""
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.monotonic() - begin < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY


GIB_WITHOUT_END = endless(b"x" * (1 << 20))
GARBAGE = (
    b"", b"\n", b"health\n", b"health x\n", b"health -1 \n", b"health 256\n", b"health 1e3\n",
    b"health " + b"9" * 5000 + b"\n", b"health \xd9\xa3\n", b"health \xff\xfe\n",
    b"\0" * 100 + b"\n",
    b"health 0x1 YQ==\n", b"pong\n", b"[" * 60000 + b"\n",
)  # fmt: skip


@pytest.mark.parametrize("text", GARBAGE)
def test_an_answer_that_is_none_is_no_answer(tmp_path: Path, text: bytes) -> None:
    Guest(saying(text), tmp_path / "agent")
    if not text.endswith(b"\n"):
        Guest(lambda connection: None, tmp_path / "closed")
        with pytest.raises(NoAnswerError):
            Agent(tmp_path / "closed").health(1.0)
        return
    with pytest.raises(NoAnswerError):
        Agent(tmp_path / "agent").health(1.0)


def test_output_that_is_not_in_base64_is_none(tmp_path: Path) -> None:
    Guest(saying(b"health 3 ====\n"), tmp_path / "agent")
    assert Agent(tmp_path / "agent").health(1.0) == (3, "")
    long = base64.b64encode(b"y" * 40_000)
    Guest(saying(b"health 3 " + long + b"\n"), tmp_path / "long")
    assert Agent(tmp_path / "long").health(1.0) == (3, "y" * 4096)


@pytest.mark.parametrize("talk", [GIB_WITHOUT_END, dripping(b"p"), endless(b"p\0")])
def test_a_line_without_end_is_no_answer(tmp_path: Path, talk: Talk) -> None:
    Guest(talk, tmp_path / "agent")
    begin = time.monotonic()
    with pytest.raises(NoAnswerError):
        Agent(tmp_path / "agent").ask("ping", 1.0)
    assert time.monotonic() - begin < 5
    assert not Agent(tmp_path / "agent").is_up()


@pytest.mark.parametrize("text", ["", "-1", "256", "1_0", " 1", "+1", "0x1", "\u0663", "9" * 9999])
def test_what_is_no_exit_code(text: str) -> None:
    with pytest.raises(NoAnswerError):
        exit_code(text)


def answer_for(tmp_path: Path, say: Callable[[bytes], bytes]) -> Path:
    """Return the base of ports where SAY is given the ident of a task and says what comes."""

    def talk(connection: socket.socket) -> None:
        data = b""
        while data.count(b"\n") < 2:
            data += connection.recv(1 << 16)
        ident = data.split(b'"id": "')[1].split(b'"')[0]
        connection.sendall(say(ident))
        connection.recv(1)

    for path in debug_sockets(tmp_path / "debug"):
        Guest(talk, path)
    return tmp_path / "debug"


FRAMES = {
    "a code that is none": b"%b exit x\n", "a code too large": b"%b exit 256\n",
    "a negative code": b"%b exit -1\n", "a long code": b"%b exit " + b"9" * 9000 + b"\n",
    "no code": b"%b exit\n", "no base64": b"%b out ===\n", "text": b"%b out \xff\xff\n",
    "a line without end": b"%b out " + b"A" * 200_000,
    "others' without end": b"B" * 200_000,
    "more taken than sent": b"%b took 5\n", "taken, negative": b"%b took -5\n",
    "taken, and a lot": b"%b took 99999999999999999999\n",
}  # fmt: skip


def in_a_session(base: Path, request: Request) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer), Path(os.devnull).open("wb") as out:
        streams = Streams(reader, out.fileno(), out.fileno())
        session.carry_out(base, request, streams, lambda: None)


def asked_for(base: Path, request: Request) -> None:
    assert list(ask(base, request)) is not None


# Who only asks sends no input, and does not mind.
HOW = [(how, name) for how in (in_a_session, asked_for) for name in FRAMES
       if (how, name) != (asked_for, "more taken than sent")]  # fmt: skip


@pytest.mark.parametrize(("how", "name"), HOW)
def test_no_frame_is_believed(
    tmp_path: Path, how: Callable[[Path, Request], None], name: str
) -> None:
    frame = FRAMES[name]
    base = answer_for(tmp_path, lambda ident: frame.replace(b"%b", ident))
    with pytest.raises(NoAnswerError):
        how(base, Request(("x",), has_input=True))


def test_an_answer_that_is_kept_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "MAX_ANSWER", 1 << 20)
    line = base64.b64encode(b"z" * 24_000)

    def talk(connection: socket.socket) -> None:
        data = b""
        while data.count(b"\n") < 2:
            data += connection.recv(1 << 16)
        ident = data.split(b'"id": "')[1].split(b'"')[0]
        while True:
            connection.sendall(ident + b" out " + line + b"\n")

    for path in debug_sockets(tmp_path / "debug"):
        Guest(talk, path)
    machine = MachineInside(tmp_path / "debug", lambda: None)
    with pytest.raises((VcrError, OSError)):
        inside.answer(machine, Request(("x",), seconds=10.0))


def test_a_task_that_is_waited_for_ends_in_time(tmp_path: Path) -> None:
    base = answer_for(tmp_path, lambda _: b"")
    machine = MachineInside(base, lambda: None)
    with pytest.raises(VcrError, match="does not answer"):
        inside.answer(machine, Request(("x",), seconds=0.5))


def test_a_copy_that_is_not_taken_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "STALL_SECONDS", 0.5)
    base = answer_for(tmp_path, lambda ident: ident + b" took 0\n" * 100)
    (tmp_path / "large").write_bytes(bytes(debug.WINDOW * 2))
    machine = MachineInside(base, lambda: None)
    with pytest.raises(VcrError, match="does not answer"):
        inside.copy_in(machine, tmp_path / "large", "/x", print, system=False)


HTTP = {
    "no end": GIB_WITHOUT_END, "a drip": dripping(b"HTTP/1.1 200"), "nothing": dripping(b"\r\n"),
    "continue without end": endless(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a header without end": endless(b"HTTP/1.1 100 Continue\r\nX: y\r\n" * 1000),
    "no number": saying(b"HTTP/1.1 ok\r\n\r\n"), "no HTTP": saying(b"SSH-2.0-x\r\n"),
    "a long number": saying(b"HTTP/1.1 " + b"2" * 60000 + b"\r\n"), "closed": lambda _: None,
    "other digits": saying("HTTP/1.1 \u0662\u0660\u0660\r\n".encode()),
}  # fmt: skip


@pytest.mark.parametrize("talk", HTTP.values(), ids=HTTP)
def test_an_app_that_answers_anything_is_not_healthy(tmp_path: Path, talk: Talk) -> None:
    port = Guest(talk).listener.getsockname()[1]
    check = HealthCheck(HttpProbe(80, "/"), timeout=1.0)
    prober = Prober(check, [Forward("127.0.0.1", port, 80)], Agent(tmp_path / "none"))
    begin = time.monotonic()
    assert not prober.probe().healthy
    assert time.monotonic() - begin < 5


def test_an_app_may_say_to_go_on_first() -> None:
    talk = saying(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    assert http_status("127.0.0.1", Guest(talk).listener.getsockname()[1], "/", 5.0) == 204


def test_a_path_is_no_request_of_its_own() -> None:
    for path in ("/a b", "/\r\nX: y", "/\u20ac", "/\0"):
        with pytest.raises(ValueError, match="cannot be requested"):
            http_status("127.0.0.1", 1, path, 1.0)


PRINTS = "import sys\nwhile True: sys.stdout.write('x' * 65536)"


def test_a_health_command_that_prints_without_end_is_killed() -> None:
    code, tail = last_output([sys.executable, "-c", PRINTS], 1.0, 1024)
    assert (code, tail) == (KILLED, b"x" * 1024)


def test_a_health_command_says_its_last_words() -> None:
    script = "import sys; print('a' * 5000, flush=True); sys.exit('last')"
    code, tail = last_output([sys.executable, "-c", script], 30.0, 10)
    assert (code, tail[-5:]) == (1, b"last\n")
    left_behind = "sleep 60 & echo said"
    begin = time.monotonic()
    assert last_output(["sh", "-c", left_behind], 30.0, 10) == (0, b"said\n")
    assert time.monotonic() - begin < 10


def test_who_asks_a_container_may_say_anything(tmp_path: Path) -> None:
    listener = listen_unix(tmp_path / "agent")
    Answers([sys.executable, "-c", PRINTS], [], lambda _: None).serve(listener)
    for text in (b"x" * 10_000, b"health x\n", b"health nan\n", b"\xff\n", b"stop -1e9\n"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(tmp_path / "agent"))
            with suppress(ConnectionError):
                connection.sendall(text)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(100)
    assert Agent(tmp_path / "agent").is_up()


def test_the_prober_shows_what_is_said_shortly(tmp_path: Path) -> None:
    Guest(saying(b"x" * 60_000 + b"\n"), tmp_path / "agent")
    outcome = Prober(None, [], Agent(tmp_path / "agent")).probe()
    assert not outcome.healthy
    assert len(outcome.detail) <= 200
    check = HealthCheck(CommandProbe(("x",)), timeout=1.0)
    assert not Prober(check, [], Agent(tmp_path / "agent")).probe().healthy


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1.0, "did not end within its timeout, 1 s: late"), (0.0, "code 137: late")],
)
def test_a_health_command_that_took_too_long_says_so(
    tmp_path: Path, seconds: float, words: str
) -> None:
    def killed(connection: socket.socket) -> None:
        connection.recv(100)
        time.sleep(seconds)
        connection.sendall(b"health 137 bGF0ZQ==\n")

    Guest(killed, tmp_path / "agent")
    check = HealthCheck(CommandProbe(("x",)), timeout=1.0)
    outcome = Prober(check, [], Agent(tmp_path / "agent")).probe()
    assert not outcome.healthy
    assert outcome.detail.endswith(words)


def test_reading_a_connection_has_one_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"abc")
        stream = io.BufferedReader(asked.Timed(ours, 0.3))
        with pytest.raises(TimeoutError):
            stream.readline()
