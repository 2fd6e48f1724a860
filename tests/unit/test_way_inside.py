"""The way inside without a machine: the protocol, ports, streams, archives, who is asked."""

import base64
import fcntl
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vcr.agent import session
from vcr.agent.client import NoAnswerError
from vcr.agent.debug import PIECE, WINDOW, Piece, Request, ask, connected
from vcr.agent.session import Streams
from vcr.agent.transfer import pack, unpack
from vcr.engines.exec import ContainerInside, DockerInside, MachineInside
from vcr.errors import UsageError, VcrError
from vcr.model.project import load_project
from vcr.runtime.exec import Answer, check_system, find_shell, inside_of
from vcr.runtime.record import Record, Records, start_time
from vcr.sandbox.hardware import DEBUG_PORTS, debug_sockets
from vcr.settings import Settings

type Talk = Callable[[Any], None]


class FakeAgent:
    """Listens where a machine's ports are; each connection is given to TALK."""

    def __init__(self, base: Path, talk: Talk) -> None:
        self.base = base
        self.listeners = []
        for path in debug_sockets(base):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen()
            self.listeners.append(listener)
            threading.Thread(target=self.serve, args=(listener, talk), daemon=True).start()

    def serve(self, listener: socket.socket, talk: Talk) -> None:
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb", buffering=0) as lines:
                talk(lines)


@pytest.fixture
def agent(tmp_path: Path) -> Callable[[Talk], Path]:
    return lambda talk: FakeAgent(tmp_path / "debug", talk).base


def first(lines: Any) -> dict[str, Any]:
    """Read the request, which comes after an empty line."""
    assert lines.readline() == b"\n"
    return dict(json.loads(lines.readline()))


def say(lines: Any, ident: str, kind: str, text: str | bytes) -> None:
    text = base64.b64encode(text).decode() if isinstance(text, bytes) else text
    lines.write(f"{ident} {kind} {text}\n".encode())


# --- the protocol


def test_an_answer_comes_in_pieces_and_nobody_elses(agent: Any) -> None:
    asked = []

    def talk(lines: Any) -> None:
        asked.append(request := first(lines))
        lines.write(b"QUJD\nolder out QUJD\n")
        say(lines, request["id"], "out", b"a\0b")
        say(lines, "older", "exit", "9")
        say(lines, request["id"], "err", b"c")
        say(lines, request["id"], "exit", "7")

    pieces = list(ask(agent(talk), Request(argv=("id", "-u"), system=True)))
    assert pieces == [Piece("out", b"a\0b"), Piece("err", b"c"), Piece("exit", code=7)]
    assert {key: asked[0][key] for key in ("do", "argv", "system", "input", "terminal")} == {
        "do": "run", "argv": ["id", "-u"], "system": True, "input": False, "terminal": "",
    }  # fmt: skip


def test_who_stops_listening_closes_the_connection(agent: Any) -> None:
    closed = threading.Event()

    def talk(lines: Any) -> None:
        say(lines, first(lines)["id"], "out", b"x")
        if lines.readline() == b"":
            closed.set()

    answer = ask(agent(talk), Request(path="/x"))
    assert next(answer) == Piece("out", b"x")
    answer.close()  # type: ignore[attr-defined]
    assert closed.wait(20)


def test_a_machine_that_ends_or_is_not_there_gives_no_answer(agent: Any, tmp_path: Path) -> None:
    with pytest.raises(NoAnswerError, match="ended before"):
        list(ask(agent(first), Request(path="/x")))
    with pytest.raises(NoAnswerError):
        list(ask(tmp_path / "none/debug", Request(path="/x")))


def test_each_client_has_a_port_and_one_too_many_waits(agent: Any) -> None:
    base = agent(lambda lines: lines.readline())
    waited = threading.Event()
    done = threading.Event()

    def come_late() -> None:
        with connected(base, waited.set):
            done.set()

    held = [connected(base) for _ in range(DEBUG_PORTS)]
    peers = {one.__enter__().getpeername() for one in held}
    assert peers == {str(path) for path in debug_sockets(base)}
    threading.Thread(target=come_late, daemon=True).start()
    assert waited.wait(20)
    assert not done.is_set()
    held[3].__exit__(None, None, None)
    assert done.wait(20)
    for one in (*held[:3], *held[4:]):
        one.__exit__(None, None, None)


