"""Reads a log file that is still being written."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Read:
    """What a log has so far: its whole lines, where they end, and the beginning of one more."""

    lines: tuple[str, ...]
    end: int  # in bytes
    rest: str


def read_log(path: Path, begin: int = 0) -> Read:
    """Read the file at PATH from the line on that byte BEGIN is in; nothing if it is not there."""
    data, _ = _read_from(path, 0)
    begin = data.rfind(b"\n", 0, begin) + 1
    whole, newline, rest = data[begin:].rpartition(b"\n")
    lines = tuple(line.rstrip("\r") for line in _text(whole).split("\n")) if newline else ()
    return Read(lines, len(data) - len(rest), _text(rest))


def follow(path: Path, is_over: Callable[[], bool], position: int = 0) -> Iterator[str]:
    """Yield the lines of PATH after byte POSITION, and new ones until IS_OVER."""
    rest = b""
    while True:
        over = is_over()  # before reading, so that the last words are not lost
        data, position = _read_from(path, position)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield _text(line).rstrip("\r")
        if over:
            break
        time.sleep(POLL_SECONDS)
    if rest:
        yield _text(rest)


def _text(data: bytes) -> str:
    """Return DATA as text; what is not UTF-8 is kept as PEP 383 has it."""
    return data.decode("utf-8", "surrogateescape")


def _read_from(path: Path, position: int) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            file.seek(position)
            data = file.read()
    except FileNotFoundError:
        return b"", 0
    return data, position + len(data)
