"""Steps: pieces of long work, what they print, how they end; and what a display of them is."""

import enum
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from vcr.errors import VcrError
from vcr.escape import without_colours
from vcr.formats.hashes.progress import Hashed

KEPT_LINES = 200  # of a step's output, shown when it fails
LATEST_CHARACTERS = 1000  # of a line that is shown while it runs; more fits no terminal
CACHED = "cached"


class Progress(enum.StrEnum):
    """The values of --progress."""

    AUTO = "auto"
    TTY = "tty"
    PLAIN = "plain"
    JSON = "json"
    QUIET = "quiet"


class End(enum.StrEnum):
    """How a step ended."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"  # because something else failed, or by an interrupt


class Display(Protocol):
    """Shows steps; its methods may be called in several threads at once."""

    def began(self, step: "Step") -> None:
        """Show that STEP, or a part of a step, runs."""

    def printed(self, step: "Step", text: str) -> None:
        """Show that STEP printed TEXT, a line."""

    def moved(self, step: "Step", hashed: Hashed) -> None:
        """Show how far STEP is with hashing."""

    def ended(self, step: "Step") -> None:
        """Show how STEP ended: its `end`, its outcome, its lines where it failed."""

    def aside(self, write: Callable[[], None]) -> None:
        """Call WRITE, which writes whole lines to the same terminal."""


@dataclass(eq=False)
class Step:
    """One piece of long work and what there is to say about it."""

    name: str
    display: Display
    whole: "Step | None" = None  # what it is a part of
    # Of a part: work that nobody asked for by name. It is not worth a line when it is done.
    is_passing: bool = False
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    outcome: str = ""
    started: float = field(default_factory=time.monotonic)
    latest: str = ""
    doing: str = ""  # how far it is with what takes long, since the last line
    end: End | None = None  # None: it runs
    is_failing: bool = False  # of a part: the whole is about to end, because of this one
    parts: list["Step"] = field(default_factory=list)  # those that run
    _took: float = 0.0

    def line(self, text: str) -> None:
        """Take one line of output of the work."""
        text, self.doing = without_colours(text), ""
        self.latest = text[:LATEST_CHARACTERS]
        self.lines.append(text)
        self.display.printed(self, text)

    def moved(self, hashed: Hashed) -> None:
        """Take how far it is; what it has printed stays as it is."""
        self.doing = str(hashed)
        self.display.moved(self, hashed)

    def cached(self) -> None:
        """Say that nothing had to be done."""
        self.outcome = CACHED

    def because(self, reason: str) -> None:
        """Say why the work had to be done."""
        self.outcome = reason

    def part(self, name: str, *, is_passing: bool = False) -> "Step":
        """Begin a part of this step, beside the others; it ends with `finish`."""
        part = Step(name, self.display, self, is_passing)
        self.parts.append(part)
        self.display.began(part)
        return part

    def part_cached(self, name: str) -> None:
        """Say that nothing had to be done for the part NAME."""
        part = Step(name, self.display, self, outcome=CACHED)
        part.finish()

    def finish(self, end: End = End.DONE, told: Sequence[str] = ()) -> None:
        """Say how it ended; of a failure, lines that were TOLD, or will be, are not told again."""
        if self.end is not None:
            return
        for part in tuple(self.parts):
            part.finish(end if part.is_failing or end is not End.FAILED else End.STOPPED, told)
        self._took = self.seconds
        self.end = end
        if self.whole is not None and self in self.whole.parts:
            self.whole.parts.remove(self)
        lines, last = list(self.lines), list(told)
        if last and lines[-len(last) :] == last:
            self.lines = deque(lines[: -len(last)], maxlen=KEPT_LINES)
        self.display.ended(self)

    def drop_parts(self, besides: Collection["Step"] = ()) -> None:
        """End the parts that run, BESIDES some, without a line: something else is tried."""
        for part in [each for each in self.parts if each not in besides]:
            part.is_passing = True
            part.finish(End.STOPPED)

    @contextmanager
    def running(self) -> Iterator["Step"]:
        """Show it while the block runs, and how that ends."""
        self.display.began(self)
        try:
            yield self
        except Exception as error:
            tail = error.tail if isinstance(error, VcrError) else ()
            self.finish(End.FAILED, [without_colours(line) for line in tail])
            raise
        except BaseException:  # an interrupt
            self.finish(End.STOPPED)
            raise
        self.finish()

    @property
    def seconds(self) -> float:
        """Return how long the step has been running, or ran."""
        return self._took if self.end is not None else time.monotonic() - self.started

    @property
    def label(self) -> str:
        """Return its name as a line begins with it: those of steps are in a column."""
        return self.name if self.whole is not None else f"{self.name:<12}"

    @property
    def ending(self) -> str:
        """Return what follows its name when it is over, or how long it has been running."""
        if self.end is End.DONE and self.outcome == CACHED:
            return "CACHED" if self.whole is not None else CACHED
        word = self.outcome if self.end in {None, End.DONE} else str(self.end)
        width = 5 if self.whole is None else 0
        return f"{self.seconds:{width}.1f} s  {word}".rstrip()
