"""Commands, a shell, files and ssh inside what is up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vcr.agent.debug import Request
from vcr.agent.session import Streams
from vcr.agent.transfer import Say
from vcr.app.context import Context
from vcr.engines.exec import Inside
from vcr.errors import VcrError
from vcr.runtime import exec as runtime
from vcr.runtime.exec import Answer
from vcr.runtime.record import Records
from vcr.runtime.ssh import Access, way_in

SYSTEM_SHELL = ("sh",)


@dataclass(frozen=True)
class SshConfig:
    """How ssh reaches the machine of a project."""

    host: str  # the name that it has for ssh
    block: str  # of ssh's configuration, ssh_config(5)


def execute(
    context: Context, argv: Sequence[str], *, system: bool = False, stdin: int | None = None
) -> Answer:
    """Run the command ARGV in the app's container; return its exit code and its output.

    STDIN is a file descriptor that it reads. SYSTEM runs it in the machine itself, as root. Raises
    UsageError when nothing is up that takes commands, and VcrError when it does not answer or
    prints too much.
    """
    has_input = stdin is not None
    return ask(context, Request(tuple(argv), system=system, has_input=has_input), stdin)


def read_file(context: Context, path: str, *, system: bool = False) -> bytes:
    """Return the content of the file PATH of the app's container; raises as `execute` does."""
    done = ask(context, Request(path=path, system=system))
    if done.code:
        raise VcrError(f"cannot read {path}", why=done.err.decode("utf-8", "replace").strip())
    return done.out


def ask(context: Context, request: Request, stdin: int | None = None) -> Answer:
    """Run REQUEST and return its output; raises as `execute` does."""
    return runtime.answer(_inside(context), request, stdin)


def attach(context: Context, request: Request, streams: Streams = Streams()) -> int:
    """Run REQUEST with STREAMS, by default this process' own; return its exit code.

    Raises as `execute` does.
    """
    return runtime.carry_out(_inside(context), request, streams)


def shell_request(context: Context, *, system: bool = False, terminal: str = "") -> Request:
    """Return the request for a shell: the image's bash, else sh; of the SYSTEM its own.

    TERMINAL is its type, as TERM has it, "" for none. Raises UsageError where there is no shell.
    """
    inside = _inside(context)
    runtime.check_system(inside, system=system)
    argv = SYSTEM_SHELL if system else runtime.find_shell(inside)
    return Request(argv, system=system, has_input=True, terminal=terminal)


def copy_out(context: Context, path: str, target: str, *, system: bool = False) -> Path:
    """Copy PATH of the app's container to TARGET on this host, or into it if it is a directory.

    Returns the path of the copy, and warns of what is left out. Raises VcrError.
    """
    left_out = _warner(context)
    return runtime.copy_out(_inside(context), path, target, left_out, system=system)


def copy_in(context: Context, source: Path, path: str, *, system: bool = False) -> None:
    """Copy SOURCE of this host to PATH of the app's container, and warn of what is left out.

    Raises VcrError.
    """
    runtime.copy_in(_inside(context), source, path, _warner(context), system=system)


def ssh_config(context: Context) -> SshConfig:
    """Let ssh reach the machine of the project, and return its configuration.

    It stays valid for later machines of the project. Raises UsageError when there is no machine to
    reach, VcrError when it does not answer.
    """
    access = Access(context.started_project(), context.settings)
    inside = way_in(access)
    access.prepare()
    access.introduce(inside)
    return SshConfig(access.host, access.config())


def _inside(context: Context) -> Inside:
    """Return the way into what the project has up; raises UsageError when there is none."""
    project, records = context.started_project(), Records(context.settings)
    busy = "waiting: all its ports are in use"
    return runtime.inside_of(project, records, lambda: context.ui.note(busy))


def _warner(context: Context) -> Say:
    return lambda text: context.ui.warn(f"left out: {text}")
