"""What machines say to their host: agents, sessions, archives, frames, requests, QEMU's monitor."""

import hashlib
import io
import json
import os
import shutil
import socket
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fuzz.target import Target
from vcr.agent import client as agent
from vcr.agent import debug, transfer
from vcr.agent.client import Agent, NoAnswerError
from vcr.agent.debug import Answers
from vcr.diagnosis import elf, facts, hints, libraries, program, words
from vcr.diagnosis.root import files_below
from vcr.diagnosis.words import Situation, cause_of
from vcr.engines import streams
from vcr.engines.cartesi import frames as cartesi_frames
from vcr.engines.cartesi.frames import Session, logged
from vcr.engines.streams import Frame, Frames, Kind
from vcr.errors import VcrError
from vcr.escape import visible
from vcr.formats import qmp
from vcr.formats.failure import Failure
from vcr.formats.qmp import Monitor
from vcr.lock import recorder
from vcr.lock.bodies import BodyStore
from vcr.lock.network import web
from vcr.lock.network.web import Response
from vcr.lock.recorder import Recorder
from vcr.lock.request import Request
from vcr.lock.secrets.placeholders import Secrets
from vcr.lock.sources import Sources


def read_streams(data: bytes, _directory: Path) -> None:
    """Read what a guest sends of connections, in two pieces."""
    reader, middle, whole = Frames(), len(data) // 2, streams.Datagrams()
    for piece in (data[:middle], data[middle:]):
        for frame in reader.feed(piece):
            assert len(frame.content) <= streams.MAX_CONTENT
            assert frame.number >= 0
            assert len(whole.take(frame) or b"") <= streams.LARGEST
            if frame.kind == Kind.HELLO:
                with suppress(ValueError):
                    assert 1 <= streams.Hello.of(frame.content).window <= streams.WINDOW


def _streams() -> list[bytes]:
    hello, credit = Frame(0, Kind.HELLO, bytes(24)), Frame(1, Kind.CREDIT, b"\0\1\0\0")
    frames = (hello, Frame(1, Kind.DATA, b"answer"), credit, Frame(1, Kind.END))
    connection = b"".join(frame.encode() for frame in frames)
    return [connection, streams.datagram(1, bytes(streams.LARGEST)) + streams.datagram(2, b"")]


def _told(data: bytes, directory: Path, work: Callable[[Path], object]) -> None:
    """Do WORK with the path of a socket at which whoever connects is told DATA, then nothing."""
    path = directory / "socket"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(4)
        listener.settimeout(5)

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(2)
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            work(path)
        finally:
            with suppress(OSError), socket.socket(socket.AF_UNIX) as last:
                last.connect(str(path))  # if nobody has
            thread.join()


def read_agent(data: bytes, directory: Path) -> None:
    """Read an agent's answer to each question."""

    def ask(path: Path) -> None:
        with suppress(NoAnswerError):
            Agent(path).health(5.0)

    _told(data, directory, ask)


def read_seen(data: bytes, _directory: Path) -> None:
    """Read what a guest saw of its app, and put it into words with what the app printed."""
    line, _, log = data.decode("utf-8", "replace").partition("\n")
    with suppress(ValueError):
        seen = facts.read_facts(line)
        for memory in (0, 512):
            now = Situation(port=8080, memory_mib=memory, detail=log, log=log.split("\n"))
            cause = cause_of(seen, now)
            assert visible(cause.why + cause.fix) == cause.why + cause.fix


SEEN = facts.Facts(
    exit=127,
    program=facts.Program("/app", "loader", "/lib/ld.so", "243:2"),
    killed=("app",),
    listens=(facts.Listener("127.0.0.1", 80), facts.Listener("::", 8080)),
)


def read_program(data: bytes, directory: Path) -> None:
    """Look at a program of an image."""
    for name, content in (("app", data), ("ld", ELF), ("lib", data)):
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o755)
    command = program.Command(("/app",), (), "/", 1, code=program.NO_LIBRARY)
    with files_below(directory) as files:
        found = program.why_not(files, command, "243:2")
    assert found is None or facts.read_facts(facts.Facts(exit=1, program=found).to_line())


