"""Signals that are handled otherwise for a while, such as passed on to a child."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from vcr.errors import HostError


@contextmanager
def handled(numbers: Iterable[int], handle: Callable[[int, object], None]) -> Iterator[None]:
    """Have HANDLE called for the signals NUMBERS, but for those that are ignored.

    Only in the main thread, which alone gets signals; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.getsignal(number) for number in numbers}
    old = {number: known for number, known in old.items() if known is not signal.SIG_IGN}
    try:
        for number in old:
            signal.signal(number, handle)
        yield
    finally:
        for number, known in old.items():
            signal.signal(number, known)


def notice_ends_of_children() -> None:
    """Undo what whoever started this process may have set: that ends of children are not kept.

    Then wait(2) finds no child, and Python takes 0 for its exit code: each program that fails
    would have succeeded. Only in the main thread.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def check_ends_are_noticed() -> None:
    """Raise HostError where ends of children are not kept.

    vcr's own command line undoes that; a program that uses vcr.app has to do it itself.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        raise HostError(
            "this process ignores how its children end (SIGCHLD)",
            why="a program that fails would seem to have succeeded",
            fix="signal.signal(signal.SIGCHLD, signal.SIG_DFL) before vcr is used",
        )


@contextmanager
def passed_on(send: Callable[[int], None]) -> Iterator[None]:
    """SEND a child the signals to end that this process gets; at the second of a kind interrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told: set[int] = set()
    keys = (signal.SIGINT, signal.SIGQUIT)

    def pass_on(number: int, _frame: object) -> None:
        if number in told:
            raise KeyboardInterrupt
        told.add(number)
        if number not in keys or not _is_in_foreground():  # the terminal tells all who are
            send(number)

    with handled((*keys, signal.SIGTERM, signal.SIGHUP), pass_on):
        yield


@contextmanager
def held() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block is over; then raise KeyboardInterrupt.

    Only in the main thread, which alone gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    old = {number: signal.signal(number, lambda n, _: caught.append(n)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    if caught:
        raise KeyboardInterrupt


def _is_in_foreground() -> bool:
    try:
        fd = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    finally:
        os.close(fd)
