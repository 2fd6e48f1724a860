"""When the lines of a log were written: an index beside it, kept while the machine runs.

Nothing that writes a log says when. So a process of its own watches the logs of a machine,
inotify(7), and adds to the index how long a log is at what time, "SECONDS BYTES", four times
a second at most. It also keeps these logs, and all others beside them, from growing without
an end. It ends with the machine. Its imports are few: there is one a machine.
"""

import ctypes
import fcntl
import json
import os
import select
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from vcr.engines.logs import shorten

SUFFIX = ".times"
PAUSE_SECONDS = 0.25  # in which what is written counts as written at once
IN_MODIFY = 2  # linux/inotify.h
END_SECONDS = 2.0
MOST_INDEX = 1 << 20  # bytes


def index_of(log: Path) -> Path:
    """Return where the index of LOG is."""
    return log.with_name(log.name + SUFFIX)


def length_at(log: Path, moment: float) -> int:
    """Return how long LOG was at MOMENT, in seconds since 1970, or up to a pause before that.

    Raises OSError when nobody has noted it.
    """
    length = 0
    for line in index_of(log).read_text().splitlines():
        seconds, _, size = line.partition(" ")
        if not size or float(seconds) >= moment:  # one without is just being written
            break
        length = int(size)
    return length


def wait_for_end(log: Path) -> None:
    """Wait, for some seconds at most, until nobody watches LOG any more."""
    deadline = time.monotonic() + END_SECONDS
    with suppress(FileNotFoundError), index_of(log).open("r+") as file:
        while time.monotonic() < deadline:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.01)


def main(told: str) -> None:
    """Watch what the JSON text TOLD says: `logs` for as long as process `pid` runs."""
    words = json.loads(told)
    logs = [Path(log) for log in words["logs"]]
    indexes = [index_of(log).open("a") for log in logs]
    for index in indexes:
        fcntl.flock(index, fcntl.LOCK_EX)
    with suppress(ProcessLookupError):
        machine = os.pidfd_open(words["pid"])
        noted = [_Noted(*pair) for pair in zip(logs, indexes, strict=True)]
        directory = logs[0].parent
        _watch(machine, _changes(directory), noted, directory)


class _Noted:
    """A log and how long it was last."""

    def __init__(self, log: Path, index: IO[str]) -> None:
        self._log, self._index, self._length = log, index, -1

    def note(self) -> None:
        length = self._log.stat().st_size
        if length == self._length:
            return
        if length < self._length:  # it was emptied, and what was known of it counts no more
            self._index.truncate(0)
        elif self._index.tell() > MOST_INDEX:
            self._forget_half()
        self._index.write(f"{time.time():.3f} {length}\n")
        self._index.flush()
        self._length = length

    def _forget_half(self) -> None:
        lines = index_of(self._log).read_text().splitlines(keepends=True)
        self._index.truncate(0)
        self._index.write("".join(lines[len(lines) // 2 :]))


def _watch(machine: int, changes: int, noted: list[_Noted], directory: Path) -> None:
    end, any_of = select.poll(), select.poll()
    end.register(machine, select.POLLIN)
    any_of.register(machine, select.POLLIN)
    if changes >= 0:
        any_of.register(changes, select.POLLIN)
    over = False
    while not over:
        for one in noted:
            one.note()
        _shorten_all(directory)
        any_of.poll(None if changes >= 0 else PAUSE_SECONDS * 1000)
        over = bool(end.poll(PAUSE_SECONDS * 1000))
        if changes >= 0 and not over:
            os.read(changes, 1 << 16)
    for one in noted:
        one.note()


def _shorten_all(directory: Path) -> None:
    """Shorten what has grown too large of all logs in DIRECTORY."""
    for log in directory.glob("*.log"):
        with suppress(OSError):
            shorten(log)


def _changes(directory: Path) -> int:
    """Return a file descriptor that can be read when a file in DIRECTORY changes, -1 for none."""
    libc = ctypes.CDLL(None)
    changes = int(libc.inotify_init1(os.O_CLOEXEC))
    if changes >= 0 and libc.inotify_add_watch(changes, os.fsencode(directory), IN_MODIFY) < 0:
        return -1
    return changes
