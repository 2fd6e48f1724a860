"""A terminal for a program under test: typed into, read from, resized."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self


class Terminal:
    """A program on a terminal of its own, and who sits at it."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], *, rows: int = 24, columns: int = 80
    ) -> None:
        self._seat, self._line = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self._line)
        self.seen = ""
        self.child = subprocess.Popen(
            argv,
            env={**env, "TERM": "xterm"},
            stdin=self._line,
            stdout=self._line,
            stderr=self._line,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.child.kill()
        self.child.wait()
        os.close(self._seat)
        os.close(self._line)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._seat, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._seat, text.encode())

    def expect(self, words: str, seconds: float = 60) -> str:
        """Read until WORDS are seen; return what was before them, and forget both."""
        deadline = time.monotonic() + seconds
        while words not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"no {words!r} in {self.seen!r}"
            if select.select([self._seat], [], [], left)[0]:
                self.seen += os.read(self._seat, 4096).decode("utf-8", "replace")
        before, _, self.seen = self.seen.partition(words)
        return before

    def wait(self, seconds: float = 60) -> int:
        """Return the program's exit code, after it has left the terminal as it was."""
        code = self.child.wait(seconds)
        assert termios.tcgetattr(self._line) == self.before
        return code

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self._line)[3] & termios.ICANON

    def interrupt(self) -> None:
        """Signal the program alone, as kill(1) does."""
        self.child.send_signal(signal.SIGINT)
