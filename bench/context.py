#!/usr/bin/env python3
"""What a context of many files costs a build that has nothing to do.

    bench/context.py [--files 50000] [--rounds 5]

The first build copies the context into the Nix store; the later ones have nothing to do.
Seconds of the clock, and CPU seconds of vcr and Nix. The aim is 3 s for 50,000 files.
"""

import argparse
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from build import REPO

IN_DIRECTORY = 100


def measured(*words: str | Path) -> tuple[float, float]:
    """Return the seconds and the CPU seconds that vcr takes with WORDS."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([REPO / "bin/vcr", *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begun, used


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for number in range(options.files):
            path = root / f"data/{number // IN_DIRECTORY}/{number % IN_DIRECTORY}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{number}\n")
        (root / "Dockerfile").write_text("FROM scratch\nCOPY . /app\n")
        measured("lock", root)
        rows = {"first": [measured("build", "image", root)]}
        measured("build", "image", root)  # may read again what was only just written
        rows["no change"] = [measured("build", "image", root) for _ in range(options.rounds)]
        (root / "data/0/0.txt").write_text("changed\n")
        rows["one changed"] = [measured("build", "image", root)]
    print(f"{options.files} files{'':<8}{'seconds':>10}{'CPU':>10}")
    for name, times in rows.items():
        seconds, used = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:<19}{seconds:>9.2f}s{used:>9.2f}s")


if __name__ == "__main__":
    main()
