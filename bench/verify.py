#!/usr/bin/env python3
"""How long `vcr verify` takes, beside another checkout of vcr.

    bench/verify.py [--example static] [--profile vm] [--rounds 3] [--other DIR]

Each checkout builds the example first, then verifies what it has built, in turns. Numbers
are medians of wall-clock seconds; a ratio above 1 means that this checkout takes longer.
With --toolchain this checkout verifies once more, building its toolchain again.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]


def run(*argv: str | Path) -> str:
    """Run ARGV quietly; fail loudly."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{argv[0]} failed:\n{done.stderr}")
    return done.stdout


def timed(checkout: Path, ladder: Path, example: str, *words: str) -> float:
    """Return the seconds that CHECKOUT takes to verify LADDER."""
    begin = time.monotonic()
    run(checkout / "bin/vcr", "-q", "verify", ladder, checkout / "examples" / example, *words)
    return time.monotonic() - begin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--example", default="static")
    parser.add_argument("--profile", default="vm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--toolchain", action="store_true")
    given = parser.parse_args()
    checkouts = {"this": REPO} | ({"other": given.other} if given.other else {})
    with tempfile.TemporaryDirectory() as scratch:
        ladders = {name: Path(scratch) / f"{name}.json" for name in checkouts}
        for name, checkout in checkouts.items():
            project = checkout / "examples" / given.example
            words = ("--json", "-q", "build", project, "--profile", given.profile)
            ladders[name].write_text(run(checkout / "bin/vcr", *words))
        times: dict[str, list[float]] = {name: [] for name in checkouts}
        for _ in range(given.rounds):
            for name, checkout in checkouts.items():
                times[name].append(timed(checkout, ladders[name], given.example))
        medians = {name: statistics.median(seconds) for name, seconds in times.items()}
        for name, seconds in medians.items():
            print(f"{name:<10} {seconds:7.2f}s")
        if given.other:
            print(f"{'ratio':<10} {medians['this'] / medians['other']:7.2f}x")
        if given.toolchain:
            seconds = timed(REPO, ladders["this"], given.example, "--rebuild-toolchain")
            print(f"{'toolchain':<10} {seconds:7.2f}s")


if __name__ == "__main__":
    main()
