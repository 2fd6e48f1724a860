"""Logs of an app that prints without end: bounded on the disk, shown and followed all the same."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vcr.engines import logs
from vcr.engines.logs import KEPT_BYTES, MOST_BYTES, last_lines, shorten
from vcr.engines.python_child import python_child
from vcr.runtime import follow as following
from vcr.runtime import log_index
from vcr.runtime.follow import follow, read_log
from vcr.runtime.log_index import index_of, length_at
from vcr.runtime.machine import tail

MIB = 1 << 20


def line(number: int) -> bytes:
    return b"%099d\n" % number


def filled(path: Path, size: int) -> int:
    """Add lines to PATH until it has SIZE bytes; return how many lines it has."""
    count = path.stat().st_size // 100 if path.exists() else 0
    with path.open("ab") as file:
        while count * 100 < size:
            file.write(b"".join(line(count + n) for n in range(10_000)))
            count += 10_000
    return count


def taken(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    with path.open("wb") as file:
        file.truncate(1)
    if not logs._punch(os.open(path, os.O_RDWR), 1):
        pytest.skip("needs a file system with holes")
    path.unlink()
    return path


def test_a_log_gives_back_what_is_old(log: Path) -> None:
    filled(log, MOST_BYTES - 2 * MIB)
    assert not shorten(log)
    count = filled(log, MOST_BYTES + MIB)
    size = log.stat().st_size
    assert shorten(log)
    assert log.stat().st_size == size  # nobody who writes it has to know
    assert KEPT_BYTES <= taken(log) <= KEPT_BYTES + 2 * MIB
    found = read_log(log)
    numbers = [int(text) for text in found.lines]
    assert numbers == list(range(numbers[0], count))
    assert KEPT_BYTES - 200 <= len(numbers) * 100 <= KEPT_BYTES + 2 * MIB
    assert (found.end, found.rest) == (size, "")
    assert read_log(log, size - 150).lines == tuple(
        line(n)[:-1].decode() for n in (count - 2, count - 1)
    )
    assert tail(log)[-1] == line(count - 1)[:-1].decode()


def test_a_log_is_followed_over_what_is_given_back(log: Path) -> None:
    filled(log, MIB)
    over: Iterator[bool] = iter([False, False, True])

    def is_over() -> bool:
        """Let the log grow and be shortened between two looks."""
        filled(log, log.stat().st_size + MOST_BYTES)
        shorten(log)
        return next(over)

    numbers = [int(text) for text in follow(log, is_over)]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == log.stat().st_size // 100 - 1


def test_a_log_that_was_emptied_is_followed_from_its_begin(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\nthree\n")
    over: Iterator[bool] = iter([False, True])

    def is_over() -> bool:
        is_last = next(over)
        if is_last:
            log.write_text("four\n")
        return is_last

    assert list(follow(log, is_over)) == ["one", "two", "three", "four"]


def test_where_there_are_no_holes_a_log_is_emptied(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_punch", lambda *_: False)
    filled(log, MOST_BYTES + MIB)
    assert shorten(log)
    assert log.stat().st_size == 0


def test_a_line_without_end_comes_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MAX_LINE", 1000)
    monkeypatch.setattr(following, "CHUNK", 600)
    log = tmp_path / "log"
    log.write_bytes(b"x" * 5000 + b"\nend\n")
    pieces = list(follow(log, lambda: True))
    assert "".join(pieces) == "x" * 5000 + "end"
    assert max(map(len, pieces)) <= 1600


def test_only_a_log_is_shortened(tmp_path: Path) -> None:
    other = tmp_path / "other"
    with other.open("wb") as file:
        file.write(bytes(MOST_BYTES + MIB))
    (tmp_path / "link.log").symlink_to(other)
    os.mkfifo(tmp_path / "fifo.log")
    with pytest.raises(OSError, match="symbolic links"):
        shorten(tmp_path / "link.log")
    assert not shorten(tmp_path / "fifo.log")
    assert taken(other) > MOST_BYTES
    assert last_lines(tmp_path / "none") == []


def test_the_watcher_of_a_machine_bounds_its_logs(log: Path) -> None:
    directory = log.parent
    told_logs = [log, directory / "console.log"]
    for path in told_logs:
        path.touch()
        index_of(path).touch()
    services = directory / "service-db.log"  # nobody tells of it, and it begins later
    machine = subprocess.Popen(["sleep", "1000"])
    told = json.dumps({"pid": machine.pid, "logs": [str(path) for path in told_logs]})
    watcher = subprocess.Popen(python_child("vcr.runtime.log_index", told))
    deadline = time.monotonic() + 60
    try:
        for _ in range(3):
            for path in (log, services):
                filled(path, (path.stat().st_size if path.exists() else 0) + MOST_BYTES + MIB)
                while taken(path) > MOST_BYTES:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
    finally:
        machine.kill()
        machine.wait()
    assert watcher.wait(20) == 0
    assert log.stat().st_size > 3 * MOST_BYTES
    assert length_at(log, time.time() + 1) == log.stat().st_size


def test_an_index_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_index, "MOST_INDEX", 1000)
    log = tmp_path / "log"
    with log.open("wb", buffering=0) as file, index_of(log).open("a") as index:
        noted = log_index._Noted(log, index)
        for _ in range(200):
            file.write(b"x")
            noted.note()
        assert index_of(log).stat().st_size <= 1100
        assert length_at(log, time.time() + 1) == 200
        file.truncate(0)
        noted.note()
        assert length_at(log, time.time() + 1) == 0
        assert len(index_of(log).read_text().splitlines()) == 1
