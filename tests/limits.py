"""How long a test may take: one that hangs is a failure, not the end of the whole run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

SECONDS = 600  # of a test, of its fixtures, and of their end, on a busy host; one takes a minute
AGAIN = 60  # seconds until what does not end after that, either, is interrupted once more


def seconds_of(item: pytest.Item) -> int:
    """Return the limit of a test: what its mark `limit` says, or what all have."""
    mark = item.get_closest_marker("limit")
    return int(mark.args[0]) if mark else SECONDS


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Fail the test if the block takes longer than SECONDS. For the main thread."""

    def over(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"it took longer than {seconds} s: see where it was")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
