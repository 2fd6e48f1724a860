"""Progress on a real terminal, in a pipe and as JSON: what is seen of steps and their parts."""

import fcntl
import io
import json
import os
import pty
import re
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from screen import Screen
from terminals import Terminal

from vcr.build.follow import Follower
from vcr.errors import VcrError
from vcr.formats.hashes import progress as hashing
from vcr.formats.hashes.merkle import memory_root
from vcr.formats.hashes.progress import Hashed
from vcr.progress.live import SECONDS, SHOWN_LINES
from vcr.progress.plain import Plain
from vcr.progress.step import Progress, Step
from vcr.progress.width import fitted, width_of
from vcr.ui import Ui

LONG = "[2/5] RUN pip install --no-cache-dir " + " ".join(f"package-{n}" for n in range(40))
WIDE = "[3/5] RUN echo " + "漢字カタカナ한글" * 20 + " e\u0301" * 30
SETTLED = 3 * SECONDS
MARK = "\0"  # which nothing that is drawn has


@dataclass
class Seat:
    """A terminal of a size, a Ui on it, and what was written to it."""

    columns: int
    rows: int = 24
    raw: str = ""
    _pair: tuple[int, int] = field(default_factory=pty.openpty)

    def __post_init__(self) -> None:
        self.resize(self.columns, self.rows)
        self.stream = open(self._pair[1], "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        self.ui = Ui(out=self.stream, err=self.stream)
        threading.Thread(target=self._read, daemon=True).start()

    def resize(self, columns: int, rows: int) -> None:
        self.widest = max(self.columns, columns)
        fcntl.ioctl(self._pair[1], termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def _read(self) -> None:
        pending = b""
        with suppress(OSError):
            while data := os.read(self._pair[0], 65536):
                pending += data
                with suppress(UnicodeDecodeError):
                    self.raw += pending.decode()
                    pending = b""

    @property
    def written(self) -> str:
        return self.raw.replace(MARK, "")

    def _flush(self) -> None:
        """Wait until all that was written until now has been read."""
        number = self.raw.count(MARK)
        os.write(self._pair[1], MARK.encode())
        until(lambda: self.raw.count(MARK) > number)

    def screen(self) -> Screen:
        """Return what is seen, when nothing more comes."""
        before = None
        while before != self.written:
            self._flush()
            before = self.written
            time.sleep(SECONDS / 2)
            self._flush()
        screen = Screen(self.rows, self.widest)
        screen.feed(self.written)
        return screen


def until(condition: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def image(ui: Ui) -> Iterator[Step]:
    with ui.step("image") as step:
        step.part_cached("[1/5] FROM python")
        yield step


@pytest.mark.parametrize("columns", [80, 120, 20, 3])
@pytest.mark.parametrize("rows", [24, 6, 2])
def test_no_line_is_wider_than_the_terminal(columns: int, rows: int) -> None:
    seat = Seat(columns, rows)
    with image(seat.ui) as step:
        parts = [step.part(title) for title in (LONG, WIDE, "[4/5] RUN \x1b[2J\u202e\t")]
        for part in parts:
            for number in range(9):
                part.line(f"{number} {WIDE} \x1b[31mred\x1b[0m \x1b[H {LONG}")
        until(lambda: "[4/5]"[: columns - 1] in seat.written or rows < 6 or columns < 20)
        time.sleep(SETTLED)
        for part in parts:
            part.finish()
        step.because(WIDE)
    screen = seat.screen()
    assert screen.wrapped == []
    assert len(screen.shown()) == 5  # and nothing of what was drawn is left
    if columns >= 80:
        starts = [line.partition(" RUN")[0] for line in screen.shown()[1:4]]
        assert starts == ["[2/5]", "[3/5]", "[4/5]"]
        assert all(line.endswith(" s") for line in screen.shown()[1:4])
        assert screen.shown()[0] == "[1/5] FROM python  CACHED"
        assert screen.shown()[4].startswith("image ")


def test_parts_are_drawn_side_by_side_with_their_last_lines() -> None:
    seat = Seat(80)
    with image(seat.ui) as step:
        one, other = step.part("[build 2/3] RUN make"), step.part("[stage-1 2/4] RUN npm ci")
        for number in range(30):
            one.line(f"cc {number}.c")
        other.line("added 10 packages")
        until(lambda: "added" in seat.written)
        during = Screen(24, 80)
        during.feed(seat.written)
        lines = during.shown()
        assert lines[0] == "[1/5] FROM python  CACHED"
        assert lines[1].startswith("[build 2/3] RUN make  0.")
        assert lines[2:7] == [f"  | cc {number}.c" for number in range(25, 30)]
        assert lines[7].startswith("[stage-1 2/4] RUN npm ci  0.")
        assert lines[8] == "  | added 10 packages"
        assert lines[9].startswith("image ")
        assert len(lines) == 10
        one.finish()
        other.finish()
    assert [line.partition("  ")[0] for line in seat.screen().shown()] == [
        "[1/5] FROM python", "[build 2/3] RUN make", "[stage-1 2/4] RUN npm ci", "image",
    ]  # fmt: skip


def test_more_parts_than_rows_are_not_drawn_and_stay_as_lines() -> None:
    seat = Seat(80, 10)
    with image(seat.ui) as step:
        parts = [step.part(f"[{n}/40] RUN {n}") for n in range(40)]
        until(lambda: "[5/40]" in seat.written)
        time.sleep(SETTLED)
        for part in parts:
            part.finish()
    assert [line.partition(" ")[0] for line in seat.screen().shown()[1:-1]] == [
        f"[{n}/40]" for n in range(40)
    ]


def test_a_failure_loses_nothing_and_says_nothing_twice() -> None:
    seat = Seat(80)
    told = [f"line {number}" for number in range(50)]
    with suppress(VcrError), image(seat.ui) as step:
        failing, other = step.part("[2/5] RUN false"), step.part("[3/5] RUN sleep 9")
        for line in told:
            failing.line(line)
        other.line("of no interest")
        failing.is_failing = True
        raise VcrError("Dockerfile:2: RUN false exited with 1", tail=told[-20:])
    seat.ui.error(VcrError("Dockerfile:2: RUN false exited with 1", tail=told[-20:]))
    lines = seat.screen().shown()
    assert lines[0] == "[1/5] FROM python  CACHED"
    assert [line for line in lines if line.startswith("  | ")] == [f"  | {line}" for line in told]
    assert [line.rpartition("  ")[2] for line in lines if line.startswith("[")] == [
        "CACHED", "failed", "stopped",
    ]  # fmt: skip
    assert lines[-1] == "error: Dockerfile:2: RUN false exited with 1"


def test_other_lines_come_between_not_into_what_is_drawn() -> None:
    seat = Seat(80)
    with image(seat.ui) as step:
        part = step.part("[2/5] RUN make")
        part.line("cc")
        until(lambda: "| cc" in seat.written)
        seat.ui.warn("a cache is not trusted")
        seat.ui.data("asked for")
        time.sleep(SETTLED)
        part.finish()
    lines = seat.screen().shown()
    assert lines[:3] == [
        "[1/5] FROM python  CACHED",
        "warning: a cache is not trusted",
        "asked for",
    ]
    assert len(lines) == 5


@pytest.mark.parametrize("columns", [60, 100])
def test_a_resize_loses_no_line(columns: int) -> None:
    seat = Seat(80)
    with image(seat.ui) as step:
        part = step.part(LONG)
        part.line(LONG)
        until(lambda: "| [2/5]" in seat.written)
        seat.resize(columns, 12)
        begun = len(seat.written)
        until(lambda: seat.written.count("image", begun) > 3)
        part.finish()
    lines = seat.screen().shown()
    assert [line[:5] for line in lines] == ["[1/5]", "[2/5]", "image"]
    assert width_of(lines[1]) <= seat.widest - 1
    assert width_of(seat.written.rpartition("| [2/5]")[2].partition("\x1b")[0]) <= columns


def test_it_draws_ten_times_a_second_whatever_is_printed() -> None:
    seat = Seat(80)
    with image(seat.ui) as step:
        part = step.part("[2/5] RUN make")
        begun = time.monotonic()
        while time.monotonic() < begun + 1:
            part.line("x" * 200)
        taken = time.monotonic() - begun
        assert seat.written.count("image") <= taken / SECONDS + 1
        part.finish()


def test_a_line_of_millions_of_characters_is_drawn_as_fast_as_another() -> None:
    seat = Seat(80)
    with image(seat.ui) as step:
        part = step.part("[2/5] RUN make")
        for _ in range(SHOWN_LINES):
            part.line("漢" * (2 << 20))
        begun = time.process_time()
        seat.ui.note("between")  # draws
        assert time.process_time() - begun < 1
        part.finish()


def test_work_that_is_over_at_once_is_not_drawn() -> None:
    seat = Seat(80)
    with image(seat.ui) as step:
        step.cached()
    assert seat.screen().shown() == ["[1/5] FROM python  CACHED", "image        cached"]
    assert "\x1b[" not in seat.written.replace("\x1b[K", "")


PROGRAM = """
import sys, time
from vcr.ui import Ui
ui = Ui()
try:
    with ui.step("image") as step:
        step.part_cached("[1/2] FROM python")
        part = step.part("[2/2] RUN make")
        part.line("compiling")
        time.sleep(60)
except KeyboardInterrupt:
    ui.note("interrupted")
    sys.exit(130)
"""


def test_ctrl_c_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
    with Terminal([sys.executable, str(path)], env) as at:
        seen = at.expect("| compiling") + "| compiling"
        at.type("\x03")
        seen += at.expect("interrupted\r\n") + "interrupted\r\n"
        assert at.wait() == 130  # and its settings are those from before
    screen = Screen(24, 80)
    screen.feed(seen.replace("^C", ""))
    lines = screen.shown()
    assert lines[0] == "[1/2] FROM python  CACHED"
    assert lines[1].startswith("[2/2] RUN make  ")
    assert lines[1].endswith(" s  stopped")
    assert lines[2:] == ["interrupted"]
    assert screen.column == 0
    assert "\x1b[?" not in seen  # the cursor was never hidden, nothing else was set


def written(mode: Progress, *, failing: bool = False, ci: bool = False) -> str:
    ui = Ui(err=io.StringIO(), progress=mode, ci=ci)
    with suppress(VcrError), image(ui) as step:
        part, passing = step.part("[2/5] RUN make"), step.part("the layers below", is_passing=True)
        passing.finish()
        part.line("cc")
        if failing:
            part.is_failing = True
            raise VcrError("failed")
        part.finish()
        step.because("first build")
    assert isinstance(ui.err, io.StringIO)
    return re.sub(r"\d+\.\d s", "N s", ui.err.getvalue())


def test_without_a_terminal_there_are_plain_lines_of_the_same_words() -> None:
    lines = written(Progress.AUTO).splitlines()
    assert lines == [
        "[1/5] FROM python  CACHED",
        "[2/5] RUN make  N s",
        "image          N s  first build",
    ]
    assert written(Progress.AUTO, failing=True).splitlines()[1:] == [
        "[2/5] RUN make  N s  failed",
        "  | cc",
    ]


HASHED = Hashed("the memory", 250 << 20, 512 << 20)


@pytest.mark.parametrize("columns", [80, 120, 40])
def test_hashing_is_shown_on_a_terminal(columns: int) -> None:
    """In a step and in a part of it, below what that has printed, until it prints again."""
    seat = Seat(columns)
    with seat.ui.step("machine") as step:
        step.moved(HASHED)
        time.sleep(SETTLED)
        assert "hashing the" in seat.screen().shown()[-1]
        assert ("48 % of 512.0 MiB" in seat.screen().shown()[-1]) is (columns > 40)
        part = step.part("the snapshot (vcr-snapshot-app)")
        part.line("booted")
        part.moved(HASHED)
        time.sleep(SETTLED)
        shown = seat.screen().shown()
        assert shown[1:3] == ["  | booted", fitted(f"  | {HASHED}", columns - 1)]
        part.line("done")
        time.sleep(SETTLED)
        assert seat.screen().shown()[1:3] == ["  | booted", "  | done"]
        part.finish()
    assert not any("hashing" in line for line in seat.screen().shown())


def test_hashing_is_a_sign_of_life_in_a_pipe_and_an_event_in_json() -> None:
    plain, err = Plain(io.StringIO(), heartbeat=0.05), io.StringIO()
    ui = Ui(err=err, progress=Progress.JSON)
    for display in (plain, ui._display_now()):
        with Step("machine", display).running() as step:
            step.line("booted")
            step.moved(HASHED)
            time.sleep(0.2)
    assert isinstance(plain.err, io.StringIO)
    beat = re.sub(r"\d+ s", "N s", plain.err.getvalue().splitlines()[0])
    assert beat == "machine      still running, N s  hashing the memory: 48 % of 512.0 MiB"
    event = json.loads(err.getvalue().splitlines()[2])
    assert event == {
        "schema": 1, "event": "hashing", "step": "machine", "what": "the memory",
        "done": 250 << 20, "whole": 512 << 20,
    }  # fmt: skip


def test_what_hashes_in_a_step_is_shown_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "SECONDS", 0.0)
    (tmp_path / "ram").write_bytes(bytes(4 << 20))
    err = io.StringIO()
    with Ui(err=err, progress=Progress.JSON).step("drive"):
        memory_root(tmp_path / "ram")
    events = [json.loads(line) for line in err.getvalue().splitlines()]
    assert [(e["step"], e["done"]) for e in events if e["event"] == "hashing"] == [
        ("drive", 2 << 20), ("drive", 4 << 20),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["vcr-machine-app", "vcr-snapshot-app", "vcr-seal-app"])
def test_a_builder_says_how_far_it_is(name: str) -> None:
    """And nobody else: what a RUN prints is its own."""
    ui = Ui(err=io.StringIO(), progress=Progress.JSON)
    with ui.step("image") as step:
        for drv in (f"/nix/store/{'a' * 32}-{each}.drv" for each in (name, "vcr-layer-run")):
            follower = Follower(step)
            follower.started(drv)
            follower.printed(drv, HASHED.to_line())
            follower.ended(drv, failed=False)
    assert isinstance(ui.err, io.StringIO)
    events = [json.loads(line) for line in ui.err.getvalue().splitlines()]
    found = [each for each in events if each["event"] in {"hashing", "output"}]
    assert [each["event"] for each in found] == ["hashing", "output"]
    assert found[1]["line"] == HASHED.to_line()


def test_ci_gets_plain_lines_on_a_terminal_too() -> None:
    seat = Seat(80)
    seat.ui.ci = True
    with image(seat.ui) as step:
        part = step.part("[2/5] RUN make")
        time.sleep(SETTLED)
        part.finish()
    assert "\x1b" not in seat.written
    assert [line[:5] for line in seat.screen().shown()] == ["[1/5]", "[2/5]", "image"]


def test_json_carries_the_same() -> None:
    events = [json.loads(line) for line in written(Progress.JSON).splitlines()]
    told = [(e["event"], e["step"], e.get("part"), e.get("line", e.get("outcome"))) for e in events]
    make, below = "[2/5] RUN make", "the layers below"
    assert told == [
        ("start", "image", None, None),
        ("done", "image", "[1/5] FROM python", "cached"),
        ("start", "image", make, None),
        ("start", "image", below, None),
        ("done", "image", below, ""),
        ("output", "image", make, "cc"),
        ("done", "image", make, ""),
        ("done", "image", None, "first build"),
    ]
    failed = [json.loads(line) for line in written(Progress.JSON, failing=True).splitlines()]
    assert [(e["event"], e.get("part"), e["lines"]) for e in failed[-2:]] == [
        ("failed", make, ["cc"]), ("failed", None, []),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("漢字", 4, "漢字"),
        ("漢字", 3, "漢…"),
        ("漢字x", 4, "漢…"),
        ("e\u0301e\u0301", 2, "e\u0301e\u0301"),
        ("abc", 0, ""),
    ],
)
def test_what_fits(text: str, columns: int, shown: str) -> None:
    assert fitted(text, columns) == shown
    assert width_of(shown) <= columns
