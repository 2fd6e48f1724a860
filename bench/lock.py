#!/usr/bin/env python3
"""What reading a suite of Debian costs `vcr lock`: packed as the mirror has it, then as it is kept.

    bench/lock.py [--rounds 3] [SUITE]

All architectures, in a process of its own each time: seconds of the clock, CPU seconds, and the
most memory of the process in MiB, Python and vcr included. The aim for what is kept is 1.5 s and
120 MiB.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from build import REPO
from rows import Row, options, show

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
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("suite", nargs="?", default="trixie")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        first = [read(given.suite, Path(scratch))]
        kept = [read(given.suite, Path(scratch)) for _ in range(given.rounds)]
    rows = []
    for name, unit, at in (("wall", "s", 0), ("CPU", "s", 1), ("memory", "MiB", 2)):
        row = Row.of(f"{given.suite} that is kept, {name}", [one[at] for one in kept], unit)
        rows.append(row.beside("the first time", [one[at] for one in first]))
    show(rows, as_json=given.json)


if __name__ == "__main__":
    main()
