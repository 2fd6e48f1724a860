"""Talks to the agent in the guest (guest/agent) and to QEMU's monitor, over sockets."""

import base64
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class NoAnswerError(Exception):
    """The other side is not there, or not yet."""


@dataclass(frozen=True)
class Agent:
    """The agent's socket."""

    path: Path

    def ask(self, request: str, timeout: float) -> str:
        """Send one line, return the answer's; raises NoAnswerError after TIMEOUT seconds."""
        return _exchange(self.path, [request], timeout)

    def is_up(self) -> bool:
        """Tell whether the guest has come as far as its agent."""
        try:
            return self.ask("ping", 2.0) == "pong"
        except NoAnswerError:
            return False

    def health(self, timeout: float) -> tuple[int, str]:
        """Run the health command in the app's container; return exit code and output."""
        # The guest ends the command; some time more for an answer to come through.
        words = self.ask(f"health {max(1, round(timeout))}", timeout + 10.0).split()
        if len(words) < 2 or words[0] != "health":
            raise NoAnswerError(f"unexpected answer {words}")
        output = ""
        with suppress(ValueError):
            output = base64.b64decode("".join(words[2:])).decode("utf-8", "replace")
        return int(words[1]), output


def quit_qemu(monitor: Path) -> None:
    """Tell QEMU to end at once: https://www.qemu.org/docs/master/interop/qmp-spec.html."""
    commands = [json.dumps({"execute": name}) for name in ("qmp_capabilities", "quit")]
    with suppress(NoAnswerError):
        _exchange(monitor, commands, 2.0)


def _exchange(path: Path, lines: list[str], timeout: float) -> str:
    """Send LINES and return the first line that comes back."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall("".join(f"{line}\n" for line in lines).encode())
            with connection.makefile("r", encoding="utf-8", errors="replace") as answers:
                answer = answers.readline()
    except OSError as error:
        raise NoAnswerError(str(error)) from None
    if not answer.endswith("\n"):
        raise NoAnswerError("the connection was closed")
    return answer.strip()
