#!/usr/bin/env python3
"""What the apps of the gallery take: seconds and sizes.

    bench/gallery.py [--lock] [--built] [APP...]

lock      `vcr lock` for riscv64, without a lock before: with --lock only, for it needs the network
build     `vcr build` of the profile vm; only the base images and tools are there; not with --built,
          for apps whose steps are emulated for many minutes
dev, vm   `vcr up` of what is built, until the app has answered as vcr.toml says
image     the riscv64 image; squashfs: the root of the machine, compressed

One round each, wall-clock seconds, MiB.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from build import REPO, fresh_project, run, timed

sys.path.insert(0, str(REPO / "tests"))

from expectations import GALLERY, answer, apps, expectation_of

VCR = REPO / "bin/vcr"
COLUMNS = ("lock", "build", "dev", "vm", "image", "squashfs")


def locked(app: str) -> float:
    """Return the seconds of the first `vcr lock` of APP."""
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch, app)
        shutil.copytree(GALLERY / app, project)
        (project / "vcr.lock").unlink(missing_ok=True)
        return timed(partial(run, VCR, "-q", "lock", project))


def sizes(project: Path) -> dict[str, float]:
    """Build PROJECT, and return the MiB of its rungs."""
    ladder = json.loads(run(VCR, "--json", "-q", "build", project))["ladder"]
    return {rung["name"]: rung["size"] / (1 << 20) for rung in ladder}


def built(app: str) -> dict[str, float]:
    """Return the seconds of a cold build of APP, and the MiB of its rungs."""
    with tempfile.TemporaryDirectory() as scratch:
        project = fresh_project(GALLERY / app, Path(scratch))
        begin = time.monotonic()
        rungs = sizes(project)
        return {"build": time.monotonic() - begin, **rungs}


def answered(app: str, profile: str) -> float:
    """Return the seconds from `vcr up` of APP, which is built, to its answer."""
    project, expected = GALLERY / app, expectation_of(GALLERY / app)
    run(VCR, "-q", "build", "--profile", profile, project)

    def verb(name: str, *words: str) -> str:
        return run(VCR, "-q", name, project, *words)

    begin = time.monotonic()
    forwards = json.loads(run(VCR, "--json", "-q", "up", "--profile", profile, project))["forwards"]
    said = answer(expected, forwards[0]["host"] if forwards else None, verb)
    seconds = time.monotonic() - begin
    run(VCR, "-q", "down", "-t", "0", project)
    if expected.words not in said:
        sys.exit(f"{app}, {profile}: {said!r} does not have {expected.words!r}")
    return seconds


def row(app: str, columns: Sequence[str]) -> dict[str, float]:
    """Return what is measured of APP, by column: of COLUMNS, lock and build are there or not."""
    lock = {"lock": locked(app)} if "lock" in columns else {}
    rungs = built(app) if "build" in columns else sizes(GALLERY / app)
    return {**lock, **rungs, **{profile: answered(app, profile) for profile in ("dev", "vm")}}


def main() -> None:
    """Measure and print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lock", action="store_true")
    parser.add_argument("--built", action="store_true")
    parser.add_argument("apps", nargs="*", metavar="APP", default=apps())
    options = parser.parse_args()
    os.umask(0o022)
    measured = {"lock": options.lock, "build": not options.built}
    columns = [column for column in COLUMNS if measured.get(column, True)]
    print(f"{'':<10}" + "".join(f"{column:>10}" for column in columns), flush=True)
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        for app in options.apps:
            cells = row(app, columns)
            print(
                f"{app:<10}" + "".join(f"{cells[column]:>10.1f}" for column in columns), flush=True
            )


if __name__ == "__main__":
    main()
