#!/usr/bin/env python3
"""How long from a saved file to the new version serving, by `vcr run --hot`.

    bench/hot.py [--profiles dev stage] [--rounds 5]

A file of examples/static is written; its port of this host is asked ten times a second
until the answer is the new one (an emulated machine that is asked more often has a core of
this host for that). So the time counts noticing the change, 0.1 s of quiet, the build, the
start of the new one and its health. The old version has to answer all the while: a request
that fails ends the measurement. Numbers are wall-clock seconds.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from build import REPO

PAUSE_SECONDS = 0.1


@contextmanager
def hot(project: Path, profile: str) -> Iterator[int]:
    """Run PROJECT while the block runs; give its port of this host."""
    argv: list[str | Path] = [REPO / "bin/vcr", "-q", "run", "--hot", "--profile", profile, project]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        for line in child.stdout or ():
            if match := re.search(r"^http://127\.0\.0\.1:(\d+)/", line):
                yield int(match[1])
                return
        sys.exit(f"{profile}: vcr ended with {child.wait()}")
    finally:
        child.terminate()
        child.wait()


def change(page: Path, port: int) -> float:
    """Return the seconds from a change of PAGE to its being served on PORT."""
    text = f"now {time.time_ns()}"
    begin = time.monotonic()
    page.write_text(text)
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            if answer.read().decode() == text:
                return time.monotonic() - begin
        time.sleep(PAUSE_SECONDS)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--profiles", nargs="*", default=["dev", "vm"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("profile   median     best    worst", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_STATE_HOME"] = f"{scratch}/state"
        project = Path(scratch) / "static"
        shutil.copytree(REPO / "examples" / "static", project)
        for profile in options.profiles:
            with hot(project, profile) as port:
                page = project / "www/index.html"
                times = [change(page, port) for _ in range(options.rounds)]
            middle = statistics.median(times)
            print(f"{profile:<7} {middle:7.2f}s {min(times):7.2f}s {max(times):7.2f}s", flush=True)


if __name__ == "__main__":
    main()
