"""What keeps results in the Nix store: a directory of roots for each project built here.

    STATE/roots/NAME-HASH        of a project
    STATE/roots/toolchain-HASH   of a version of vcr's tools, made by bin/vcr
    STATE/roots/tools            tools that vcr fetched later; never removed

Removing roots removes nothing else: Nix's garbage collector does, when it is run.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from vcr.runtime.record import Records
from vcr.settings import Settings

TOOLS = "tools"
TOOLCHAIN = "toolchain-"


@dataclass(frozen=True)
class RootSet:
    """The roots of one project or toolchain."""

    name: str
    path: Path
    used: float  # when it was built last, seconds since 1970


@dataclass(frozen=True)
class Roots:
    """All roots of this user, and the plans they were built from."""

    settings: Settings

    def all(self) -> list[RootSet]:
        """Return them, the one used last first."""
        base = self.settings.state_dir / "roots"
        paths = [path for path in base.iterdir() if path.is_dir()] if base.is_dir() else []
        found = [RootSet(path.name, path, _used(path)) for path in paths if path.name != TOOLS]
        return sorted(found, key=lambda each: (-each.used, each.name))

    def choose(self, keep: int, age: float) -> list[RootSet]:
        """Return those that may go: not among the KEEP last, not used for AGE seconds."""
        before = time.time() - age
        busy = {record.key for record in Records(self.settings).all() if record.is_running}
        found = self.all()
        tools = [each for each in found if each.name.startswith(TOOLCHAIN)]
        projects = [each for each in found if each not in tools]
        old = [each for each in [*projects[keep:], *tools[max(keep, 1) :]] if each.used <= before]
        return [each for each in old if each.name not in busy]

    def remove(self, chosen: list[RootSet]) -> None:
        """Remove CHOSEN, and the plans that are older than all that is left."""
        for each in chosen:
            shutil.rmtree(each.path)
        oldest = min((each.used for each in self.all()), default=time.time())
        plans = self.settings.cache_dir / "plans"
        for plan in plans.glob("*.json") if chosen else ():
            if plan.stat().st_mtime < oldest:
                plan.unlink(missing_ok=True)


def _used(path: Path) -> float:
    """Return when something below PATH was last written; links are not followed."""
    return max((each.lstat().st_mtime for each in (path, *path.rglob("*"))), default=0.0)
