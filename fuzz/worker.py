"""A child process in which inputs are tried, and the watch over it.

What it is at is in memory that both share: when the child dies, or waits for something
that never comes, its parent knows the input.
"""

import contextlib
import json
import mmap
import os
import select
import shutil
import signal
import struct
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fuzz.limits import CPU_SECONDS, Finding, Limits
from fuzz.target import Target

WAIT_SECONDS = 20.0  # that an input may take without any CPU, on a busy machine
POLL_SECONDS = 0.25
EMPTY_EVERY = 200  # inputs, after which the directory is emptied
_HEAD = struct.Struct("QQ")  # count of inputs, length of this one
SPACE = 1 << 20
IDLE = (1 << 64) - 1  # in the place of a length: no input is tried
BROKEN = 99  # exit code: not the reader's fault

type Job = Callable[["Inputs"], None]


class Inputs:
    """The child's side: tries inputs of a target and reports."""

    def __init__(self, target: Target, shared: mmap.mmap, out: int, directory: Path) -> None:
        """Try inputs in DIRECTORY; write reports to the file descriptor OUT."""
        self.target = target
        self.count = 0
        self._shared, self._out, self._directory = shared, out, directory
        self._limits = Limits()

    def attempt(self, data: bytes) -> Finding | None:
        """Have the target read DATA."""
        self.count += 1
        self._shared[: _HEAD.size + len(data)] = _HEAD.pack(self.count, len(data)) + data
        found = self._limits.attempt(self.target, data, self._directory)
        self._shared[: _HEAD.size] = _HEAD.pack(self.count, IDLE)
        if self.count % EMPTY_EVERY == 0:
            self._empty()
        return found

    def report(self, **told: Any) -> None:
        """Tell the parent."""
        os.write(self._out, json.dumps(told).encode() + b"\n")

    def found(self, finding: Finding, data: bytes) -> None:
        """Tell the parent of a FINDING."""
        self.report(**vars(finding), data=data.hex())

    def _empty(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, exist_ok=True)


def run(target: Target, job: Job) -> Iterator[dict[str, Any]]:
    """Do JOB in a child and yield what it reports; its death is a report, too."""
    shared = mmap.mmap(-1, SPACE)
    reader, writer = os.pipe()
    directory = Path(tempfile.mkdtemp(prefix="vcr-fuzz-"))
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(target, job, shared, writer, directory / "d")
    os.close(writer)
    try:
        yield from _watched(pid, reader, shared)
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        shutil.rmtree(directory, ignore_errors=True)


def _child(target: Target, job: Job, shared: mmap.mmap, out: int, directory: Path) -> None:
    """Never return."""
    code = BROKEN
    try:
        directory.mkdir()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1):
            os.dup2(null, fd)
        job(Inputs(target, shared, out, directory))
        code = 0
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _watched(pid: int, reader: int, shared: mmap.mmap) -> Iterator[dict[str, Any]]:
    rest, seen, since, used = b"", -1, time.monotonic(), 0.0
    while True:
        ready, _, _ = select.select([reader], [], [], POLL_SECONDS)
        if ready:
            data = os.read(reader, 1 << 16)
            *lines, rest = (rest + data).split(b"\n")
            yield from map(json.loads, lines)
            if not data:
                _, status = os.waitpid(pid, 0)
                code = os.waitstatus_to_exitcode(status)
                if code == BROKEN or (code and _HEAD.unpack_from(shared)[1] == IDLE):
                    raise RuntimeError("the harness is broken")
                if code:
                    what = f"the process ended: {code}"
                    yield {"kind": "crash", "what": what, "where": "", "data": _input(shared).hex()}
                return
        count, size = _HEAD.unpack_from(shared)
        if count != seen or size == IDLE:
            seen, since, used = count, time.monotonic(), _cpu(pid)
        elif count and (took := _cpu(pid) - used) > 3 * CPU_SECONDS:
            what = f"{took:.1f} s, and no end"
            yield {"kind": "hang", "what": what, "where": "", "data": _input(shared).hex()}
            return
        elif count and time.monotonic() - since > WAIT_SECONDS:
            what = f"it waits for more than {WAIT_SECONDS:g} s"
            yield {"kind": "hang", "what": what, "where": "", "data": _input(shared).hex()}
            return


def _input(shared: mmap.mmap) -> bytes:
    _, size = _HEAD.unpack_from(shared)
    return shared[_HEAD.size : _HEAD.size + size]


def _cpu(pid: int) -> float:
    """Return the seconds of CPU that process PID has used: proc(5), utime and stime."""
    try:
        rest = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    fields = rest.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
