"""Reads a log file that is still being written."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vcr.engines.logs import MOST_READ, begin_of, first_kept

CHUNK = 1 << 20  # bytes that are read at once
MAX_LINE = 1 << 20
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Read:
    """What a log has so far: its whole lines, where they end, and the beginning of one more."""

    lines: tuple[str, ...]
    end: int  # in bytes
    rest: str


def read_log(path: Path, begin: int = 0) -> Read:
    """Read the file at PATH from the line on that byte BEGIN is in; nothing if it is not there.

    What was given back of it, and what is more than can be read at once, is left out.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            at = begin_of(file, size)
            file.seek(at)
            data = file.read(MOST_READ)
    except FileNotFoundError:
        return Read((), 0, "")
    skipped = data.rfind(b"\n", 0, max(0, begin - at)) + 1
    whole, newline, rest = data[skipped:].rpartition(b"\n")
    lines = tuple(line.rstrip("\r") for line in _text(whole).split("\n")) if newline else ()
    return Read(lines, at + len(data) - len(rest), _text(rest))


def follow(path: Path, is_over: Callable[[], bool], position: int = 0) -> Iterator[str]:
    """Yield the lines of PATH after byte POSITION, and new ones until IS_OVER.

    A line of more than MAX_LINE bytes comes in pieces.
    """
    rest = b""
    while True:
        over = is_over()  # before reading, so that the last words are not lost
        for data, end in _pieces(path, position):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > MAX_LINE:
                lines, rest = [*lines, rest], b""
            yield from (_text(line).rstrip("\r") for line in lines)
            position = end
        if over:
            break
        time.sleep(POLL_SECONDS)
    if rest:
        yield _text(rest)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _pieces(path: Path, position: int) -> Iterator[tuple[bytes, int]]:
    """Yield what PATH has from POSITION on, piece by piece, and where each ends."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        if file.seek(0, os.SEEK_END) < position:  # it was emptied
            position = 0
        position = first_kept(file, position)
        file.seek(position)
        while data := file.read(CHUNK):
            position += len(data)
            yield data, position
