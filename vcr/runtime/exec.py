"""Into what is up: which way there is, by what its record says; copying in and out."""

import io
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vcr.agent.archive import STALL_SECONDS, Stream
from vcr.agent.client import NoAnswerError
from vcr.agent.debug import Request
from vcr.agent.session import Streams
from vcr.agent.transfer import Say, pack, unpack
from vcr.engines.container.docker import container_name
from vcr.engines.exec import ContainerInside, DockerInside, Inside, MachineInside
from vcr.engines.machine import read_vm
from vcr.errors import UsageError, VcrError
from vcr.model.project import Project
from vcr.runtime.record import Records

# How shells are asked for in a container, and what is asked: a better one, or nothing.
SHELLS = (("sh",), ("busybox", "sh"))
PIECE = 1 << 16
MAX_ANSWER = 64 << 20  # bytes of what is kept instead of being passed on
POLL_SECONDS = 0.02
SHELL_SECONDS = 60.0  # for a shell to say that it is one
BETTER = "command -v bash; echo is a shell"


@dataclass(frozen=True)
class Answer:
    """The result of a request: exit code and output."""

    code: int
    out: bytes
    err: bytes


def inside_of(project: Project, records: Records, when_busy: Callable[[], None]) -> Inside:
    """Return the way into what PROJECT has up; raises UsageError when there is none.

    WHEN_BUSY is called when somebody else is in the way, before waiting.
    """
    record = records.running(project)
    channels = records.channels(record.where)
    if record.runtime:
        return DockerInside(record.runtime, container_name(channels))
    vm = read_vm(Path(record.vm))
    if vm["kind"] == "container":
        return ContainerInside(Path(vm["crun"]), channels.scratch, record.pid)
    if not vm.get("debug", False):
        other = "vm" if vm["kind"] == "boot" else "prod-debug"
        raise UsageError(
            "the machine takes no commands",
            why="it has a release profile, which accepts no commands",
            fix=f"`vcr up --profile {other}` starts one that does",
        )
    return MachineInside(channels.debug, when_busy)


def check_system(inside: Inside, *, system: bool) -> None:
    """Raise UsageError if the SYSTEM is asked for where there is none."""
    if system and not inside.has_system:
        raise UsageError(
            "there is no machine to look into",
            why="the profile dev runs the app as a container on this host",
            fix="leave --system out, or use --profile vm",
        )


def carry_out(inside: Inside, request: Request, streams: Streams) -> int:
    """Run REQUEST; return its exit code. Raises VcrError when nobody answers."""
    check_system(inside, system=request.system)
    try:
        return inside.carry_out(request, streams)
    except NoAnswerError as error:
        raise VcrError("the machine does not answer", why=str(error)) from None


def answer(inside: Inside, request: Request, stdin: int | None = None) -> Answer:
    """Run REQUEST and keep what it puts out; raises VcrError, also for too much of it."""
    with _kept() as out, _kept() as err:
        code = carry_out(inside, request, Streams(stdin, out.fd, err.fd))
        return Answer(code, out.all(), err.all())


class _Kept:
    """A pipe, whose other end a thread reads into memory, as far as MAX_ANSWER."""

    def __init__(self) -> None:
        self._reader, self.fd = os.pipe()
        self._data, self._over = bytearray(), threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        ready = select.poll()
        with os.fdopen(self._reader, "rb", buffering=0) as pipe:  # closed, it ends who writes
            ready.register(pipe, select.POLLIN)
            while len(self._data) <= MAX_ANSWER:
                over = self._over.is_set()
                if ready.poll(POLL_SECONDS * 1000):
                    self._data += (piece := pipe.read(PIECE))
                    over = not piece
                if over:  # though what the command has left behind may have it open still
                    break

    def end(self) -> None:
        """Take what is there, and no more."""
        if not self._over.is_set():
            self._over.set()
            os.close(self.fd)
            self._thread.join()

    def all(self) -> bytes:
        """Return what was put out, to its end; raises VcrError when that was not kept."""
        self.end()
        if len(self._data) > MAX_ANSWER:
            raise VcrError(
                "it prints too much",
                why=f"an answer may have at most {MAX_ANSWER >> 20} MiB",
                fix="without --json, vcr passes the output on as it arrives",
            )
        return bytes(self._data)


@contextmanager
def _kept() -> Iterator[_Kept]:
    kept = _Kept()
    try:
        yield kept
    finally:
        kept.end()


def find_shell(inside: Inside) -> tuple[str, ...]:
    """Return the argv of the best shell in the app's container; raises UsageError without one."""
    for shell in SHELLS:
        request = Request(argv=(*shell, "-c", BETTER), seconds=SHELL_SECONDS)
        found = answer(inside, request)
        *better, last = found.out.decode("utf-8", "replace").splitlines() or [""]
        if last == "is a shell":
            return (better[0],) if better else shell
    raise UsageError(
        "the app's image has no shell",
        why="it has neither sh nor busybox",
        fix="`vcr shell --system` opens the machine's own"
        if inside.has_system
        else "`vcr exec -- PROGRAM` runs a program in the image",
    )


def copy_out(inside: Inside, path: str, target: str, left_out: Say, *, system: bool) -> Path:
    """Copy PATH of what is inside to TARGET here; return where it is. Raises VcrError."""
    reader, writer = os.pipe()
    request = Request(path=path, system=system, do="pack")
    with _kept() as err, io.BufferedReader(Stream(reader)) as stream:

        def send() -> int:
            try:
                return carry_out(inside, request, Streams(None, writer, err.fd))
            finally:
                os.close(writer)

        with _beside(send) as sent:
            place = unpack(stream, target, left_out) if stream.peek(1) else None
            while stream.read(PIECE):
                pass  # what fills the archive's last block
        said = err.all()
    if (code := sent()) or place is None:
        raise _failed(path, code, said)
    _repeat(said, left_out)
    return place


def copy_in(inside: Inside, source: Path, path: str, left_out: Say, *, system: bool) -> None:
    """Copy SOURCE to PATH of what is inside; raises VcrError."""
    if not source.exists() and not source.is_symlink():
        raise UsageError(f"there is no {source}")
    reader, writer = os.pipe()
    request = Request(
        path=path, system=system, do="unpack", has_input=True, stall_seconds=STALL_SECONDS
    )

    def send() -> int:
        with suppress(BrokenPipeError), os.fdopen(writer, "wb") as stream:  # it says why
            pack(Path(os.path.abspath(source)), stream, left_out)  # noqa: PTH100 -- follows no link
        return 0

    with _beside(send) as sent, os.fdopen(reader, "rb"):
        done = answer(inside, request, reader)
    if done.code:
        raise _failed(path, done.code, done.err)
    sent()
    _repeat(done.err, left_out)


@contextmanager
def _beside(work: Callable[[], int]) -> Iterator[Callable[[], int]]:
    """Do WORK in a thread beside the block; yield what returns its result, or raises its error."""
    results: list[int] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001 -- raised again where it is asked for
            errors.append(error)

    def result() -> int:
        if errors:
            raise errors[0]
        return results[0]

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield result
    thread.join()


def _failed(path: str, code: int, said: bytes) -> VcrError:
    if code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    lines = said.decode("utf-8", "replace").splitlines() or [""]
    why = lines[-1].removeprefix("vcr: ")
    return VcrError(f"cannot copy {path}", why=why, tail=lines[:-1])


def _repeat(said: bytes, left_out: Say) -> None:
    for line in said.decode("utf-8", "replace").splitlines():
        left_out(line.removeprefix("vcr: ").removeprefix("left out: "))
