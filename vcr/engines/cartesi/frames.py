"""What is said to a Cartesi machine, and how: one message at a time, in order.

The machine's end is guest/agent/cmio.go, the emulator's is driver.lua; tests/vectors/agent.json
has messages for both ends. Every message is kept in a log, so that a session can be replayed to
the same final hash.
"""

import struct
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from vcr.command_log import noted
from vcr.errors import VcrError

RESUME, MORE, REQUEST, AGENT = 0, 1, 2, 3
PIECE = 1 << 20  # bytes of a request in one message; the machine's buffer has 2 MiB
MAX_FRAME = (2 << 20) + 1  # bytes that the driver may say at once: that buffer, and a kind


class Session:
    """A machine that continues from where it was stored."""

    def __init__(self, driver: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
        """Talk to the DRIVER process; write what it is told to LOG."""
        self._driver, self._log = driver, log
        self._turn = threading.Lock()

    def resume(self, now: int, entropy: bytes) -> None:
        """Give the machine the time, in seconds since 1970, and ENTROPY."""
        with self._turn:
            list(self.tell(resume_frame(now, entropy)))

    def ask(self, line: str) -> str:
        """Ask the agent and return its answer."""
        with self._turn:
            said = b"".join(self.tell(agent_frame(line)))
            return said.decode("utf-8", "replace").strip()

    def request(self, port: int, data: bytes) -> Iterator[bytes]:
        """Yield the answer of the app at PORT to DATA, in pieces; others wait meanwhile."""
        with self._turn:
            for message in messages(port, data):
                yield from self.tell(message)

    def close(self) -> str:
        """End the session and return the machine's final hash, sha256:HEX."""
        with self._turn:
            assert self._driver.stdin is not None  # noqa: S101 -- for mypy
            self._driver.stdin.close()
            kind, data = self._read()
            self._driver.wait()
        if kind != b"F":
            raise VcrError("the Cartesi machine did not report its hash")
        return f"sha256:{data.hex()}"

    def _write(self, framed: bytes) -> None:
        """Hand FRAMED to the driver; that it has ended is told by what is read from it."""
        assert self._driver.stdin is not None  # noqa: S101 -- for mypy
        try:
            self._driver.stdin.write(framed)
            self._driver.stdin.flush()
        except (BrokenPipeError, ValueError):  # ValueError: closed below, before
            with suppress(BrokenPipeError):
                self._driver.stdin.close()

    def tell(self, message: bytes) -> Iterator[bytes]:
        """Yield what the machine reports to one MESSAGE, until it is done with it."""
        framed = struct.pack(">I", len(message)) + message
        self._log.write(framed)
        self._log.flush()
        self._write(framed)
        while True:
            kind, data = self._read()
            if kind == b"E":
                return
            if kind != b"R":
                raise VcrError("the Cartesi machine stopped", why=data.decode("utf-8", "replace"))
            yield data

    def _read(self) -> tuple[bytes, bytes]:
        assert self._driver.stdout is not None  # noqa: S101 -- for mypy
        head = self._driver.stdout.read(4)
        if len(head) < 4:
            raise VcrError("the Cartesi emulator ended")
        (size,) = struct.unpack(">I", head)
        if not 0 < size <= MAX_FRAME:
            raise VcrError("the Cartesi emulator sends an invalid answer", why=f"{size} bytes")
        frame = self._driver.stdout.read(size)
        if len(frame) < size:
            raise VcrError("the Cartesi emulator ended")
        return frame[:1], frame[1:]


def resume_frame(now: int, entropy: bytes) -> bytes:
    """Return the message with the time NOW, in seconds since 1970, and ENTROPY."""
    return struct.pack(">BQ", RESUME, now) + entropy


def agent_frame(line: str) -> bytes:
    """Return the message that asks the agent LINE."""
    return bytes([AGENT]) + line.encode()


def messages(port: int, data: bytes) -> Iterator[bytes]:
    """Cut a request for PORT into messages."""
    last = max(0, (len(data) - 1) // PIECE * PIECE)
    for at in range(0, last, PIECE):
        yield struct.pack(">BH", MORE, port) + data[at : at + PIECE]
    yield struct.pack(">BH", REQUEST, port) + data[last:]


def logged(path: Path) -> Iterator[bytes]:
    """Yield the messages of the log at PATH; raises VcrError when it is cut off."""
    with path.open("rb") as file:
        while head := file.read(4):
            size = struct.unpack(">I", head)[0] if len(head) == 4 else MAX_FRAME
            message = file.read(size) if size < MAX_FRAME else b""
            if size >= MAX_FRAME or len(message) < size:
                raise VcrError(f"{path} is cut off", why="it ends inside a message")
            yield message


def replay(argv: Sequence[str], env: dict[str, str], log: Path, copy: IO[bytes]) -> str:
    """Tell a fresh driver, started by ARGV, all that LOG has; return the final hash.

    COPY takes the log of this session, which is the same.
    """
    pipe = subprocess.PIPE
    with (
        noted(argv) as note,
        subprocess.Popen(argv, env=env, stdin=pipe, stdout=pipe) as driver,
    ):
        session = Session(driver, copy)
        for message in logged(log):
            list(session.tell(message))
        final = session.close()
        note.code = driver.wait()
    return final
