"""Reads what somebody else names or sends: regular files, bounded; lines and JSON, bounded.

The one reader for bytes that are not vcr's own. It never waits for a pipe, never believes
a size, and never raises anything but OSError and ValueError, which callers turn into their
own errors.
"""

import errno
import json
import os
import re
import stat
import tomllib
from io import BufferedReader
from pathlib import Path
from typing import Any, Protocol

KIB, MIB = 1 << 10, 1 << 20

# The most that is read of each kind of file, in bytes.
MAX_TEXT = 1 * MIB  # vcr.toml, Dockerfile, .dockerignore, policy, key, parameters
MAX_LADDER = 4 * MIB  # as much as the OCI distribution specification allows a manifest
MAX_LOCK = 256 * MIB  # it may hold bodies of answers
MAX_PROOF = 8 * MIB  # statements, evidence, receipts: ten thousand packages of an SBOM
# The most that a guest, an agent or a server may say on one line, in bytes.
MAX_LINE = 4 * MIB
CHUNK = 1 * MIB
MAX_PARTS = 32  # of a key of TOML: a.b.c has three
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MAX_PARTS}}}")


class Reader(Protocol):
    """What lines are read of: a buffered binary file, or a socket's."""

    def readline(self, size: int = ..., /) -> bytes:
        """Return at most SIZE bytes, up to a newline."""


def open_regular(path: Path) -> BufferedReader:
    """Open the regular file at PATH for reading; raises OSError, also for any other kind.

    vcr does not wait for a FIFO without a writer or a terminal: open(2), O_NONBLOCK, O_NOCTTY.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError:  # a NUL in the name
        raise OSError(errno.EINVAL, "not a file name", str(path)) from None
    try:
        _check_regular(os.fstat(handle).st_mode, path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check_regular(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "it is a directory", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def read_bytes(path: Path, most: int) -> bytes:
    """Return the content of the regular file at PATH, of at most MOST bytes; raises OSError.

    The size that the file system claims is not believed.
    """
    pieces, size = [], 0
    with open_regular(path) as file:
        # Asked for all that may come, Python would take as much memory before it reads.
        while size <= most and (piece := file.read(min(CHUNK, most + 1 - size))):
            pieces.append(piece)
            size += len(piece)
    if size > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
    return b"".join(pieces)


def read_text(path: Path, most: int) -> str:
    """Return the content of PATH as text; raises OSError, and ValueError unless it is UTF-8."""
    return read_bytes(path, most).decode("utf-8")


def load_json(data: bytes | str) -> Any:
    """Read DATA as JSON; raises ValueError, also for what is nested too deep or not UTF-8."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def load_toml(text: str) -> dict[str, Any]:
    """Read TEXT as TOML; raises ValueError, also for what is nested too deep.

    tomllib's time grows with the square of a key's parts, and half a MiB of `a.a.a` takes it
    hours: more than MAX_PARTS are refused, in texts, too.
    """
    if found := _LONG_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"line {line}: a key of more than {MAX_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def read_line(stream: Reader, most: int = MAX_LINE) -> bytes:
    """Return the next line of STREAM with its newline, b"" at the end of the stream.

    A line that the end of the stream cut short comes without its newline. Raises OSError,
    and ValueError for a line of more than MOST bytes.
    """
    line = stream.readline(most + 1)
    if len(line) > most:
        raise ValueError(f"a line of more than {most} bytes")
    return line
