"""The sizes of files that are mapped into a machine: few ones in binary, so few devices."""

import os
from pathlib import Path

GRANULE = 64 << 10  # bytes; what is mapped has a multiple of it
PARTS = 4  # ones in the size that a file has at most


def padded_size(size: int) -> int:
    """Return the SIZE in bytes, or the next larger one that can be mapped."""
    granule = max(GRANULE, 1 << max(0, size.bit_length() - PARTS))
    return -(-size // granule) * granule


def pad(path: Path) -> None:
    """Lengthen the file at PATH by a hole, so that it can be mapped."""
    os.truncate(path, padded_size(path.stat().st_size))
