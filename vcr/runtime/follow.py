"""Reads a log file that is still being written."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_SECONDS = 0.1


def last_lines(path: Path, count: int | None) -> list[str]:
    """Return the last COUNT lines (None: all) of the file at PATH; none if it is not there."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return lines if count is None else lines[len(lines) - min(count, len(lines)) :]


def follow(path: Path, is_over: Callable[[], bool], skip_lines: int = 0) -> Iterator[str]:
    """Yield the lines of PATH after the first SKIP_LINES, and new ones until IS_OVER."""
    position, rest, skipped = 0, "", 0
    while True:
        over = is_over()  # before reading, so that the last words are not lost
        text, position = _read_from(path, position)
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            skipped += 1
            if skipped > skip_lines:
                yield line.rstrip("\r")
        if over:
            break
        time.sleep(POLL_SECONDS)
    if rest:
        yield rest


def _read_from(path: Path, position: int) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            file.seek(position)
            data = file.read()
    except FileNotFoundError:
        return "", 0
    return data.decode("utf-8", "replace"), position + len(data)
