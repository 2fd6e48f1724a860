"""A process that enters the namespaces of a container of the profile dev, for one task.

It runs a command there with crun, or reads and writes files with the container's root for
its own. What goes wrong is a line on stderr and exit code 1.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from vcr import process
from vcr.agent.terminal import size_of
from vcr.agent.transfer import pack, unpack
from vcr.engines.container.shim import APP, INNER, crun_argv
from vcr.errors import VcrError
from vcr.formats.job import as_record

NAMESPACES = os.CLONE_NEWUSER | os.CLONE_NEWNS | os.CLONE_NEWPID | os.CLONE_NEWNET


@dataclass(frozen=True)
class Task:
    """What a process of this module does."""

    crun: str
    scratch: str
    shim: int  # process ID
    do: str  # run, read, pack, unpack
    argv: tuple[str, ...]
    path: str
    terminal: str  # its type, "" for none
    seconds: int  # 0 for any


def main(text: str) -> None:
    """Do what the JSON TEXT of a Task says, and end with its exit code."""
    task = as_record(Task, json.loads(text))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.alarm(task.seconds)  # what it runs ends with it
    code = 1
    try:
        _enter(int((Path(task.scratch) / INNER).read_text()), task.shim)
        code = _run(task) if task.do == "run" else _use_files(task)
    except VcrError as error:
        _complain(f"{error.what}{': ' if error.why else ''}{error.why}")
    except OSError as error:
        _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    os._exit(code)


def _enter(pid: int, shim: int) -> None:
    """Enter the namespaces of process PID, the child of SHIM; raises OSError.

    setns(2): with a process, all of them at once, since Linux 5.8.
    """
    process_fd = os.pidfd_open(pid)
    if _fields(Path(f"/proc/{pid}/status"))["PPid"] != [shim]:
        raise ProcessLookupError(0, "the container is gone", "the container")
    os.setns(process_fd, NAMESPACES)
    os.close(process_fd)


def _run(task: Task) -> int:
    scratch = Path(task.scratch)
    # As the app runs; in a file, because every user of this host reads arguments.
    settings = json.loads((scratch / "bundle" / "config.json").read_text())["process"]
    settings |= {"args": task.argv, "terminal": bool(task.terminal)}
    if task.terminal:
        rows, columns = size_of(0)
        settings["env"] = [*settings["env"], f"TERM={task.terminal}"]
        settings["consoleSize"] = {"height": rows, "width": columns}
    with NamedTemporaryFile("w", dir=scratch, prefix="exec.") as file:
        json.dump(settings, file)
        file.flush()
        argv = crun_argv(Path(task.crun), scratch, "exec", "--process", file.name, APP)
        return process.attach(argv, stdin=0, stdout=1, stderr=2)


def _use_files(task: Task) -> int:
    status = json.loads((Path(task.scratch) / "crun" / APP / "status").read_text())
    pid = int(status["pid"])
    who = _fields(Path(f"/proc/{pid}/status"))
    # From here on whatever would be imported is the container's; nothing is.
    sys.meta_path.clear()
    os.chroot(f"/proc/{pid}/root")
    os.chdir("/")
    path, do = task.path, task.do
    if do == "unpack":
        _become(who)
    at = Path("/", path)
    tasks: dict[str, Callable[[], object]] = {
        "read": lambda: _print(at),
        "pack": lambda: pack(at, sys.stdout.buffer, lambda text: _complain(f"left out: {text}")),
        "unpack": lambda: unpack(sys.stdin.buffer, "/" + path.lstrip("/"), _complain),
    }
    tasks[do]()
    sys.stdout.flush()
    return 0


def _become(who: dict[str, list[int]]) -> None:
    """Become the app, where this process is not: who is not root already is."""
    user, group = who["Uid"][1], who["Gid"][1]
    if user or group:
        os.setgroups(who["Groups"])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)


def _print(path: Path) -> None:
    with path.open("rb") as file:
        while piece := file.read(1 << 16):
            sys.stdout.buffer.write(piece)


def _fields(status: Path) -> dict[str, list[int]]:
    """Return the fields of numbers of a file /proc/PID/status: proc_pid_status(5)."""
    rows = re.findall(r"^(\w+):((?:\s+\d+)*)\s*$", status.read_text(), re.MULTILINE)
    return {name: [int(number) for number in numbers.split()] for name, numbers in rows}


def _complain(text: str) -> None:
    with suppress(OSError):
        os.write(2, f"vcr: {text}\n".encode("utf-8", "replace"))
