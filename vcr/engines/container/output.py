"""What a container prints, by a pipe, as Docker has it.

An app may open /dev/stdout and /dev/stderr again. Were they the log itself, one that opens
them to write would truncate it, and another one would write over what others have written.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from vcr import process

PIECE = 1 << 16


def spawn_into(log: Path, argv: Sequence[process.Arg]) -> tuple[process.Child, threading.Thread]:
    """Start ARGV, which ends with this process, and append what it prints to the file LOG.

    Return it, and the thread that ends when everything is in LOG. Raises HostError.
    """
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as output:
        child = process.spawn(argv, output=output, die_with_parent=True)
    copier = threading.Thread(target=_copy, args=(reader, log), daemon=True)
    copier.start()
    return child, copier


def _copy(reader: int, log: Path) -> None:
    with os.fdopen(reader, "rb", buffering=0) as pipe, log.open("ab", buffering=0) as file:
        while piece := pipe.read(PIECE):
            file.write(piece)
