"""Talks to the agent in the guest (guest/agent) and to QEMU's monitor, over sockets."""

import base64
import io
import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vcr.agent.deadline import Timed
from vcr.diagnosis.facts import Facts, read_facts
from vcr.foreign import read_line

MAX_ANSWER = 64 << 10  # bytes of a line; the longest that is meant holds 1 KiB in base64
MAX_OUTPUT = 4 << 10  # bytes of a health command's, that are kept


class NoAnswerError(Exception):
    """The other side does not exist, or not yet."""


@dataclass(frozen=True)
class Agent:
    """The agent's socket."""

    path: Path

    def ask(self, request: str, timeout: float) -> str:
        """Send one line, return the answer's; raises NoAnswerError after TIMEOUT seconds."""
        return _exchange(self.path, [request], timeout)

    def is_up(self) -> bool:
        """Return whether the guest has started its agent."""
        try:
            return self.ask("ping", 2.0) == "pong"
        except NoAnswerError:
            return False

    def facts(self, timeout: float) -> Facts:
        """Return what can be seen of the app; raises NoAnswerError after TIMEOUT seconds."""
        word, _, line = self.ask("facts", timeout).partition(" ")
        try:
            if word == "facts":
                return read_facts(line)
        except ValueError as error:
            raise NoAnswerError(str(error)) from None
        raise NoAnswerError("it does not answer the request for what it sees")

    def health(self, timeout: float) -> tuple[int, str]:
        """Run the health command in the app's container; return exit code and output."""
        # The guest ends the command; some time more for an answer to come through.
        words = self.ask(f"health {max(1, round(timeout))}", timeout + 10.0).split()
        if len(words) < 2 or words[0] != "health":
            raise NoAnswerError("it does not answer the request for its health")
        output = ""
        with suppress(ValueError):
            data = base64.b64decode("".join(words[2:]))[-MAX_OUTPUT:]
            output = data.decode("utf-8", "replace")
        return exit_code(words[1]), output


def exit_code(text: str) -> int:
    """Read an exit code, 0 to 255; raises NoAnswerError for anything else."""
    return number(text, 255)


def number(text: str, most: int) -> int:
    """Read a decimal number of at most MOST; raises NoAnswerError for anything else."""
    found = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not 0 <= found <= most:
        raise NoAnswerError(f"{text[:20]!r} is not a number from 0 to {most}")
    return found


def quit_qemu(monitor: Path) -> None:
    """Ask QEMU to end at once: https://www.qemu.org/docs/master/interop/qmp-spec.html."""
    commands = [json.dumps({"execute": name}) for name in ("qmp_capabilities", "quit")]
    with suppress(NoAnswerError):
        _exchange(monitor, commands, 2.0)


def _exchange(path: Path, lines: list[str], timeout: float) -> str:
    """Send LINES and return the first line that comes back, whole within TIMEOUT seconds."""
    begin = time.monotonic()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall("".join(f"{line}\n" for line in lines).encode())
            left = timeout - (time.monotonic() - begin)
            answer = read_line(io.BufferedReader(Timed(connection, left)), MAX_ANSWER)
    except (OSError, ValueError) as error:
        raise NoAnswerError(str(error)) from None
    if not answer.endswith(b"\n"):
        raise NoAnswerError("the connection was closed")
    return answer.decode("utf-8", "replace").strip()
