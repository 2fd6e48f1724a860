#!/usr/bin/env python3
"""How long until the app answers: going on from a snapshot, beside booting.

    bench/prod.py [--example hello] [--rounds 5]

boot      the vm profile: firmware, kernel, init, the app's start, health
restore   the prod profile: the drive is read whole and checked, unpacked, its state
          loaded, entropy and time given

Both are what `vcr up` takes with everything built, so that starting vcr and asking Nix
count too; what a build with nothing to do takes is shown, to be taken off. Numbers are
medians of wall-clock seconds.
"""

import json
import os
import tempfile
import time
import urllib.request

from build import REPO, run, timed
from rows import Row, options, show


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
    parser = options(__doc__)
    parser.add_argument("--example", default="hello")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    project = REPO / "examples" / given.example
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        times = dict[str, list[float]]()
        for profile in ("vm", "prod"):
            up(given.example, profile)  # builds what is missing
            times[profile] = [up(given.example, profile) for _ in range(given.rounds)]
        nothing = [
            timed(lambda: run(REPO / "bin/vcr", "-q", "build", "--profile", "prod", project))
            for _ in range(given.rounds)
        ]
    rows = [
        Row.of(f"{given.example}, nothing to do", nothing),
        Row.of(f"{given.example}, restored", times["prod"]).beside("booted", times["vm"]),
    ]
    show(rows, as_json=given.json)


if __name__ == "__main__":
    main()