def test_a_client_that_was_killed_leaves_its_port_free(agent: Any) -> None:
    base = agent(lambda lines: lines.readline())
    port = debug_sockets(base)[0]
    hold = f"import fcntl, time; f = open({f'{port}.lock'!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
    child = subprocess.Popen([sys.executable, "-c", hold + "print(flush=True); time.sleep(100)"],
                             stdout=subprocess.PIPE)  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    with connected(base) as connection:
        assert connection.getpeername() != str(port)
    child.kill()
    child.wait()
    child.stdout.close()
    with connected(base) as connection:
        assert connection.getpeername() == str(port)


# --- a session


@pytest.fixture
def pipes() -> Iterator[tuple[int, int, int, int]]:
    fds = (*os.pipe(), *os.pipe())
    yield fds
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            continue


def run(base: Path, request: Request, streams: Streams) -> int:
    return session.carry_out(base, request, streams, lambda: None)


def test_input_is_sent_no_further_ahead_than_it_is_taken(agent: Any, pipes: Any) -> None:
    data = os.urandom(3 * WINDOW)
    got = bytearray()
    stopped = []

    def read_some(lines: Any) -> bool:
        words = lines.readline().split()
        if len(words) == 3:
            assert words[1] == b"in"
            piece = base64.b64decode(words[2])
            assert len(piece) <= PIECE
            got.extend(piece)
        return len(words) == 3

    def talk(lines: Any) -> None:
        ident = first(lines)["id"]
        while len(got) < WINDOW:
            assert read_some(lines)
        lines_waiting = time.monotonic() + 0.5  # nothing more comes unasked
        time.sleep(max(0, lines_waiting - time.monotonic()))
        stopped.append(len(got))
        taken = len(got)
        say(lines, ident, "took", str(taken))
        while read_some(lines):
            say(lines, ident, "took", str(len(got) - taken))
            taken = len(got)
        say(lines, ident, "out", bytes(got[:5]))
        say(lines, ident, "exit", "3")

    read, write, out_read, out_write = pipes

    def feed() -> None:
        with os.fdopen(write, "wb") as file:
            file.write(data)

    threading.Thread(target=feed, daemon=True).start()
    request = Request(("cat",), has_input=True)
    assert run(agent(talk), request, Streams(read, out_write, out_write)) == 3
    assert bytes(got) == data
    assert WINDOW <= stopped[0] < WINDOW + PIECE
    assert os.read(out_read, 100) == data[:5]


def test_signals_are_passed_on_and_the_second_ends_it(agent: Any, pipes: Any) -> None:
    told = []
    closed = threading.Event()

    def talk(lines: Any) -> None:
        first(lines)
        os.kill(os.getpid(), signal.SIGINT)
        told.append(json.loads(lines.readline()))
        os.kill(os.getpid(), signal.SIGINT)
        if lines.readline() == b"":
            closed.set()

    _, _, _, out = pipes
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(agent(talk), Request(("x",)), Streams(None, out, out))
    assert [(line["do"], line["signal"]) for line in told] == [("signal", "INT")]
    assert closed.wait(20)
    assert signal.getsignal(signal.SIGINT) is before


# --- archives


def packed(source: Path) -> tuple[bytes, list[str]]:
    out = io.BytesIO()
    left_out: list[str] = []
    pack(source, out, left_out.append)
    return out.getvalue(), left_out


def test_a_tree_comes_out_as_it_went_in(tmp_path: Path) -> None:
    source = tmp_path / "a" / "tree"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "x").write_bytes(b"x" * 100_000)
    (source / "run").write_text("#!")
    (source / "run").chmod(0o4751)
    (source / "link").symlink_to("deep/x")
    os.utime(source / "run", (1000, 1000))
    data, left_out = packed(source)
    (tmp_path / "b").mkdir()
    place = unpack(io.BytesIO(data), str(tmp_path / "b"), left_out.append)
    assert place == tmp_path / "b" / "tree"
    assert unpack(io.BytesIO(data), str(tmp_path / "c"), left_out.append) == tmp_path / "c"
    assert left_out == []
    for root in (place, tmp_path / "c"):
        assert (root / "deep" / "x").read_bytes() == b"x" * 100_000
        assert (root / "link").readlink() == Path("deep/x")
        status = (root / "run").stat()
        assert (status.st_mode & 0o7777, status.st_mtime) == (0o751, 1000)


