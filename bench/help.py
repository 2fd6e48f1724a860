#!/usr/bin/env python3
"""What `vcr --help` costs: CPU seconds of the process and its children, user and system.

    bench/help.py [--rounds 20] [PROGRAM...]

PROGRAM is what starts vcr (default: this Python with this repository). Beside it: Python
that does nothing, and the help of one verb. Medians and the worst; the aim is 0.2 s.
"""

import argparse
import resource
import statistics
import subprocess
import sys

from build import REPO

VCR = (sys.executable, "-c", "from vcr.cli import main; main()")


def cpu(argv: list[str]) -> float:
    """Return the CPU seconds that ARGV takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=REPO, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("program", nargs="*", default=VCR)
    options = parser.parse_args()
    program = list(options.program)
    cases = {
        "python": [sys.executable, "-c", "pass"],
        "vcr --help": [*program, "--help"],
        "vcr build --help": [*program, "build", "--help"],
    }
    print(f"{'':<18}{'median':>8}{'worst':>8}")
    for name, argv in cases.items():
        times = [cpu(argv) for _ in range(options.rounds)]
        print(f"{name:<18}{statistics.median(times):>7.3f}s{max(times):>7.3f}s")


if __name__ == "__main__":
    main()
