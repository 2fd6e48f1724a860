#!/usr/bin/env python3
"""What reading a suite of Debian costs `vcr lock`: packed as the mirror has it, then as it is kept.

    bench/lock.py [--rounds 3] [SUITE]

All architectures, in a process of its own each time. Medians of wall-clock seconds and CPU
seconds, and the most memory of the process in MiB, Python and vcr included. The aim for what is
kept is 1.5 s and 120 MiB.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from build import REPO

READ = """
import resource, sys, time
from pathlib import Path
from vcr.lock.debian.archive import Reader
from vcr.model.arch import Arch
from vcr.settings import Settings
from vcr.tools.apt import mirrors
from vcr.tools.gpgv import Gpgv
from vcr.tools.nix import Nix
gpgv = Gpgv.of_toolset(Nix(Settings.load()).toolset("verify"))
reader = Reader(gpgv, mirrors(), Path(sys.argv[2]))
begun, before = time.monotonic(), time.process_time()
suite = reader.read(sys.argv[1], [*Arch])
spent = time.monotonic() - begun, time.process_time() - before
print(*spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def read(suite: str, cache: Path) -> list[float]:
    """Read SUITE with what is in CACHE; return seconds, CPU seconds and MiB."""
    argv = [sys.executable, "-c", READ, suite, str(cache)]
    told = subprocess.run(argv, cwd=REPO, stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in told.stdout.split()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("suite", nargs="?", default="trixie")
    options = parser.parse_args()
    print(f"{options.suite:<12}{'wall':>8}{'CPU':>8}{'memory':>12}")
    with tempfile.TemporaryDirectory() as scratch:
        cases = {"first": 1, "kept": options.rounds}
        for name, rounds in cases.items():
            found = [read(options.suite, Path(scratch)) for _ in range(rounds)]
            wall, cpu, memory = (statistics.median(column) for column in zip(*found, strict=True))
            print(f"{name:<12}{wall:>7.2f}s{cpu:>7.2f}s{memory:>8.0f} MiB")


if __name__ == "__main__":
    main()
