"""What is said of a request while it is under way: how many bytes of the answer came.

One line a request when it has ended; while it takes long, one line now and then.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vcr.ui import human_size

FIRST, AGAIN = 0.5, 2.0  # seconds until a request is shown that has not ended, and again


@contextmanager
def shown(title: str, show: Callable[[str], None]) -> Iterator[Callable[[int], None]]:
    """Let SHOW have lines about the request TITLE while the block runs.

    Yields what takes the number of bytes that have come so far.
    """
    came, ended = [0], threading.Event()

    def tell() -> None:
        wait = FIRST
        while not ended.wait(wait):
            show(f"{title}: {human_size(came[0])} so far" if came[0] else f"{title}: waiting")
            wait = AGAIN

    def count(number: int) -> None:
        came[0] = number

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield count
    finally:
        ended.set()
        thread.join()
