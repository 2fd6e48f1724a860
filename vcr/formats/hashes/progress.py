"""How far the hashing of a large file is, for whoever wants to know: `shown_to`.

A builder prints it, as a line that vcr takes from its log; vcr itself shows it in a step.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

SECONDS = 0.5  # between two reports; what takes less is not reported at all
MARK = "vcr-hashing: "
MIB = 1 << 20
_LINE = re.compile(
    rf"{MARK}(?P<done>[0-9]{{1,18}}) (?P<whole>[0-9]{{1,18}}) (?P<what>[ -~]{{1,80}})"
)


@dataclass(frozen=True)
class Hashed:
    """How much of something is hashed."""

    what: str
    done: int  # bytes
    whole: int

    def __str__(self) -> str:
        percent = 100 * self.done // self.whole if self.whole else 100
        return f"hashing {self.what}: {percent} % of {self.whole / MIB:.1f} MiB"

    def to_line(self) -> str:
        """Return it as a builder prints it."""
        return f"{MARK}{self.done} {self.whole} {self.what}"


type Sink = Callable[[Hashed], None]
_sink: ContextVar[Sink | None] = ContextVar("hashing", default=None)


@contextmanager
def shown_to(sink: Sink) -> Iterator[None]:
    """Tell SINK how far it is, while the block runs, in this thread."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)


def printed(hashed: Hashed) -> None:
    """Print HASHED for vcr, which reads the log of this builder."""
    sys.stderr.write(f"{hashed.to_line()}\n")
    sys.stderr.flush()


def read_line(text: str) -> Hashed | None:
    """Return what a builder says in the line TEXT, None for another line."""
    found = _LINE.fullmatch(text)
    if found is None or int(found["done"]) > int(found["whole"]):
        return None
    return Hashed(found["what"], int(found["done"]), int(found["whole"]))


class Counter:
    """Counts the bytes of WHAT that are hashed, of WHOLE."""

    def __init__(self, what: str, whole: int) -> None:
        """Begin with none."""
        self._what, self._whole, self._done = what, whole, 0
        self._sink = _sink.get()
        self._told = time.monotonic()

    def add(self, size: int) -> None:
        """Take that SIZE bytes more are hashed."""
        self._done = min(self._done + size, self._whole)
        if self._sink is None or time.monotonic() - self._told < SECONDS:
            return
        self._told = time.monotonic()
        self._sink(Hashed(self._what, self._done, self._whole))
