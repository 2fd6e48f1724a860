"""How progress is shown: live on a terminal, one contiguous block a step on CI.

A step that was cached says so, a step that ran says why, and a failure shows
everything the step printed. Renderers only write to the stream they are given, and
nothing that a name or a line holds steers a terminal there (vcr.escape).
"""

import enum
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import IO, Protocol

from vcr.escape import visible, without_colours

HEARTBEAT_SECONDS = 30.0
KEPT_LINES = 200  # of a step's output, shown when it fails
LATEST_CHARACTERS = 1000  # of the line that is shown while it runs; more fits no terminal


class Progress(enum.StrEnum):
    """The values of --progress."""

    AUTO = "auto"
    TTY = "tty"
    PLAIN = "plain"
    JSON = "json"
    QUIET = "quiet"


@dataclass
class Step:
    """One piece of long work and what there is to say about it."""

    name: str
    lines: list[str] = field(default_factory=list)
    outcome: str = ""
    started: float = field(default_factory=time.monotonic)
    latest: str = ""

    def line(self, text: str) -> None:
        """Take one line of output of the work."""
        text = without_colours(text)
        self.latest = text[:LATEST_CHARACTERS]
        self.lines.append(text)
        del self.lines[:-KEPT_LINES]

    def cached(self) -> None:
        """Say that nothing had to be done."""
        self.outcome = "cached"

    def because(self, reason: str) -> None:
        """Say why the work had to be done."""
        self.outcome = reason

    @property
    def seconds(self) -> float:
        """Return how long the step has been running."""
        return time.monotonic() - self.started

    def summary(self) -> str:
        """Return the one line that is left when the step is over."""
        if self.outcome == "cached":
            return f"{self.name:<12} cached"
        return f"{self.name:<12} {self.seconds:5.1f} s  {self.outcome}".rstrip()


@dataclass
class _LiveStep(Step):
    update: Callable[[str], None] | None = None

    def line(self, text: str) -> None:
        super().line(text)
        if self.update is not None:
            self.update(self.latest)


class Renderer(Protocol):
    """Shows steps."""

    def show(self, name: str) -> AbstractContextManager[Step]:
        """Return a context manager that shows the step NAME while it runs."""


@dataclass(frozen=True)
class Quiet:
    """Shows nothing but a failed step's output."""

    err: IO[str]

    @contextmanager
    def show(self, name: str) -> Iterator[Step]:
        """Stay silent unless the step fails."""
        step = Step(name)
        try:
            yield step
        except BaseException:
            _dump(self.err, step)
            raise


@dataclass(frozen=True)
class Plain:
    """One contiguous block a step, written when it ends, and a heartbeat meanwhile."""

    err: IO[str]
    verbose: bool
    heartbeat: float = HEARTBEAT_SECONDS

    @contextmanager
    def show(self, name: str) -> Iterator[Step]:
        """Write the block at the end; a beat every HEARTBEAT seconds until then."""
        step, over = Step(name), threading.Event()

        def beat() -> None:
            while not over.wait(self.heartbeat):
                _write(self.err, f"{name:<12} still running, {step.seconds:.0f} s  {step.latest}")

        watch = threading.Thread(target=beat, daemon=True)
        watch.start()
        try:
            yield step
        except BaseException:
            _dump(self.err, step)
            raise
        finally:
            over.set()
            watch.join()
        if self.verbose:
            _dump(self.err, step)
        _write(self.err, step.summary())


@dataclass(frozen=True)
class Live:
    """A spinner with the latest line, replaced by the summary."""

    err: IO[str]
    verbose: bool

    @contextmanager
    def show(self, name: str) -> Iterator[Step]:
        """Show a live status line on the terminal."""
        from rich.console import Console  # costs 100 ms, needed here only
        from rich.text import Text

        console = Console(file=self.err, highlight=False)
        step = _LiveStep(name)
        try:
            with console.status(Text(visible(name))) as status:
                step.update = lambda text: status.update(
                    Text(visible(f"{name}  {text}"), overflow="ellipsis")
                )
                yield step
        except BaseException:
            _dump(self.err, step)
            raise
        if self.verbose:
            _dump(self.err, step)
        _write(self.err, step.summary())


@dataclass(frozen=True)
class JsonLines:
    """One JSON object an event, for other programs."""

    err: IO[str]

    @contextmanager
    def show(self, name: str) -> Iterator[Step]:
        """Write a start event and an end event, with the lines if the step failed."""
        step = Step(name)
        self._event(event="start", step=name)
        try:
            yield step
        except BaseException:
            self._event(event="failed", step=name, lines=step.lines)
            raise
        self._event(event="done", step=name, outcome=step.outcome, seconds=round(step.seconds, 3))

    def _event(self, **content: object) -> None:
        _write(self.err, as_json({"schema": 1, **content}))


def choose_renderer(mode: Progress, err: IO[str], *, ci: bool, verbose: bool) -> Renderer:
    """Pick the renderer for MODE; auto means live on a terminal that is not a CI log."""
    if mode is Progress.AUTO:
        mode = Progress.TTY if err.isatty() and not ci else Progress.PLAIN
    match mode:
        case Progress.TTY:
            return Live(err, verbose)
        case Progress.JSON:
            return JsonLines(err)
        case Progress.QUIET:
            return Quiet(err)
        case _:
            return Plain(err, verbose)


def _dump(err: IO[str], step: Step) -> None:
    for line in step.lines:
        _write(err, f"  | {line}")


def as_json(content: Mapping[str, object]) -> str:
    """Return CONTENT as JSON of printable ASCII, in one line."""
    return json.dumps(content, sort_keys=True).replace("\x7f", "\\u007f")


def _write(err: IO[str], text: str) -> None:
    err.write(visible(text) + "\n")
    err.flush()
