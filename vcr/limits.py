"""What programs may take of this host: those that work on foreign bytes, and what is free."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KIB, BLOCK = 1 << 10, 512  # units of ulimit, in bytes
SHELL = 'ulimit -f "$1" && ulimit -v "$2" && shift 2 && exec "$@"'


@dataclass(frozen=True)
class Limits:
    """The most that a program may take, and each that it starts: setrlimit(2)."""

    file_bytes: int  # of each file that it writes
    memory_bytes: int  # of addresses

    def on(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """Return what runs ARGV with no more than that."""
        blocks, kib = self.file_bytes // BLOCK, self.memory_bytes // KIB
        return ["sh", "-c", SHELL, "sh", str(blocks), str(kib), *argv]


def available_memory() -> int:
    """Return the bytes that are free for new programs: proc(5), MemAvailable; 0 if nobody says."""
    text = Path("/proc/meminfo").read_text()
    match = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) << 10 if match else 0