def read_session(data: bytes, _directory: Path) -> None:
    """Take the answer to a task apart, in pieces as they may come."""
    for size in (7, 1 << 16):
        answers = Answers("0123456789abcdef")
        for at in range(0, len(data), size):
            list(answers.add(data[at : at + size]))


SESSION = b"0123456789abcdef out aGVsbG8=\n0123456789abcdef err eA==\n0123456789abcdef took 5\nother out eA==\n0123456789abcdef exit 3\n"


def read_archive(data: bytes, directory: Path) -> None:
    """Unpack what `vcr cp` brings; nothing leads out of the copy."""
    target, outside = directory / "target", directory / "outside"
    shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(outside, ignore_errors=True)
    target.mkdir()
    outside.mkdir()
    try:
        transfer.unpack(io.BytesIO(data), str(target), lambda _: None)
    finally:
        assert not list(outside.iterdir()), "something was written outside"
        for top, directories, files in os.walk(target):
            for name in (*directories, *files):
                path = Path(top, name)
                assert not path.is_symlink() or _stays(path, target), f"{path.name} leads out"


def _stays(path: Path, target: Path) -> bool:
    try:
        return path.resolve().is_relative_to(target.resolve())
    except (OSError, RuntimeError):
        return True  # in circles, or too long to be followed


