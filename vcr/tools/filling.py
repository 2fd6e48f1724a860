"""A program that fills a directory from the network: bounded in bytes, in silence, in time."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vcr.errors import FetchError, MismatchError

SLACK = 1 << 20  # bytes: manifests and what a layout has of its own
LEAST_RATE = 64 << 10  # bytes a second, all in all


@dataclass
class Filling:
    """Watches DIRECTORY grow, from its making; at most MOST bytes are expected from SOURCE."""

    directory: Path
    source: str
    most: int
    silence: float  # seconds without a byte more
    _size: int = field(default=0, init=False)
    _begin: float = field(default_factory=time.monotonic, init=False)
    _grew: float = field(default_factory=time.monotonic, init=False)

    def check(self) -> None:
        """Raise as `check_size` does, and FetchError when it takes too long.

        To be called again and again while the program runs.
        """
        size, now = self.check_size(), time.monotonic()
        if size != self._size:
            self._size, self._grew = size, now
        longest = self.silence + seconds_for(self.most)
        if now - self._grew > self.silence or now - self._begin > longest:
            raise FetchError(
                f"cannot read {self.source}",
                why=f"{size} bytes came in {now - self._begin:.0f} s, and no more",
                fix="check the reference and the network, and try again",
            )

    def check_size(self) -> int:
        """Return how many bytes there are; raises MismatchError when they are too many."""
        size = size_of(self.directory)
        if size > self.most + SLACK:
            raise MismatchError(
                f"{self.source} sends more than it announced",
                details=(("expected", f"at most {self.most} bytes"), ("got", f"{size} bytes")),
                fix="do not trust that registry",
            )
        return size


def seconds_for(size: int) -> float:
    """Return how long SIZE bytes may take."""
    return (size + SLACK) / LEAST_RATE


def size_of(directory: Path) -> int:
    """Return how many bytes the files below DIRECTORY have; some may be renamed meanwhile."""
    return sum(_sizes(directory))


def _sizes(directory: Path) -> Iterator[int]:
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                yield (Path(parent) / name).lstat().st_size
            except FileNotFoundError:  # renamed meanwhile
                continue
