"""The one door to the terminal: data to stdout, everything else to stderr.

Commands get a Ui and never print. Errors are rendered here, once, with their
cause as the last thing on the screen.
"""

import enum
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from vcr.errors import VcrError
from vcr.progress import Progress, Step, choose_renderer

JSON_SCHEMA = 1
RED, YELLOW, BOLD, DIM, RESET = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"


class Tint(enum.StrEnum):
    """What a piece of a line is; the values are styles of rich."""

    TEXT = ""
    TITLE = "bold"
    COMMAND = "cyan"
    SOFT = "dim"


@dataclass
class Ui:
    """Where words go; mutable only because options arrive after it exists."""

    out: IO[str] = field(default_factory=lambda: sys.stdout)
    err: IO[str] = field(default_factory=lambda: sys.stderr)
    progress: Progress = Progress.AUTO
    is_json: bool = False
    verbosity: int = 0  # -1 quiet, 0 normal, 1 and up verbose
    colour: bool = False
    ci: bool = False

    def data(self, text: str = "") -> None:
        """Write TEXT, what the user asked for, to stdout."""
        self.out.write(text + "\n")
        self.out.flush()

    def raw(self, data: bytes, *, is_error: bool = False) -> None:
        """Pass on DATA, bytes that are not vcr's own, to stdout or stderr."""
        stream = self.err if is_error else self.out
        stream.flush()
        binary = getattr(stream, "buffer", None)  # a stream of text only, in tests, has none
        if binary is None:
            stream.write(data.decode("utf-8", "replace"))
        else:
            binary.write(data)
            binary.flush()

    def json(self, kind: str, content: Mapping[str, Any]) -> None:
        """Write one versioned JSON object to stdout."""
        self.data(json.dumps({"schema": JSON_SCHEMA, "kind": kind, **content}, sort_keys=True))

    def table(self, rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
        """Write ROWS to stdout in aligned columns."""
        for line in aligned(rows):
            self.data(indent + line)

    def lines(self, lines: Iterable[Sequence[tuple[str, Tint]]]) -> None:
        """Write LINES to stdout, each of pieces that are tinted where there are colours."""
        from rich.console import Console  # noqa: PLC0415 -- costs 100 ms, needed here only
        from rich.text import Text  # noqa: PLC0415

        console = Console(file=self.out, highlight=False)
        for pieces in lines:
            console.print(Text.assemble(*pieces), soft_wrap=True)

    def note(self, text: str) -> None:
        """Tell the user TEXT on stderr, unless quiet."""
        if self.verbosity >= 0:
            self._tell(text)

    def detail(self, text: str) -> None:
        """Tell the user TEXT on stderr when verbose."""
        if self.verbosity > 0:
            self._tell(self.paint(DIM, text))

    def warn(self, text: str) -> None:
        """Warn the user on stderr, always."""
        self._tell(f"{self.paint(YELLOW, 'warning:')} {text}")

    def error(self, error: VcrError) -> None:
        """Render ERROR: the last output of what failed, then what, why and fix."""
        for line in error.tail:
            self._tell(self.paint(DIM, f"  | {line}"))
        self._tell(f"{self.paint(RED + BOLD, 'error:')} {error.what}")
        for line in aligned(error.details):
            self._tell(f"  {line}")
        for label, text in (("why", error.why), ("fix", error.fix)):
            if text:
                self._tell(f"  {self.paint(BOLD, label + ':')} " + text.replace("\n", "\n       "))

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show one piece of long work named NAME while the block runs."""
        mode = Progress.QUIET if self.verbosity < 0 else self.progress
        renderer = choose_renderer(mode, self.err, ci=self.ci, verbose=self.verbosity > 0)
        with renderer.show(name) as step:
            yield step

    def paint(self, code: str, text: str) -> str:
        """Colour TEXT when colours are wanted."""
        return f"{code}{text}{RESET}" if self.colour else text

    def _tell(self, text: str) -> None:
        self.err.write(text + "\n")
        self.err.flush()


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad the columns of ROWS to equal width; the last one is left as it is."""
    if not rows:
        return []
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
