"""Tasks for the agent of a machine of a debug profile: the other end of guest/agent/debug.go.

The machine has several ports for them, and each takes one client at a time; who uses one
holds a lock for as long. When all are taken, the next client waits.
"""

import base64
import json
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.agent.client import NoAnswerError, number
from vcr.flock import flocked
from vcr.sandbox.hardware import debug_sockets

WINDOW = 256 << 10  # bytes of input that are sent before the agent has taken them
PIECE = 24 << 10  # bytes of input in a line
MAX_LINE = 64 << 10  # bytes of an answer's; the longest that is meant has 32 KiB
SEND_SECONDS = 60.0  # for the agent to take what it is sent, of which it has room for all
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Request:
    """What is asked for, in the app's container or in the machine itself.

    DO: "run" a command, "read" a file, "pack" what is at a path into a tar archive, "unpack"
    one there; by default, whichever of the first two it has words for.
    """

    argv: tuple[str, ...] = ()
    path: str = ""
    system: bool = False
    do: str = ""
    has_input: bool = False
    is_socket: bool = False  # stdin and stdout of the command are one socket, as inetd has it
    terminal: str = ""  # its type, as TERM has it, for a command that has one
    # How long to wait for the end, and for input to be accepted; None: as long as it takes.
    seconds: float | None = None
    stall_seconds: float | None = None

    def to_line(self, ident: str, rows: int = 0, columns: int = 0) -> bytes:
        """Return what the agent is sent; the terminal has ROWS and COLUMNS."""
        fields = {
            "argv": self.argv,
            "path": self.path,
            "system": self.system,
            "input": self.has_input,
            "socket": self.is_socket,
            "terminal": self.terminal,
            "rows": rows,
            "columns": columns,
        }
        # After an empty line: the client before this one may have ended within one.
        return b"\n" + line(ident, self.do or ("run" if self.argv else "read"), **fields)


@dataclass(frozen=True)
class Piece:
    """A piece of an answer: output of the task, or, at its end, the exit code."""

    kind: str  # out, err, took, exit
    data: bytes = b""
    code: int = 0  # of "took": bytes


def ask(path: Path, request: Request) -> Iterator[Piece]:
    """Send REQUEST to a port named after PATH and yield the answer as it comes.

    Whoever stops listening ends the task. Raises NoAnswerError.
    """
    ident = new_ident()
    with connected(path) as connection:
        send(connection, request.to_line(ident))
        for piece in _pieces(connection, ident):
            yield piece
            if piece.kind == "exit":
                return


def _pieces(connection: socket.socket, ident: str) -> Iterator[Piece]:
    answers = Answers(ident)
    while True:
        yield from answers.add(receive(connection))


def send(connection: socket.socket, text: bytes) -> None:
    """Send TEXT; raises NoAnswerError, also when it is not taken."""
    try:
        connection.settimeout(SEND_SECONDS)
        connection.sendall(text)
        connection.settimeout(None)
    except OSError as error:
        raise NoAnswerError(str(error)) from None


def receive(connection: socket.socket) -> bytes:
    """Return what has come; raises NoAnswerError when nothing will come any more."""
    try:
        data = connection.recv(1 << 16)
    except OSError as error:
        raise NoAnswerError(str(error)) from None
    if not data:
        raise NoAnswerError("the machine ended before the command did")
    return data


def line(ident: str, do: str, **fields: Any) -> bytes:
    """Return a line about the task IDENT for the agent."""
    return json.dumps({"id": ident, "do": do, **fields}).encode() + b"\n"


def data_line(ident: str, data: bytes) -> bytes:
    """Return the line that holds DATA, at most PIECE bytes of input."""
    return b"%s in %s\n" % (ident.encode(), base64.b64encode(data))


def new_ident() -> str:
    """Return a name that no other task has."""
    return secrets.token_hex(8)


@contextmanager
def connected(base: Path, when_busy: Callable[[], None] = lambda: None) -> Iterator[socket.socket]:
    """Yield a connection to a free port of those named after BASE; raises NoAnswerError.

    WHEN_BUSY is called once if none is free, before waiting for one.
    """
    with ExitStack() as held:
        try:
            path = _free_port(base, when_busy, held)
            connection = held.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(path))
        except OSError as error:
            raise NoAnswerError(str(error)) from None
        yield connection


def _free_port(base: Path, when_busy: Callable[[], None], held: ExitStack) -> Path:
    """Return the path of a port whose lock is among what is HELD now."""
    while (path := next((p for p in debug_sockets(base) if _lock(p, held)), None)) is None:
        when_busy()
        when_busy = lambda: None  # noqa: E731 -- once is enough
        time.sleep(POLL_SECONDS)
    return path


def _lock(port: Path, held: ExitStack) -> bool:
    """Take the lock of PORT if nobody has it, and add it to what is HELD."""
    return held.enter_context(flocked(port.with_name(f"{port.name}.lock")))


class Answers:
    """Takes an agent's answer to one task apart as it comes."""

    def __init__(self, ident: str) -> None:
        """Look for what is about the task IDENT."""
        self._ident = ident.encode()
        self._rest = b""

    def add(self, data: bytes) -> Iterator[Piece]:
        """Yield what DATA brings; raises NoAnswerError for what no agent says."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise NoAnswerError(f"a line of more than {MAX_LINE} bytes")
        for answer in lines:
            whose, _, rest = answer.partition(b" ")
            kind, _, text = rest.partition(b" ")
            if whose == self._ident:  # of others it is the end of what was not waited for
                yield _piece(kind.decode("utf-8", "replace"), text)


def _piece(kind: str, text: bytes) -> Piece:
    """Read what the agent says in TEXT; raises NoAnswerError."""
    if kind in {"exit", "took"}:
        most = 255 if kind == "exit" else WINDOW + PIECE  # as much as can be on its way
        return Piece(kind, code=number(text.decode("utf-8", "replace"), most))
    try:
        return Piece(kind, base64.b64decode(text, validate=True))
    except ValueError:
        raise NoAnswerError("the data that it sends is not in base64") from None
