#!/usr/bin/env python3
"""All measurements as one table, with what machine they were made on: bin/bench.

    bin/bench [--output FILE] [--rounds N] [NAME...]

NAMEs are those of scripts in bench/: help, lock, build, prod, serve; without one, all of these.
A ratio is beside a peer that was measured in the same run. FILE gets everything as JSON: the
machine (CPU, cores, memory, load before and after, versions), the time, and the rows. Figures
of a busy machine say little: the load is there to be looked at.
"""

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from build import REPO
from rows import Row

SCRIPTS = ("help", "lock", "build", "prod", "serve")


def machine() -> dict[str, Any]:
    """Return what this machine is."""
    told = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(": ")[2] for line in told if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": memory >> 20,
        "kernel": platform.release(),
        "versions": {
            "vcr": version("git", "-C", str(REPO), "describe", "--always", "--dirty"),
            "python": platform.python_version(),
            "nix": version("nix", "--version"),
            "buildah": version("buildah", "--version"),
        },
    }


def version(*argv: str) -> str:
    """Return the first line that ARGV prints, "" if it is not there."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.partition("\n")[0] if done.returncode == 0 else ""


def measured(name: str, rounds: int | None) -> list[Row] | None:
    """Run the script NAME; return its rows, None when it fails."""
    argv = [sys.executable, str(REPO / "bench" / f"{name}.py"), "--json"]
    argv += ["--rounds", str(rounds)] if rounds else []
    done = subprocess.run(argv, cwd=REPO, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"{name}: not measured, it failed with exit code {done.returncode}")
        return None
    return [Row(**row) for row in json.loads(done.stdout)]


def main() -> None:
    """Measure, print, and write FILE."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("name", nargs="*", metavar="NAME", help=", ".join(SCRIPTS))
    given = parser.parse_args()
    if unknown := set(given.name) - {*SCRIPTS}:
        parser.error(f"there is no {min(unknown)}; there are {', '.join(SCRIPTS)}")
    begun, before, what = dt.datetime.now(dt.UTC), os.getloadavg()[0], machine()
    print(f"{begun:%Y-%m-%d}  {what['cpu']}, {what['cores']} cores, load {before:.1f}")
    found: dict[str, list[Row]] = {}
    failed = []
    for name in given.name or SCRIPTS:
        rows = measured(name, given.rounds)
        if rows is None:
            failed.append(name)
            continue
        found[name] = rows
        for row in rows:
            print(f"{name:<7} {row}", flush=True)
    if given.output:
        report = {
            "time": begun.isoformat(timespec="seconds"),
            "machine": {**what, "load": [before, os.getloadavg()[0]]},
            "failed": failed,
            "rows": {name: [vars(row) for row in rows] for name, rows in found.items()},
        }
        given.output.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
