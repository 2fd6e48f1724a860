"""Access to what runs: a machine, a container of vcr, or one of Docker or Podman.

Each runs a Request with file descriptors of this process; a command's exit code comes
back, of the other tasks 0 for success. Everything raises NoAnswerError, HostError.
"""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Protocol

from vcr import process
from vcr.agent import session
from vcr.agent.archive import members, well_formed
from vcr.agent.debug import Request
from vcr.agent.session import Streams
from vcr.agent.terminal import kept
from vcr.agent.transfer import unpack
from vcr.atomic import scratch_directory
from vcr.engines.container.exec import Task
from vcr.engines.python_child import python_child


class Inside(Protocol):
    """What a request can be made to."""

    @property
    def has_system(self) -> bool:
        """Return whether there is a machine around the app's container."""

    def carry_out(self, request: Request, streams: Streams) -> int:
        """Run REQUEST with STREAMS; return its exit code."""


@dataclass(frozen=True)
class MachineInside:
    """A machine of a debug profile."""

    base: Path  # what its ports are named after
    when_busy: Callable[[], None]  # called when all ports are taken, before waiting for one

    has_system = True

    def carry_out(self, request: Request, streams: Streams) -> int:
        """See Inside."""
        return session.carry_out(self.base, request, streams, self.when_busy)


@dataclass(frozen=True)
class ContainerInside:
    """A container of the profile dev, run by the pinned crun."""

    crun: Path
    scratch: Path
    shim: int  # process ID

    has_system = False

    def carry_out(self, request: Request, streams: Streams) -> int:
        """See Inside."""
        task = Task(
            crun=str(self.crun),
            scratch=str(self.scratch),
            shim=self.shim,
            do=request.do or ("run" if request.argv else "read"),
            argv=request.argv,
            path=request.path,
            terminal=request.terminal,
            seconds=math.ceil(request.seconds or 0),
        )
        child = python_child("vcr.engines.container.exec", json.dumps(asdict(task)))
        return _attach(child, request, streams)


@dataclass(frozen=True)
class DockerInside:
    """A container that a program of this host runs: docker-exec(1), docker-cp(1)."""

    program: str
    name: str

    has_system = False

    def carry_out(self, request: Request, streams: Streams) -> int:
        """See Inside."""
        match request.do or ("run" if request.argv else "read"):
            case "run":
                return _attach(self.exec_argv(request), request, streams)
            case "read":
                return self._read(request.path, streams)
            case "pack":
                return _attach(self._cp(self._at(request.path), "-"), request, streams)
        return self._unpack(request, streams)

    def exec_argv(self, request: Request) -> list[process.Arg]:
        """Return the argv that runs the command of REQUEST."""
        options = ["--interactive"] if request.has_input else []
        if request.terminal:
            options += ["--tty", "--env", f"TERM={request.terminal}"]
        return [self.program, "exec", *options, self.name, *request.argv]

    def _at(self, path: str) -> str:
        return f"{self.name}:{path}"

    def _cp(self, source: str, target: str) -> list[process.Arg]:
        return [self.program, "cp", source, target]

    def _read(self, path: str, streams: Streams) -> int:
        """Put out the file at PATH, which comes as an archive of one file."""
        with tempfile.TemporaryFile() as archive:
            # podman-cp(1) follows a link, and has no option for it.
            follow = ("--follow-link",) if Path(self.program).name == "docker" else ()
            argv: list[process.Arg] = [self.program, "cp", *follow, self._at(path), "-"]
            fd = archive.fileno()
            code = process.attach(argv, stdin=None, stdout=fd, stderr=streams.stderr)
            archive.seek(0)
            return code or _print_first(archive, path, streams)

    def _unpack(self, request: Request, streams: Streams) -> int:
        """Write the archive that comes to a directory, and have that copied."""
        stdin = 0 if streams.stdin is None else streams.stdin
        with scratch_directory() as scratch, os.fdopen(os.dup(stdin), "rb") as archive:
            source = unpack(archive, str(scratch), lambda text: _tell(streams, f"left out: {text}"))
            return _attach(self._cp(str(source), self._at(request.path)), Request(), streams)


def _print_first(archive: IO[bytes], path: str, streams: Streams) -> int:
    with well_formed(), os.fdopen(os.dup(streams.stdout), "wb") as out:
        _, file = next(members(archive), (None, None))
        if file is None:
            _tell(streams, f"{path} is not a file")
            return 1
        shutil.copyfileobj(file, out)
    return 0


def _tell(streams: Streams, text: str) -> None:
    os.write(streams.stderr, f"vcr: {text}\n".encode("utf-8", "replace"))


def _attach(argv: list[process.Arg] | list[str], request: Request, streams: Streams) -> int:
    stdin = streams.stdin if request.has_input else None
    with kept(0 if stdin is None else stdin):  # whatever becomes of who makes it raw
        return process.attach(list(argv), stdin=stdin, stdout=streams.stdout, stderr=streams.stderr)
