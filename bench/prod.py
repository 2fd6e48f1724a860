#!/usr/bin/env python3
"""How long until the app answers: going on from a snapshot, beside booting.

    bench/prod.py [--example hello] [--rounds 5]

boot      the stage profile: firmware, kernel, init, the app's start, health
restore   the prod profile: the drive is read whole and checked, unpacked, its state
          loaded, entropy and time given

Both are what `vcr up` takes with everything built, so that starting vcr and asking Nix
count too; what a build with nothing to do takes is shown, to be taken off. Numbers are
medians of wall-clock seconds.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
import urllib.request

from build import REPO, run, timed


def up(example: str, profile: str) -> float:
    """Return the seconds from `vcr up` to the first 200."""
    project = REPO / "examples" / example
    begin = time.monotonic()
    machine = json.loads(run(REPO / "bin/vcr", "--json", "-q", "up", "--profile", profile, project))
    forward = machine["forwards"][0]
    with urllib.request.urlopen(f"http://{forward['address']}:{forward['host']}/") as answer:
        answer.read()
    took = time.monotonic() - begin
    run(REPO / "bin/vcr", "-q", "down", "-t", "0", project)
    return took


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--example", default="hello")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    project = REPO / "examples" / options.example
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        medians = {}
        for profile in ("vm", "prod"):
            up(options.example, profile)  # builds what is missing
            medians[profile] = statistics.median(
                up(options.example, profile) for _ in range(options.rounds)
            )
        nothing = statistics.median(
            timed(lambda: run(REPO / "bin/vcr", "-q", "build", "--profile", "prod", project))
            for _ in range(options.rounds)
        )
    print(f"{options.example}: to the first answer")
    print(f"nothing to do {nothing:6.2f}s")
    print(f"boot          {medians['vm']:6.2f}s")
    print(f"restore       {medians['prod']:6.2f}s")
    ratio = (medians["prod"] - nothing) / (medians["stage"] - nothing)
    print(f"ratio         {ratio:6.2f}x without the time of nothing to do")


if __name__ == "__main__":
    main()