def test_what_is_no_file_is_left_out_and_said(tmp_path: Path) -> None:
    source = tmp_path / "tree"
    source.mkdir()
    os.mkfifo(source / "fifo")
    (source / "file").touch()
    data, left_out = packed(source)
    assert [text.partition(":")[0] for text in left_out] == [str(source / "fifo")]
    with tarfile.open(fileobj=io.BytesIO(data)) as made:
        assert made.getnames() == ["tree", "tree/file"]


def test_files_that_say_they_are_empty_are_read(tmp_path: Path) -> None:
    data, _ = packed(Path("/proc/version"))
    unpack(io.BytesIO(data), str(tmp_path / "version"), print)
    assert (tmp_path / "version").read_text() == Path("/proc/version").read_text()


def archive(*entries: tuple[str, bytes, str]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, kind, link in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = 1 if kind == tarfile.REGTYPE else 0
            made.addfile(info, io.BytesIO(b"x"))
    out.seek(0)
    return out


FILE, DIR, SYM, HARD, DEVICE = (
    tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE,
)  # fmt: skip


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", FILE, "")],
        [("/evil", FILE, "")],
        [("t", DIR, ""), ("t/../../evil", FILE, "")],
        [("t", DIR, ""), ("t/out", SYM, "../.."), ("t/out/evil", FILE, "")],
        [("t", SYM, ".."), ("t/evil", FILE, "")],
        [("t", DIR, ""), ("t/a", FILE, ""), ("t/a", SYM, "b")],
        [],
    ],
)
def test_nothing_is_written_elsewhere(tmp_path: Path, entries: list[Any]) -> None:
    target = tmp_path / "in" / "here"
    target.mkdir(parents=True)
    with pytest.raises(VcrError):
        unpack(archive(*entries), str(target), print)
    assert list(target.iterdir()) == []
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "here"]


def test_links_that_lead_out_and_devices_are_left_out(tmp_path: Path) -> None:
    entries = [
        ("t", DIR, ""), ("t/sub", DIR, ""), ("t/fine", SYM, "sub"), ("t/abs", SYM, "/etc"),
        ("t/up", SYM, "../.."), ("t/hard", HARD, "t/fine"), ("t/null", DEVICE, ""),
        ("t/up-by-fine", SYM, "fine/../../.."), ("t/sub/back", SYM, ".."),
        # where lexically it stays inside
        ("t/twice", SYM, "sub/back/../../x"),
    ]  # fmt: skip
    left_out: list[str] = []
    place = unpack(archive(*entries), str(tmp_path), left_out.append)
    assert sorted(path.name for path in place.iterdir()) == ["fine", "sub"]
    assert len(left_out) == 6


