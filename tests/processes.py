"""What runs on this host, as /proc tells: for tests that nothing is left behind."""

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # include/uapi/linux/prctl.h


def command_lines() -> Iterator[str]:
    """Yield the command lines of all processes, words parted by spaces."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue


def build_machines(memory_mib: int, port: str) -> list[Path]:
    """Return the directories in /proc of build machines with so much memory and such a PORT."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"{memory_mib}M".encode() in words and any(port.encode() in word for word in words):
            found.append(entry)
    return found


def is_running(pid: int) -> bool:
    """Tell whether process PID is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def adopt_orphans() -> None:
    """Let processes whose parents end become children of this one, so that none is lost."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def states() -> Iterator[tuple[int, str, int]]:
    """Yield process, state and parent of all there are."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        yield int(path.parent.name), fields[0], int(fields[1])


def parents() -> dict[int, int]:
    """Return process → parent of all processes that have not ended."""
    return {pid: parent for pid, state, parent in states() if state not in {"Z", "X"}}


def zombies(pid: int) -> list[int]:
    """Return what is below PID and has ended, but was not waited for."""
    tree = {pid, *descendants(pid)}
    return [each for each, state, parent in states() if state == "Z" and parent in tree]


def descendants(pid: int) -> list[int]:
    """Return the processes below PID, parents before their children."""
    above, found = parents(), [pid]
    for each in found:
        found += [child for child, parent in above.items() if parent == each]
    return found[1:]


def kill_tree(pid: int) -> None:
    """Kill PID and all below it, also those that are being made meanwhile."""
    while left := [pid, *descendants(pid)]:
        for each in left:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)  # nobody makes new ones
        if left == [pid, *descendants(pid)]:
            break
    for each in left:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def wait_until_alone(known: set[int], seconds: float = 20.0) -> list[str]:
    """Wait until there is nothing below this process but KNOWN; return what stays, in words."""
    deadline = time.monotonic() + seconds
    while True:
        reap(known)
        left = [pid for pid in descendants(os.getpid()) if pid not in known]
        if not left or time.monotonic() > deadline:
            return [words_of(pid) for pid in left]
        time.sleep(0.05)


def reap(known: set[int]) -> None:
    """Let children go that have ended, but for KNOWN, which others wait for."""
    for pid, state, parent in states():
        if state == "Z" and parent == os.getpid() and pid not in known:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def words_of(pid: int) -> str:
    """Return process PID and its command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return f"{pid} ended"
    return f"{pid} {words.decode(errors='replace')[:900]}"


def assert_nothing_runs(known: set[int]) -> None:
    assert wait_until_alone(known) == []
