"""What of a project was built, the newest first: for each build the derivations of its stages.

STATE/roots/KEY is the directory of a project. In it, `project` names the project's
directory, and `lock` is held by builds, shared, and by `vcr prune`. PROFILE-ARCH has this
history, and GC roots named by stages: of what was built last. layers-ARCH has GC roots of
layers that `vcr lock` built.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vcr.atomic import write_text

PROJECT = "project"
LOCK = "lock"
BUILDS = "builds.json"
LAYERS = "layers-"
MOST = 50  # builds that are remembered


@dataclass(frozen=True)
class Build:
    """One build: when, and stage → derivation."""

    built: float  # seconds since 1970
    drvs: Mapping[str, Path]

    def agrees(self, drvs: Mapping[str, Path]) -> bool:
        """Return whether DRVS are of the same build: other stages of it, or the same."""
        return all(self.drvs.get(stage, drv) == drv for stage, drv in drvs.items())


def read_builds(directory: Path) -> list[Build]:
    """Return the builds that DIRECTORY remembers, the newest first."""
    try:
        rows = json.loads((directory / BUILDS).read_bytes())
        return [
            Build(float(row["built"]), {str(k): Path(v) for k, v in row["drvs"].items()})
            for row in rows
        ]
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return []  # costs reasons: the next build says "first build"


def last_drvs(builds: Iterable[Build]) -> dict[str, Path]:
    """Return the derivation each stage was built from last."""
    found: dict[str, Path] = {}
    for build in builds:
        found = {**build.drvs, **found}
    return found


def remember(directory: Path, drvs: Mapping[str, Path]) -> None:
    """Note in DIRECTORY that DRVS, by stage, were built now; raises HostError."""
    builds, now = read_builds(directory), time.time()
    if builds and builds[0].agrees(drvs):
        if drvs.items() <= builds[0].drvs.items():
            os.utime(directory / BUILDS)  # when it was used
            return
        newest, *rest = builds
        write_builds(directory, [Build(now, {**newest.drvs, **drvs}), *rest])
        return
    same = [build for build in builds if build.agrees(drvs)]  # a change was taken back
    merged = {**(same[0].drvs if same else {}), **drvs}
    rest = [build for build in builds if build not in same[:1]]
    write_builds(directory, [Build(now, merged), *rest])


def write_builds(directory: Path, builds: Iterable[Build]) -> None:
    """Let DIRECTORY remember BUILDS; raises HostError."""
    rows = [
        {"built": build.built, "drvs": {stage: str(drv) for stage, drv in build.drvs.items()}}
        for build in builds
    ]
    text = json.dumps(rows[:MOST], indent=1, sort_keys=True)
    write_text(directory / BUILDS, text + "\n")
