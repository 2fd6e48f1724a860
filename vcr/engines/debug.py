"""Commands and files of a machine of a debug profile: the other end of guest/agent/debug.go."""

import base64
import json
import secrets
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from vcr.engines.agent import NoAnswerError


@dataclass(frozen=True)
class Request:
    """A command to run or a file to read, in the app's container or in the machine itself."""

    argv: tuple[str, ...] = ()
    path: str = ""
    system: bool = False


@dataclass(frozen=True)
class Piece:
    """A piece of an answer: output of the command, or, at its end, the exit code."""

    kind: str  # out, err, exit
    data: bytes = b""
    code: int = 0


def ask(path: Path, request: Request) -> Iterator[Piece]:
    """Send REQUEST to the socket at PATH and yield the answer as it comes.

    Whoever stops listening ends the command. Raises NoAnswerError.
    """
    ident = secrets.token_hex(8)
    line = json.dumps({"id": ident, **asdict(request)}) + "\n"
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(line.encode())
            with connection.makefile("r", encoding="ascii", errors="replace") as answers:
                yield from _pieces(answers, ident)
    except OSError as error:
        raise NoAnswerError(str(error)) from None


def _pieces(answers: Iterator[str], ident: str) -> Iterator[Piece]:
    for answer in answers:
        whose, _, rest = answer.strip().partition(" ")
        kind, _, text = rest.partition(" ")
        if whose != ident:  # the end of what was asked before, by somebody who did not wait
            continue
        if kind == "exit":
            yield Piece(kind, code=int(text))
            return
        yield Piece(kind, base64.b64decode(text))
    raise NoAnswerError("the machine ended before the command did")
