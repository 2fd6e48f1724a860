"""Progress for other programs: one JSON object an event."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import IO

from vcr.escape import visible
from vcr.formats.hashes.progress import Hashed
from vcr.progress.step import End, Step


@dataclass(frozen=True)
class JsonLines:
    """One JSON object an event."""

    err: IO[str]
    _lock: RLock = field(default_factory=RLock)

    def began(self, step: Step) -> None:
        """Write that a step or a part began."""
        self._event(step, "start")

    def printed(self, step: Step, text: str) -> None:
        """Write the line of output."""
        self._event(step, "output", line=text)

    def moved(self, step: Step, hashed: Hashed) -> None:
        """Write how far it is, in bytes."""
        self._event(step, "hashing", what=hashed.what, done=hashed.done, whole=hashed.whole)

    def ended(self, step: Step) -> None:
        """Write how it ended; of a failure, the last lines that it printed."""
        if step.end is End.FAILED:
            self._event(step, "failed", lines=list(step.lines))
        else:
            seconds = round(step.seconds, 3)
            self._event(step, str(step.end), outcome=step.outcome, seconds=seconds)

    def aside(self, write: Callable[[], None]) -> None:
        """Let something else be written between two events."""
        with self._lock:
            write()

    def _event(self, step: Step, event: str, **content: object) -> None:
        whole = {"step": step.name} if step.whole is None else {"part": step.name}
        if step.whole is not None:
            whole["step"] = step.whole.name
        with self._lock:
            self.err.write(visible(as_json({"schema": 1, "event": event, **whole, **content})))
            self.err.write("\n")
            self.err.flush()


def as_json(content: Mapping[str, object]) -> str:
    """Return CONTENT as JSON of printable ASCII, in one line."""
    return json.dumps(content, sort_keys=True).replace("\x7f", "\\u007f")
