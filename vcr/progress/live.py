"""Progress on a terminal: what runs is drawn over and over, what is over stays as one line.

Below the lines that stay are those of what runs: each part with the last lines that it printed,
then the step they belong to. Nothing of the terminal is changed that had to be put back: an
interrupt, or the end of this process, leaves the cursor at the beginning of an empty line.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from threading import Event, RLock, Thread
from typing import IO

from vcr.escape import visible
from vcr.formats.hashes.progress import Hashed
from vcr.progress.plain import gap, lines_of
from vcr.progress.step import LATEST_CHARACTERS, Step
from vcr.progress.width import fitted, width_of

SECONDS = 0.1  # between two drawings: as often as a tenth of a second changes
SHOWN_LINES = 5  # of what a part printed, at most
UNKNOWN_SIZE = (80, 24)  # of what is not a terminal
# ECMA-48: cursor up; erase to the end of the line, of the screen.
UP, END_LINE, END_SCREEN = "\x1b[{}A", "\x1b[K", "\x1b[J"


@dataclass
class Live:
    """Draws what runs, at most every SECONDS."""

    err: IO[str]
    verbose: bool = False
    dim: Callable[[str], str] = str
    _lock: RLock = field(default_factory=RLock)
    _running: list[Step] = field(default_factory=list)  # not the parts
    _drawn: int = 0  # lines that are drawn, above the cursor
    _stay: list[str] = field(default_factory=list)  # lines to write above them
    _over: Event = field(default_factory=Event)

    def began(self, step: Step) -> None:
        """Draw it soon; what is over at once is never drawn."""
        if step.whole is not None:
            return
        with self._lock:
            self._running.append(step)
            if len(self._running) == 1:
                self._over = Event()
                Thread(target=self._draw_again, args=(self._over,), daemon=True).start()

    def printed(self, step: Step, text: str) -> None:
        """Leave it to the next drawing."""

    def moved(self, step: Step, hashed: Hashed) -> None:
        """Leave it to the next drawing."""

    def ended(self, step: Step) -> None:
        """Write the line that stays; of a failure, what it printed."""
        with self._lock:
            self._stay += lines_of(step, _line(step, self._columns), verbose=self.verbose)
            if step in self._running:
                self._running.remove(step)
                if not self._running:
                    self._over.set()
                self._draw()

    def aside(self, write: Callable[[], None]) -> None:
        """Call WRITE where the drawing was, and draw below what it wrote."""
        with self._lock:
            self._erase()
            write()
            self._draw()

    def _draw_again(self, over: Event) -> None:
        with suppress(OSError, ValueError):  # the terminal is gone
            while not over.wait(SECONDS):
                self._draw_unless(over)

    def _draw_unless(self, over: Event) -> None:
        with self._lock:
            if not over.is_set():
                self._draw()

    def _draw(self) -> None:
        columns, rows = self._size
        drawing = list(islice(self._drawing(columns, rows), max(rows - 2, 1)))
        text = UP.format(self._drawn) if self._drawn else ""
        for line in (*map(visible, self._stay), *drawing):
            text += f"{line}{END_LINE}\n"
        self._write(text + (END_SCREEN if self._drawn else ""))
        self._drawn, self._stay = len(drawing), []

    def _erase(self) -> None:
        self._running, running = [], self._running
        self._draw()
        self._running = running

    def _drawing(self, columns: int, rows: int) -> Iterator[str]:
        """Yield the lines about what runs, none wider than COLUMNS, for so many ROWS."""
        parts = [part for step in self._running for part in step.parts]
        left = max(rows - 2 - len(parts) - len(self._running), 0)
        shown = min(SHOWN_LINES, left // max(len(parts), 1))
        for step in tuple(self._running):
            for part in tuple(step.parts):
                yield _line(part, columns)
                lines = (*part.lines, part.doing) if part.doing else tuple(part.lines)
                for line in lines[-shown:] if shown else ():
                    beginning = visible(line[:LATEST_CHARACTERS])
                    yield self.dim(fitted(f"  | {beginning}", columns))
            text = f"{step.label} {step.ending}  {step.doing or step.latest}".rstrip()
            yield fitted(visible(text), columns)

    @property
    def _size(self) -> tuple[int, int]:
        try:
            columns, rows = os.get_terminal_size(self.err.fileno())
        except (OSError, ValueError):
            columns, rows = UNKNOWN_SIZE
        # A terminal that nobody told its size says 0. The last column stays free: in it, some
        # terminals go on to the next line.
        return (columns or UNKNOWN_SIZE[0]) - 1, rows or UNKNOWN_SIZE[1]

    @property
    def _columns(self) -> int:
        return self._size[0]

    def _write(self, text: str) -> None:
        if text:
            self.err.write(text)
            self.err.flush()


def _line(step: Step, columns: int) -> str:
    """Return the line about STEP: its name may be cut, its ending is not."""
    ending = visible(gap(step))
    if step.whole is None:
        return fitted(f"{visible(step.label)} {ending}", columns)
    label = fitted(visible(step.label), max(columns - width_of(ending) - 1, 1))
    return fitted(f"{label} {ending}", columns)
