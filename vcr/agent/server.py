"""Answers about a container of this host what guest/agent answers about a machine."""

import base64
import re
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.agent.deadline import last_output
from vcr.foreign import read_line

TAIL_BYTES = 1024
MAX_REQUEST = 4096  # bytes
UNKNOWN = "error unknown request"
_SECONDS = re.compile(r"[0-9]{1,9}")


def listen_unix(path: Path) -> socket.socket:
    """Return a socket that listens at PATH; raises OSError."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def parse_order(line: str) -> tuple[str, int]:
    """Return what LINE asks for, and its seconds, 0 if it has none; ("", 0) for no request.

    guest/agent/main.go has the same; tests/vectors/agent.json tries both.
    """
    match line.split():
        case [("ping" | "state" | "facts") as do]:
            return do, 0
        case [("health" | "stop") as do, seconds] if _SECONDS.fullmatch(seconds):
            return do, int(seconds)
    return "", 0


@dataclass(frozen=True)
class Answers:
    """The protocol of guest/agent/main.go, as far as it makes sense here."""

    exec_argv: Sequence[process.Arg]  # what a command in the container comes after
    health: Sequence[str]  # that command
    stop: Callable[[float], None]  # with seconds of grace
    state: Callable[[], str] = lambda: "running"
    facts: Callable[[], str] = lambda: ""  # about the app, on one line; "": there are none

    def serve(self, listener: socket.socket) -> None:
        """Answer on LISTENER in threads that end with the process."""
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, asked: socket.socket) -> None:
        while True:
            connection, _ = asked.accept()
            threading.Thread(target=self._answer_one, args=(connection,), daemon=True).start()

    def _answer_one(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection, connection.makefile("rwb") as lines:
            while line := read_line(lines, MAX_REQUEST):
                lines.write(f"{self._answer(line.decode('utf-8', 'replace'))}\n".encode())
                lines.flush()

    def _answer(self, line: str) -> str:
        match parse_order(line):
            case "ping", _:
                return "pong"
            case "state", _:
                return self.state()
            case "facts", _ if line := self.facts():
                return f"facts {line}"
            case "health", seconds:
                code, output = self._health(seconds)
                return f"health {code} {base64.b64encode(output).decode()}"
            case "stop", seconds:
                threading.Thread(target=self.stop, args=(float(seconds),), daemon=True).start()
                return "stopping"
        return UNKNOWN

    def _health(self, limit: float) -> tuple[int, bytes]:
        if not self.health:
            return 127, b"there is no health command\n"
        return last_output([*self.exec_argv, *self.health], max(limit, 1.0), TAIL_BYTES)
