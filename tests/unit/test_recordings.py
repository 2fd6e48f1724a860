"""Steps that are recorded at once: how many, in which order they are taken, how they are ended."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest

from vcr.build.recordings import PID, Leash, Recordings, at_once
from vcr.errors import VcrError
from vcr.lock.recorder import Recorder
from vcr.progress import Step
from vcr.progress.step import Display

FOREVER = "import time; time.sleep(1000)"


class Silent:
    """A display that shows nothing, whatever is called."""

    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


def part(name: str) -> Step:
    return Step(name, cast("Display", Silent()))


def recorder() -> Recorder:
    return cast("Recorder", object())


def machine(directory: Path, leash: Leash, begun: threading.Event) -> Recorder:
    """Be a machine that goes on until somebody ends it."""
    directory.mkdir()
    leash.hold(directory)
    with subprocess.Popen([sys.executable, "-c", FOREVER, directory]) as child:
        (directory / PID).write_text(f"{child.pid}\n")
        begun.set()
        assert child.wait() == -9
    raise VcrError("the machine was ended")


def test_as_many_as_there_are_cpus_and_memory_for_and_one_at_least() -> None:
    assert 1 <= at_once(1) <= len(os.sched_getaffinity(0))
    assert at_once(1 << 40) == 1


def test_what_one_raises_ends_the_machines_of_the_others(tmp_path: Path) -> None:
    parts = [part(name) for name in ("a", "b")]
    begun = threading.Event()

    def fails(_: Leash) -> Recorder:
        begun.wait(30)
        raise VcrError("it failed")

    def record() -> None:
        with Recordings(2) as under_way:
            under_way.start("a", parts[0], lambda leash: machine(tmp_path / "a", leash, begun))
            under_way.start("b", parts[1], fails)
            assert under_way.room == 0
            list(under_way.ended(is_waiting=True))

    start = time.monotonic()
    with pytest.raises(VcrError, match="it failed"):
        record()
    assert time.monotonic() - start < 60
    assert not Path("/proc", (tmp_path / "a" / PID).read_text().strip()).exists()
    assert (parts[0].is_failing, parts[1].is_failing) == (False, True)


def test_an_interrupt_ends_them_too(tmp_path: Path) -> None:
    begun = threading.Event()

    def record() -> None:
        with Recordings(1) as under_way:
            under_way.start("a", part("a"), lambda leash: machine(tmp_path / "a", leash, begun))
            assert begun.wait(30)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record()
    assert not Path("/proc", (tmp_path / "a" / PID).read_text().strip()).exists()


def test_one_that_is_to_end_starts_no_machine(tmp_path: Path) -> None:
    leash = Leash()
    leash.pull()
    with pytest.raises(VcrError):
        leash.hold(tmp_path)
    # Nobody else's process is ended: the file may be of a machine that is long gone.
    (tmp_path / PID).write_text(f"{os.getpid()}\n")
    Leash(tmp_path).pull()


def test_what_has_ended_is_taken_once(tmp_path: Path) -> None:
    first, second = recorder(), recorder()
    with Recordings(2) as under_way:
        under_way.start("a", part("a"), lambda _: first)
        assert list(under_way.ended(is_waiting=True)) == [("a", first)]
        assert list(under_way.ended(is_waiting=True)) == []
        under_way.start("b", part("b"), lambda _: second)
        assert list(under_way.ended(is_waiting=True)) == [("b", second)]
        assert under_way.room == 2
        assert under_way.parts == {}
