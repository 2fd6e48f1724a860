"""The terminal of this process: its size, and letting everything typed through as it comes.

termios(3), tty_ioctl(4)
"""

import os
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

UNKNOWN_SIZE = (24, 80)


def size_of(fd: int) -> tuple[int, int]:
    """Return the rows and columns of the terminal FD."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return UNKNOWN_SIZE
    return rows, columns


def make_raw(fd: int) -> None:
    """Let through what is typed at the terminal FD as it comes: cfmakeraw(3)."""
    with suppress(termios.error):  # it is none, or is gone
        tty.setraw(fd, termios.TCSADRAIN)


@contextmanager
def kept(fd: int) -> Iterator[None]:
    """Leave the terminal FD, after the block, as it was before, however that ends."""
    try:
        before = termios.tcgetattr(fd)
    except termios.error:
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSADRAIN, before)
