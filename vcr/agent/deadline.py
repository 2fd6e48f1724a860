"""Questions to what runs, which may be hostile: each has a deadline, and its answer an end.

A deadline is for all of an answer, not for its next byte.
"""

import io
import os
import re
import select
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from vcr import process
from vcr.foreign import read_line

MAX_HEAD = 64 << 10  # bytes of an HTTP answer until its status is there
KILLED = 137  # as a shell says of SIGKILL
POLL_SECONDS = 0.02
PIECE = 1 << 16
_STATUS = re.compile(rb"HTTP/1\.[0-9] +([0-9]{3})[ \r\n]")


class Timed(io.RawIOBase):
    """What comes by a CONNECTION until SECONDS from now; later, reading raises TimeoutError."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        """Do not take CONNECTION over."""
        self._connection, self._deadline = connection, time.monotonic() + seconds

    def readable(self) -> bool:
        """Say that it is."""
        return True

    def readinto(self, into: Any) -> int:
        """Wait for bytes."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no complete answer came in time")
        self._connection.settimeout(left)
        return self._connection.recv_into(into)


def http_status(address: str, port: int, path: str, seconds: float) -> int:
    """Ask for PATH with GET; return the status. Raises OSError, and ValueError if it is not HTTP.

    RFC 9112, sections 3 and 4.
    """
    if not path.isascii() or not path.isprintable() or " " in path:
        raise ValueError(f"{path!r} cannot be requested")
    begin = time.monotonic()
    with socket.create_connection((address, port), seconds) as connection:
        host = f"[{address}]" if ":" in address else address
        head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: vcr-health\r\n"
        connection.sendall(f"{head}Accept-Encoding: identity\r\nConnection: close\r\n\r\n".encode())
        lines = io.BufferedReader(Timed(connection, seconds - (time.monotonic() - begin)))
        return _status(lines)


def _status(lines: io.BufferedReader) -> int:
    """Return the status of the first answer in LINES that is not for the time being.

    guest/agent/health.go does the same; tests/vectors/http.json tries both.
    """
    left = MAX_HEAD
    while True:
        line = read_line(lines, left)
        left -= len(line)
        match = _STATUS.match(line)
        if not match or not line.endswith(b"\n"):
            raise ValueError("the answer is not HTTP" if line else "the connection was closed")
        status = int(match[1])
        if not 100 <= status < 200:
            return status
        while line.strip():  # its header
            line = read_line(lines, left)
            left -= len(line)
            if not line:
                raise ValueError("the connection was closed")


def last_output(argv: Sequence[process.Arg], seconds: float, most: int) -> tuple[int, bytes]:
    """Run ARGV; return its exit code and the last MOST bytes of what it prints.

    After SECONDS it is killed, and the code KILLED. Raises HostError when there is no such program.
    """
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as printed:
        with os.fdopen(writer, "wb") as output:
            child = process.spawn(argv, output=output, die_with_parent=True)
        deadline, tail, ready = time.monotonic() + seconds, b"", select.poll()
        ready.register(printed, select.POLLIN)
        while (code := child.poll()) is None and time.monotonic() < deadline:
            tail = (tail + _read(printed, ready))[-most:]
        if code is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # spawn gave it a session
            child.wait()
            return KILLED, tail
        # Others may have it open still: what is there by now is all.
        while piece := _read(printed, ready, 0):
            tail = (tail + piece)[-most:]
            if time.monotonic() > deadline:
                break
        return code if code >= 0 else 128 - code, tail


def _read(printed: io.FileIO, ready: select.poll, wait: float = POLL_SECONDS) -> bytes:
    """Return what comes within WAIT seconds, b"" for nothing."""
    if not ready.poll(wait * 1000):
        return b""
    data = printed.read(PIECE)
    if not data:
        time.sleep(wait)  # it is at its end, but what printed it runs
    return data
