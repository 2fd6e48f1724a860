"""The terminal of a shell in a build machine: the one of this process, at the machine's port.

Frames go to the machine and what the terminal shows comes back: guest/step/shell.go has the
other end. Until the first of that comes, Ctrl-C ends vcr; after it, all that is typed goes
to the shell, Ctrl-C, too.
"""

import os
import selectors
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vcr.agent.terminal import kept, make_raw, size_of
from vcr.signals import handled

PORT = "vcr.terminal"
TYPED, RESIZED = b"d", b"r"
PIECE = 4096  # bytes
RESIZE, STOP = b"r", b"s"


@dataclass(frozen=True)
class Seat:
    """The terminal of the user of a shell: file descriptors to read and to write."""

    kind: str  # as TERM has it
    stdin: int = 0
    output: int = 2  # stdout is for data

    @property
    def is_terminal(self) -> bool:
        """Return whether there is anybody to sit at it."""
        return os.isatty(self.stdin) and os.isatty(self.output)


@contextmanager
def attached(seat: Seat, path: Path) -> Iterator[None]:
    """Listen at PATH for a machine that the block starts, and join SEAT with it until it ends."""
    with _pipe() as (reader, waker), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def resize(_number: int, _frame: object) -> None:
            os.write(waker, RESIZE)

        resized = handled((signal.SIGWINCH, signal.SIGCONT), resize)
        session = _Session(seat, listener, reader)
        with kept(seat.stdin), resized, _running(session.run, lambda: os.write(waker, STOP)):
            yield


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(writer)
        os.close(reader)


@contextmanager
def _running(work: Callable[[], None], stop: Callable[[], object]) -> Iterator[None]:
    """Do WORK in a thread while the block runs, until it ends by itself or heeds STOP."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join()


@dataclass
class _Session:
    """The loop of a thread: what is typed, what is shown, what the size is."""

    seat: Seat
    listener: socket.socket
    wakes: int
    machine: socket.socket | None = None
    is_open: bool = False  # the shell has shown something
    _selector: selectors.BaseSelector = field(default_factory=selectors.PollSelector)

    def run(self) -> None:
        """Return when the machine has ended, or has not begun when it is told to stop."""
        with self._selector as selector:
            selector.register(self.listener, selectors.EVENT_READ, self._accept)
            selector.register(self.wakes, selectors.EVENT_READ, self._heed)
            is_over = False
            while not is_over:
                for key, _ in selector.select():
                    is_over |= key.data()
        if self.machine is not None:
            self.machine.close()

    def _accept(self) -> bool:
        self.machine, _ = self.listener.accept()
        self._selector.unregister(self.listener)
        self._selector.register(self.machine, selectors.EVENT_READ, self._show)
        self._send_size()
        return False

    def _heed(self) -> bool:
        for why in os.read(self.wakes, 64):
            if bytes([why]) == STOP:
                return self.machine is None  # else what it still shows comes before its end
            if self.is_open:  # stopped and continued: another program had the terminal
                make_raw(self.seat.stdin)
            self._send_size()
        return False

    def _show(self) -> bool:
        assert self.machine is not None  # noqa: S101 -- for mypy: it is what was registered
        try:
            data = self.machine.recv(PIECE)
        except ConnectionError:
            data = b""
        if data and not self.is_open:
            self.is_open = True
            make_raw(self.seat.stdin)
            self._selector.register(self.seat.stdin, selectors.EVENT_READ, self._type)
        left = data
        while left:
            left = left[os.write(self.seat.output, left) :]
        return not data

    def _type(self) -> bool:
        try:
            data = os.read(self.seat.stdin, PIECE)
        except OSError:  # hung up
            data = b""
        if not data:
            self._selector.unregister(self.seat.stdin)
            return True  # nobody sits there: the machine ends when its port is closed
        self._send(TYPED, data)
        return False

    def _send_size(self) -> None:
        self._send(RESIZED, struct.pack(">HH", *size_of(self.seat.stdin)))

    def _send(self, kind: bytes, data: bytes) -> None:
        if self.machine is None:
            return
        try:
            self.machine.sendall(kind + struct.pack(">H", len(data)) + data)
        except ConnectionError:  # it is ending, which is read next
            return
