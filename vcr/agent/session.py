"""One task in a machine of a debug profile with the streams, or the terminal, of this process."""

import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from vcr.agent import debug
from vcr.agent.client import NoAnswerError
from vcr.agent.debug import PIECE, WINDOW, Answers, Piece, Request
from vcr.agent.terminal import kept, make_raw, size_of
from vcr.signals import handled

# What a command is told of as it comes to this process; told twice, this process ends.
PASSED_ON: dict[int, str] = {
    signal.SIGHUP: "HUP", signal.SIGINT: "INT", signal.SIGQUIT: "QUIT", signal.SIGTERM: "TERM",
}  # fmt: skip
HEEDED = (*PASSED_ON, signal.SIGWINCH, signal.SIGCONT)


@dataclass(frozen=True)
class Streams:
    """File descriptors that a task reads and writes."""

    stdin: int | None = 0
    stdout: int = 1
    stderr: int = 2


def carry_out(base: Path, request: Request, streams: Streams, when_busy: Callable[[], None]) -> int:
    """Have REQUEST run with STREAMS; return its exit code.

    BASE is what the machine's ports are named after. Raises NoAnswerError, and
    KeyboardInterrupt at the second of two signals; either ends the task.
    """
    terminal = streams.stdin if request.terminal else None
    with (
        debug.connected(base, when_busy) as connection,
        kept(terminal) if terminal is not None else nullcontext(),
        _signals(heed=bool(request.argv)) as signals,
    ):
        return _Session(connection, request, streams, signals).run()


class _Session:
    """The loop: whatever comes first, of the machine, of this process' input, of signals."""

    def __init__(
        self, connection: socket.socket, request: Request, streams: Streams, signals: int
    ) -> None:
        self._connection, self._request, self._streams = connection, request, streams
        self._signals = signals
        self._ident = debug.new_ident()
        self._answers = Answers(self._ident)
        self._ahead = 0  # bytes of input that were sent and not taken
        self._told: set[int] = set()
        self._code: int | None = None
        self._begun = self._moved = time.monotonic()
        self._selector = selectors.PollSelector()  # of the others, epoll takes no files

    def run(self) -> int:
        streams = self._streams
        size = (0, 0)
        if self._request.terminal and streams.stdin is not None:
            size = size_of(streams.stdin)
            make_raw(streams.stdin)
        self._send(self._request.to_line(self._ident, *size))
        with self._selector as selector:
            selector.register(self._connection, selectors.EVENT_READ, self._take_answers)
            selector.register(self._signals, selectors.EVENT_READ, self._take_signals)
            self._expect_input(streams.stdin)
            while self._code is None:
                for key, _ in selector.select(self._left()):
                    key.data()
        return self._code

    def _left(self) -> float | None:
        """Return the seconds that there are left, None for no end; raises NoAnswerError after."""
        now, request = time.monotonic(), self._request
        ends = [
            begun + limit - now
            for begun, limit in (
                (self._begun, request.seconds),
                (self._moved, request.stall_seconds),
            )
            if limit is not None
        ]
        if ends and min(ends) <= 0:
            raise NoAnswerError("it did not end in time")
        return min(ends, default=None)

    def _expect_input(self, fd: int | None) -> None:
        if fd is not None and self._request.has_input:
            self._selector.register(fd, selectors.EVENT_READ, self._take_input)

    def _take_input(self) -> None:
        stdin = self._streams.stdin
        assert stdin is not None  # noqa: S101 -- for mypy: it is what was registered
        try:
            data = os.read(stdin, PIECE)
        except OSError:  # a terminal that was hung up
            data = b""
        if data:
            self._send(debug.data_line(self._ident, data))
            self._ahead += len(data)
        else:
            self._send(debug.line(self._ident, "close"))
            self._ahead = -1  # there will be no more
        if not 0 <= self._ahead < WINDOW:
            self._selector.unregister(stdin)

    def _take_answers(self) -> None:
        for piece in self._answers.add(debug.receive(self._connection)):
            self._take_piece(piece)

    def _take_piece(self, piece: Piece) -> None:
        match piece.kind:
            case "out":
                _write(self._streams.stdout, piece.data)
            case "err":
                _write(self._streams.stderr, piece.data)
            case "exit":
                self._code = piece.code
            case "took" if self._ahead >= 0:
                if piece.code > self._ahead:
                    raise NoAnswerError("it acknowledged more than it was sent")
                self._moved = time.monotonic() if piece.code else self._moved
                was_waiting = self._ahead >= WINDOW
                self._ahead -= piece.code
                if was_waiting and self._ahead < WINDOW:
                    self._expect_input(self._streams.stdin)

    def _take_signals(self) -> None:
        stdin = self._streams.stdin
        for number in os.read(self._signals, 64):
            if number in PASSED_ON:
                if number in self._told:
                    raise KeyboardInterrupt
                self._told.add(number)
                name = PASSED_ON[number]
                self._send(debug.line(self._ident, "signal", signal=name))
            elif self._request.terminal and stdin is not None:
                if number == signal.SIGCONT:  # a shell has made it its own meanwhile
                    make_raw(stdin)
                rows, columns = size_of(stdin)
                self._send(debug.line(self._ident, "resize", rows=rows, columns=columns))

    def _send(self, text: bytes) -> None:
        debug.send(self._connection, text)


@contextmanager
def _signals(*, heed: bool) -> Iterator[int]:
    """Yield a file descriptor to read signals from that this process gets.

    There are none unless HEED, nor in another thread than the main one.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)  # as set_wakeup_fd wants it
    is_main = threading.current_thread() is threading.main_thread()
    try:
        with _noted(writer) if heed and is_main else nullcontext():
            yield reader
    finally:
        os.close(reader)
        os.close(writer)


@contextmanager
def _noted(writer: int) -> Iterator[None]:
    """Have the signals that come written to WRITER, and nothing else done about them."""
    before = signal.set_wakeup_fd(writer)
    try:
        with handled(HEEDED, lambda *_: None):
            yield
    finally:
        signal.set_wakeup_fd(before)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
