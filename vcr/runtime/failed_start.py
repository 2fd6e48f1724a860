"""What a start that failed before the app ran leaves for `vcr logs` to tell.

It is a file beside the machine's logs, and goes with them when the machine is started.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vcr.atomic import write_text
from vcr.errors import VcrError

NAME = "failed-start.log"  # vcr.runtime.machine removes all *.log there when it starts one
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class FailedStart:
    """What an error said."""

    what: str
    why: str = ""
    fix: str = ""
    tail: tuple[str, ...] = ()

    @classmethod
    def last(cls, directory: Path) -> "FailedStart | None":
        """Return what the last start in the machine's DIRECTORY left, None if the app ran."""
        with suppress(OSError, ValueError, TypeError):
            path = directory / NAME
            if path.stat().st_size <= MAX_BYTES:
                data = json.loads(path.read_bytes())
                return cls(**{**data, "tail": tuple(data["tail"])})
        return None


@contextmanager
def kept_failure(directory: Path) -> Iterator[None]:
    """Keep an error that is raised in here in the machine's DIRECTORY."""
    try:
        yield
    except VcrError as error:
        kept = FailedStart(error.what, error.why, error.fix, error.tail)
        with suppress(OSError, VcrError):  # the error itself is what matters
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_text(directory / NAME, json.dumps(asdict(kept)) + "\n", mode=0o600)
        raise
