"""The one door to the terminal: data to stdout, everything else to stderr.

Commands get a Ui and never print. Errors are rendered here, once, with their
cause as the last thing on the screen. Whatever a text holds that would steer the
terminal or forge a line is written out here (vcr.escape), so that no caller can forget it.
"""

import enum
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import IO, Any

from vcr.command_log import Command
from vcr.errors import VcrError
from vcr.escape import visible, visible_cell, visible_colours, visible_text, without_colours
from vcr.formats.hashes.progress import shown_to
from vcr.progress import Display, Progress, Step, as_json, choose_display

JSON_SCHEMA = 1
RED, YELLOW, BOLD, DIM, RESET = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
CLEAR = "\x1b[H\x1b[2J"  # ECMA-48: cursor home, erase the screen


class Tint(enum.StrEnum):
    """What a piece of a line is; the values are styles of rich."""

    TEXT = ""
    TITLE = "bold"
    COMMAND = "cyan"
    SOFT = "dim"


@dataclass
class Ui:
    """Where output goes; mutable only because options arrive after it exists."""

    out: IO[str] = field(default_factory=lambda: sys.stdout)
    err: IO[str] = field(default_factory=lambda: sys.stderr)
    progress: Progress = Progress.AUTO
    is_json: bool = False
    verbosity: int = 0  # -1 quiet, 0 normal, 1 and up verbose
    colour: bool = False
    ci: bool = False
    is_debug: bool = False  # lines come at any time: nothing else may be drawn over
    _display: Display | None = field(default=None, init=False, repr=False)

    def data(self, text: str = "") -> None:
        """Write TEXT, one line of what the user asked for, to stdout."""
        self._write(self.out, visible(text))

    def document(self, text: str) -> None:
        """Write TEXT, what the user asked for, of as many lines as it has, to stdout."""
        self._write(self.out, visible_text(text))

    def program(self, line: str, *, is_error: bool = False) -> None:
        """Pass on LINE, which an app printed: its colours only to a terminal, else all as it is.

        Bytes that are not UTF-8 are in LINE as PEP 383 has them.
        """
        stream = self.err if is_error else self.out
        binary = getattr(stream, "buffer", None)  # a stream of text only, in tests, has none
        if stream.isatty() or binary is None:
            self._write(stream, visible_colours(line))
            return

        def write() -> None:
            stream.flush()
            binary.write(line.encode("utf-8", "surrogateescape") + b"\n")
            binary.flush()

        self._aside(write)

    def clear(self) -> None:
        """Empty the terminal that stdout is, if it is one."""
        if self.out.isatty() and not self.is_json:
            self.out.write(CLEAR)

    def json(self, kind: str, content: Mapping[str, Any]) -> None:
        """Write one versioned JSON object to stdout."""
        told = {"schema": JSON_SCHEMA, "kind": kind, **content}
        self._write(self.out, as_json(told))

    def table(self, rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
        """Write ROWS to stdout in aligned columns."""
        for line in aligned(rows):
            self._write(self.out, indent + line)

    def lines(self, lines: Iterable[Sequence[tuple[str, Tint]]]) -> None:
        """Write LINES to stdout, each of pieces that are tinted where there are colours."""
        from rich.console import Console  # costs 100 ms, needed here only
        from rich.text import Text

        console = Console(file=self.out, highlight=False)
        for pieces in lines:
            shown = ((visible(text), tint) for text, tint in pieces)
            console.print(Text.assemble(*shown), soft_wrap=True)

    def note(self, text: str) -> None:
        """Tell the user TEXT on stderr, unless quiet."""
        if self.verbosity >= 0:
            self._say(visible(text), {"event": "note", "text": text})

    def detail(self, text: str) -> None:
        """Tell the user TEXT on stderr when verbose."""
        if self.verbosity > 0:
            self._say(self.paint(DIM, visible(text)), {"event": "detail", "text": text})

    def command(self, command: Command) -> None:
        """Show COMMAND on stderr, always: a line to copy, or JSON where progress is JSON."""
        content = {**asdict(command), "event": f"command-{command.event}"}
        self._say(self.paint(DIM, f"debug: {command.line}"), content)

    def warn(self, text: str) -> None:
        """Warn the user on stderr, always."""
        line = f"{self.paint(YELLOW, 'warning:')} {visible(text)}"
        self._say(line, {"event": "warning", "text": text})

    def _say(self, line: str, event: Mapping[str, Any]) -> None:
        """Write LINE, or the EVENT where progress is JSON."""
        is_json = self.progress is Progress.JSON
        self._tell(as_json({"schema": 1, **event}) if is_json else line)

    def error(self, error: VcrError) -> None:
        """Render ERROR: the last output of what failed, then what, why and fix."""
        if self.progress is Progress.JSON:
            content = {"what": error.what, "why": error.why, "fix": error.fix}
            lines = {"details": list(error.details), "lines": list(error.tail)}
            self._tell(as_json({"schema": 1, "event": "error", **content, **lines}))
            return
        for line in error.tail:
            self._tell(self.paint(DIM, f"  | {visible(without_colours(line))}"))
        self._tell(f"{self.paint(RED + BOLD, 'error:')} {visible(error.what)}")
        for line in aligned(error.details):
            self._tell(f"  {line}")
        for label, text in (("why", error.why), ("fix", error.fix)):
            if text:
                shown = "\n     | ".join(visible(line) for line in text.split("\n"))
                self._tell(f"  {self.paint(BOLD, label + ':')} {shown}")

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show one piece of long work named NAME while the block runs, and what it hashes."""
        with Step(name, self._display_now()).running() as step, shown_to(step.moved):
            yield step

    def begin(self, name: str) -> Step:
        """Show from now on one piece of long work, NAME, which its `finish` ends."""
        step = Step(name, self._display_now())
        step.display.began(step)
        return step

    def _display_now(self) -> Display:
        """Return the one display of all steps, which is chosen when the first begins."""
        if self._display is None:
            mode = Progress.QUIET if self.verbosity < 0 else self.progress
            if self.is_debug and mode is Progress.AUTO:
                mode = Progress.PLAIN
            verbose = self.verbosity > 0
            dim = partial(self.paint, DIM)
            self._display = choose_display(mode, self.err, ci=self.ci, verbose=verbose, dim=dim)
        return self._display

    def paint(self, code: str, text: str) -> str:
        """Colour TEXT when colours are wanted."""
        return f"{code}{text}{RESET}" if self.colour else text

    def _tell(self, text: str) -> None:
        self._write(self.err, text)

    def _write(self, stream: IO[str], text: str) -> None:
        def write() -> None:
            stream.write(text + "\n")
            stream.flush()

        self._aside(write)

    def _aside(self, write: Callable[[], None]) -> None:
        """Call WRITE, which writes lines, where no step is drawn."""
        if self._display is None:
            write()
        else:
            self._display.aside(write)


class _Nowhere(io.StringIO):
    """A stream that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


def silent() -> Ui:
    """Return a Ui of which nothing is seen, for programs that use vcr as a library."""
    return Ui(_Nowhere(), _Nowhere(), Progress.QUIET, verbosity=-1)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad the columns of ROWS to equal width; the last one is left as it is.

    No cell can look like several, or like another row.
    """
    if not rows:
        return []
    rows = [[visible_cell(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def human_size(size: int) -> str:
    """Return SIZE, in bytes, as people read it (IEC units)."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def human_time(seconds: float) -> str:
    """Return SECONDS as people say how long something lasts, in one unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