def test_a_file_replaces_a_file_and_a_directory_nothing(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("old")
    unpack(archive(("t", FILE, "")), str(tmp_path), print)
    assert (tmp_path / "t").read_text() == "x"
    for entry in (("t", DIR, ""),):
        with pytest.raises(UsageError, match="exists already"):
            unpack(archive(entry), str(tmp_path), print)
    (tmp_path / "d" / "t").mkdir(parents=True)
    for kind in (FILE, DIR):
        with pytest.raises(UsageError, match="exists already"):
            unpack(archive(("t", kind, "")), str(tmp_path / "d"), print)
    with pytest.raises(UsageError, match="is not a directory"):
        unpack(archive(("t", FILE, "")), f"{tmp_path}/none/", print)


def test_an_archive_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    data, _ = packed(Path(__file__))
    for length in (100, 700, 5000):
        with pytest.raises(VcrError):
            unpack(io.BytesIO(data[:length]), str(tmp_path), print)
    assert list(tmp_path.iterdir()) == []


# --- who is asked


@pytest.fixture
def up(tmp_path: Path) -> Callable[..., Any]:
    """Record a machine of this process and return the way into it."""
    records = Records(Settings.load({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/tmp/r"}))
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    project = load_project(tmp_path)

    def inside(runtime: str = "", **vm: Any) -> Any:
        told = {"schema": 1, "ports": [], "health": None, **vm}
        (tmp_path / "vm.json").write_text(json.dumps(told))
        started = start_time(os.getpid())
        assert started is not None
        made = Record(project.key, "n", "/p", str(tmp_path), os.getpid(), started, 1.0, (), "x",
                      runtime=runtime)  # fmt: skip
        records.save(made)
        return inside_of(project, records, lambda: None)

    return inside


def test_the_record_says_which_way_there_is(up: Any) -> None:
    assert isinstance(up(kind="boot", debug=True), MachineInside)
    assert isinstance(up(kind="snapshot", debug=True), MachineInside)
    assert isinstance(up(kind="container", crun="/s/crun"), ContainerInside)
    docker = up(kind="container", crun="/s/crun", runtime="podman")
    assert isinstance(docker, DockerInside)
    assert docker.program == "podman"
    for kind, profile in (("boot", "vm"), ("snapshot", "prod-debug"), ("cartesi", "prod-debug")):
        with pytest.raises(UsageError, match="takes no commands") as caught:
            up(kind=kind)
        assert f"--profile {profile}" in caught.value.fix
    for inside in (docker, up(kind="container", crun="/s/crun")):
        with pytest.raises(UsageError, match="no machine to look into"):
            check_system(inside, system=True)
    check_system(up(kind="boot", debug=True), system=True)


def test_a_shell_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    has: dict[tuple[str, ...], bytes] = {}

    def answer(_inside: Any, request: Request) -> Answer:
        shell = request.argv[: request.argv.index("-c")]
        return Answer(0, has.get(shell, b""), b"not found")

    monkeypatch.setattr("vcr.runtime.exec.answer", answer)
    inside = DockerInside("docker", "name")
    with pytest.raises(UsageError, match="the app's image has no shell"):
        find_shell(inside)
    has["busybox", "sh"] = b"is a shell\n"
    assert find_shell(inside) == ("busybox", "sh")
    has["sh",] = b"is a shell\n"
    assert find_shell(inside) == ("sh",)
    has["sh",] = b"/bin/bash\nis a shell\n"
    assert find_shell(inside) == ("/bin/bash",)


@pytest.mark.parametrize(("program", "follow"), [("docker", ["--follow-link"]), ("podman", [])])
def test_docker_is_asked_as_it_wants_it(tmp_path: Path, program: str, follow: list[str]) -> None:
    """A program in its place notes how it is called, and gives an archive."""
    fake, note, content = tmp_path / program, tmp_path / "note", tmp_path / "content"
    fake.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"open({str(note)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
        f"sys.stdout.buffer.write(open({str(content)!r}, 'rb').read())\n"
    )
    fake.chmod(0o755)
    inside = DockerInside(str(fake), "name")
    content.write_bytes(archive(("x", FILE, "")).read())
    out = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    streams = Streams(None, out, out)
    request = Request(("id",), has_input=True, terminal="xterm")
    assert inside.carry_out(request, streams) == 0
    assert inside.carry_out(Request(path="/x", do="pack"), streams) == 0
    os.ftruncate(out, 0)
    os.lseek(out, 0, os.SEEK_SET)
    assert inside.carry_out(Request(path="/x"), streams) == 0
    assert (tmp_path / "out").read_bytes() == b"x"
    with content.open("rb") as given:
        sent = Request(path="/t", do="unpack", has_input=True)
        assert inside.carry_out(sent, Streams(given.fileno(), out, out)) == 0
    os.close(out)
    *known, last = [json.loads(line) for line in note.read_text().splitlines()]
    assert known == [
        ["exec", "--interactive", "--tty", "--env", "TERM=xterm", "name", "id"],
        ["cp", "name:/x", "-"],
        ["cp", *follow, "name:/x", "-"],
    ]
    assert (last[0], Path(last[1]).name, last[2]) == ("cp", "x", "name:/t")


def test_ports_of_machines_are_locked_beside_them(agent: Any) -> None:
    base = agent(lambda lines: lines.readline())
    with connected(base):
        lock = base.with_name("debug0.lock")
        with lock.open("w") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
