"""Progress without a terminal: one contiguous block a step, and signs of life meanwhile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event, RLock, Thread
from typing import IO

from vcr.escape import visible
from vcr.formats.hashes.progress import Hashed
from vcr.progress.step import End, Step

HEARTBEAT_SECONDS = 30.0


@dataclass
class Quiet:
    """Shows nothing but a failed step's output."""

    err: IO[str]
    _lock: RLock = field(default_factory=RLock)

    def began(self, step: Step) -> None:
        """Stay silent."""

    def printed(self, step: Step, text: str) -> None:
        """Stay silent."""

    def moved(self, step: Step, hashed: Hashed) -> None:
        """Stay silent, until the next sign of life."""

    def ended(self, step: Step) -> None:
        """Write what a step printed if it failed."""
        if step.end is End.FAILED:
            with self._lock:
                self._write(*_block(step))

    def aside(self, write: Callable[[], None]) -> None:
        """Let something else be written between two blocks."""
        with self._lock:
            write()

    def _write(self, *lines: str) -> None:
        self.err.write("".join(f"{visible(line)}\n" for line in lines))
        self.err.flush()


@dataclass
class Plain(Quiet):
    """A block for each step and part, when it ends, and a line every HEARTBEAT seconds."""

    verbose: bool = False
    heartbeat: float = HEARTBEAT_SECONDS
    _running: list[Step] = field(default_factory=list)
    _over: Event = field(default_factory=Event)

    def began(self, step: Step) -> None:
        """Show signs of life from now on."""
        with self._lock:
            self._running.append(step)
            if len(self._running) == 1:
                self._over = Event()
                Thread(target=self._beat, args=(self._over,), daemon=True).start()

    def ended(self, step: Step) -> None:
        """Write the block."""
        with self._lock:
            if step in self._running:
                self._running.remove(step)
            if not self._running:
                self._over.set()
            self._write(*lines_of(step, f"{step.label} {gap(step)}", verbose=self.verbose))

    def _beat(self, over: Event) -> None:
        while not over.wait(self.heartbeat):
            with self._lock:
                beating = [step for step in self._running if not step.parts]
                if not over.is_set():
                    self._write(*(_sign_of_life(step) for step in beating))


def lines_of(step: Step, about: str, *, verbose: bool) -> Iterator[str]:
    """Yield the lines that stay when STEP is over: ABOUT it, and what it printed.

    The last lines of a failure are those of the error, which comes next.
    """
    if step.end is not End.DONE:
        if step.whole is not None and not (step.is_passing and step.end is End.STOPPED):
            yield about
        if step.end is End.FAILED:
            yield from _block(step)
        return
    if verbose:
        yield from _block(step)
    if verbose or not step.is_passing:
        yield about


def _block(step: Step) -> Iterator[str]:
    return (f"  | {line}" for line in step.lines)


def gap(step: Step) -> str:
    """Return the ending of STEP, as far from its label as it has to be."""
    return step.ending if step.whole is None else f" {step.ending}"


def _sign_of_life(step: Step) -> str:
    comma = " " if step.whole is None else "  "
    latest = step.doing or step.latest
    return f"{step.label}{comma}still running, {step.seconds:.0f} s  {latest}".rstrip()
