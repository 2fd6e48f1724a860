"""What one input may cost: time of the CPU, memory; and what counts as a finding."""

import gc
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

from fuzz.target import Target, is_allowed

CPU_SECONDS = 1.0
MEMORY = 256 << 20  # bytes
REPOSITORY = Path(__file__).resolve().parents[1]
TOOL = sys.monitoring.PROFILER_ID


class HangError(BaseException):
    """The input took too long; nothing that is to catch errors may catch it."""


@dataclass(frozen=True)
class Finding:
    """An input that did what none may."""

    kind: str  # crash, hang, memory
    what: str
    where: str  # the innermost line of this repository: findings of one line are one


class Limits:
    """Those of this process; there is no way back from them."""

    def __init__(self) -> None:
        """Take effect now."""
        self._is_short = False
        signal.signal(signal.SIGPROF, self._too_long)
        status = Path("/proc/self/status").read_text(encoding="ascii")
        (size,) = (int(row.split()[1]) for row in status.splitlines() if row.startswith("VmSize"))
        most = (size << 10) + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        # A reader that catches every error would hide that there was no more memory.
        sys.monitoring.use_tool_id(TOOL, "vcr-fuzz-memory")
        sys.monitoring.register_callback(TOOL, sys.monitoring.events.RAISE, self._raised)
        sys.monitoring.set_events(TOOL, sys.monitoring.events.RAISE)

    def attempt(self, target: Target, data: bytes, directory: Path) -> Finding | None:
        """Have TARGET read DATA."""
        self._is_short = False
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            with _timed():
                target.read(data, directory)
        except HangError as error:
            return Finding("hang", f"more than {CPU_SECONDS:g} s", where_of(error))
        except MemoryError as error:
            return Finding("memory", f"more than {MEMORY >> 20} MiB", where_of(error))
        except BaseException as error:
            if not is_allowed(target, error):
                return Finding("crash", f"{type(error).__name__}: {error}"[:300], where_of(error))
        if self._is_short:
            gc.collect()
            return Finding("memory", f"more than {MEMORY >> 20} MiB, and it was caught", "")
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        if grown > MEMORY:
            return Finding("memory", f"{grown >> 20} MiB", "")
        return None

    def _raised(self, _code: CodeType, _offset: int, error: BaseException) -> None:
        self._is_short = self._is_short or isinstance(error, MemoryError)

    def _too_long(self, _number: int, _frame: FrameType | None) -> None:
        raise HangError


@contextmanager
def _timed() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def where_of(error: BaseException) -> str:
    """Return the innermost line of vcr that ERROR came through."""
    found = ""
    for row in traceback.extract_tb(error.__traceback__, limit=-60):
        if row.filename.startswith(str(REPOSITORY / "vcr")):
            found = f"{Path(row.filename).relative_to(REPOSITORY)}:{row.lineno}"
    return found