def _archives() -> Iterator[bytes]:
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            for name, kind, goal in (
                ("d", tarfile.DIRTYPE, ""),
                ("d/s", tarfile.SYMTYPE, "../outside"),
                ("d/s2", tarfile.SYMTYPE, "f"),
                ("d/f", tarfile.REGTYPE, ""),
                ("d/s/x", tarfile.SYMTYPE, "../x"),
                ("d/h", tarfile.LNKTYPE, "d/f"),
            ):
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, goal
                info.size = 3 * (kind == tarfile.REGTYPE)
                archive.addfile(info, io.BytesIO(b"abc"))
        yield buffer.getvalue()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, goal in (
            ("d", tarfile.DIRTYPE, ""),
            ("d/f", tarfile.REGTYPE, ""),
            ("d/s", tarfile.SYMTYPE, "f"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, goal
            archive.addfile(info)
    yield buffer.getvalue()


class _Driver:
    """A driver's pipes, whose output is an input of ours."""

    def __init__(self, said: bytes) -> None:
        self.stdin, self.stdout = io.BytesIO(), io.BytesIO(said)

    def wait(self) -> int:
        """Return its exit code."""
        return 0


def read_frames(data: bytes, directory: Path) -> None:
    """Talk with a Cartesi machine, and read a session's log."""
    session = Session(_Driver(data), io.BytesIO())  # type: ignore[arg-type]
    log = directory / "log"
    log.write_bytes(data)
    try:
        for _ in logged(log):
            pass
    finally:
        session.ask("state")
        list(session.request(80, b"GET / HTTP/1.1\r\n\r\n"))
        session.close()


def _frames() -> Iterator[bytes]:
    def frame(kind: bytes, data: bytes = b"") -> bytes:
        return struct.pack(">I", 1 + len(data)) + kind + data

    yield (
        frame(b"R", b"running\n")
        + frame(b"E")
        + frame(b"R", b"HTTP/1.1 200 OK\r\n\r\n")
        + frame(b"E")
        + frame(b"F", b"\x01" * 32)
    )
    yield frame(b"X", b"halted")


class _Offline(Recorder):
    """A recorder whose network is not there: the reader of requests is the thing."""

    def _fetch(self, request: Request, count: Callable[[int], None]) -> Response:
        web._parsed(request.url)  # as the network's side begins
        count(len(request.content))
        return Response(200, {"content-type": "text/plain"}, request.content)


class _NoStore:
    def add_fixed(self, path: Path) -> Path:
        """Return PATH: there is no Nix store."""
        return path


def read_recording(data: bytes, directory: Path) -> None:
    """Answer a build machine's requests."""
    store = BodyStore(directory / "bodies", _NoStore())  # type: ignore[arg-type]
    recorded = _Offline(Sources(), store, Secrets({}), lambda _: None)

    def ask(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            client.connect(str(path))
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(5)
            with suppress(OSError):
                while client.recv(1 << 16):
                    pass

    path = directory / "recorder"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        thread = threading.Thread(target=ask, args=(path,), daemon=True)
        thread.start()
        recorded._guarded(listener)
        thread.join()
    if recorded.crash is not None:
        raise recorded.crash


REQUEST = {
    "method": "GET",
    "url": "https://x.example/a",
    "accept": "",
    "body": "",
    "headers": {"User-Agent": "x"},
    "length": 0,
}


def read_monitor(data: bytes, directory: Path) -> None:
    """Talk with QEMU's monitor."""

    def talk(path: Path) -> None:
        with Monitor(path) as monitor:
            monitor.save_state(Path("/nowhere"))
            monitor.wait_for("STOP", 1.0)

    _told(data, directory, talk)


QMP_LINES: tuple[dict[str, Any], ...] = (
    {"QMP": {"version": {}}},
    {"return": {}},
    {"event": "STOP", "data": {}},
    {"return": {}},
    {"return": {}},
    {"return": {"status": "active"}},
    {"return": {"status": "completed"}},
    {"event": "STOP", "data": {"a": 1}},
    {"error": {"desc": "no"}},
)
QMP = b"".join(json.dumps(line).encode() + b"\n" for line in QMP_LINES)

ELF = struct.pack(
    "<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 2, 243, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0
)
ELF += struct.pack("<IIQQQQQQ", elf.PT_INTERP, 4, 120, 0, 0, 10, 10, 1) + b"/lib/ld.s\0"
# With a loader that is there, /ld, and a library that is not.
LINKED = struct.pack(
    "<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 2, 243, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0
)
LINKED += struct.pack("<IIQQQQQQ", elf.PT_INTERP, 4, 232, 0, 0, 4, 4, 1)
LINKED += struct.pack("<IIQQQQQQ", elf.PT_LOAD, 4, 0, 0, 0, 400, 400, 1)
LINKED += struct.pack("<IIQQQQQQ", elf.PT_DYNAMIC, 4, 240, 0, 0, 64, 64, 1) + b"/ld\0\0\0\0\0"
LINKED += struct.pack("<8Q", elf.DT_STRTAB, 304, elf.DT_NEEDED, 1, elf.DT_RUNPATH, 6, 0, 0)
LINKED += b"\0libx\0$ORIGIN/../lib:/opt\0"

TARGETS = (
    Target(
        "agent",
        read_agent,
        lambda: [b"health 0 aGVsbG8=\n", b"pong\n", b"health 1 \n"],
        "text",
        modules=(agent,),
    ),
    Target(
        "seen",
        read_seen,
        lambda: [
            f"{each.to_line()}\n{log}".encode()
            for each in (SEEN, facts.Facts(), facts.Facts(exit=1), facts.Facts(exit=139, oom=1))
            for log in (
                "sh: x: not found",
                "no such file or directory: '/dev/kvm'",
                "GET /: HTTP 500",
            )
        ],
        "text",
        modules=(facts, hints, words),
    ),
    Target(
        "program",
        read_program,
        lambda: [ELF, LINKED, b"#!/bin/sh -e\n"],
        modules=(program, elf, libraries),
    ),
    Target(
        "session",
        read_session,
        lambda: [SESSION],
        "text",
        modules=(debug,),
        may_raise=(NoAnswerError, VcrError),
    ),
    Target("transfer", read_archive, _archives, modules=(transfer,)),
    Target("relay", read_streams, _streams, modules=(streams,), may_raise=(ValueError,)),
    Target("cartesi", read_frames, _frames, modules=(cartesi_frames,)),
    Target(
        "recorder",
        read_recording,
        lambda: [
            json.dumps(REQUEST).encode() + b"\n",
            json.dumps(
                {
                    **REQUEST,
                    "method": "POST",
                    "length": 3,
                    "body": hashlib.sha256(b"abc").hexdigest(),
                }
            ).encode()
            + b"\nabc"
            + json.dumps(REQUEST).encode()
            + b"\n",
        ],
        "json",
        modules=(recorder,),
    ),
    Target(
        "qmp", read_monitor, lambda: [QMP], "text", modules=(qmp,), may_raise=(Failure,), most=8192
    ),
)
