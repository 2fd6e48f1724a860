"""What keeps results in the Nix store: a directory of roots for each project built here.

What of them may go is decided here; `vcr.build.history` says how the directories look.

    STATE/roots/NAME-HASH        of a project
    STATE/roots/toolchain-HASH   of a version of vcr's tools, made by bin/vcr
    STATE/roots/tools            tools that vcr fetched later; never removed
"""

import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vcr.build.history import LAYERS, LOCK, PROJECT, Build, read_builds, write_builds
from vcr.flock import flocked
from vcr.model.profile import current_name
from vcr.settings import Settings
from vcr.words import counted

TOOLS = "tools"
TOOLCHAIN = "toolchain-"


@dataclass(frozen=True)
class Rule:
    """What may go: beyond the KEEP newest of each, and not used for AGE seconds."""

    keep: int = 1
    age: float = 0.0
    busy: frozenset[str] = frozenset()  # projects whose newest builds stay

    def chooses(self, number: int, used: float, key: str = "") -> bool:
        """Return whether what was USED last, the NUMBERth from 0 of its kind, may go."""
        keep = max(self.keep, 1) if key in self.busy else self.keep
        return number >= keep and used <= time.time() - self.age


@dataclass(frozen=True)
class Old:
    """Something that may go: a root, all of a directory of roots, or builds it remembers."""

    name: str  # for people
    directory: Path
    left: tuple[Build, ...] | None = None  # what it is to remember then; None: nothing is left

    def remove(self) -> None:
        """Let go of it."""
        if self.directory.is_symlink():
            self.directory.unlink()
        elif self.left is None:
            shutil.rmtree(self.directory, ignore_errors=True)
        else:
            write_builds(self.directory, self.left)


@dataclass(frozen=True)
class Roots:
    """All roots of this user."""

    settings: Settings

    @property
    def base(self) -> Path:
        """Return the directory of all of them."""
        return self.settings.state_dir / "roots"

    def projects(self) -> list[Path]:
        """Return the directories of projects, by name."""
        found = sorted(self.base.iterdir()) if self.base.is_dir() else []
        return [
            path
            for path in found
            if path.is_dir() and path.name != TOOLS and not path.name.startswith(TOOLCHAIN)
        ]

    def toolchains(self, rule: Rule) -> list[Old]:
        """Return the toolchains that may go by RULE; the newest never does."""
        paths = sorted(self.base.glob(f"{TOOLCHAIN}*"), key=_used, reverse=True)
        rule = Rule(max(rule.keep, 1), rule.age)
        return [Old(p.name, p) for n, p in enumerate(paths) if rule.chooses(n, _used(p))]

    def drvs(self, without: Collection[Old] = ()) -> set[Path]:
        """Return the derivations of all builds that are remembered, but for those WITHOUT."""
        gone = {old.directory: old.left or () for old in without}
        directories = [d for p in self.projects() if p not in gone for d in _profiles(p)]
        builds = [build for d in directories for build in gone.get(d, read_builds(d))]
        return {drv for build in builds for drv in build.drvs.values()}


def layers_beside(project: Path, needed: Collection[Path]) -> list[Old]:
    """Return the roots of layers of PROJECT that are not among what its builds NEEDED.

    Without a build nothing is known of them: `vcr lock` made them for one to come.
    """
    if not any(read_builds(directory) for directory in _profiles(project)):
        return []
    links = [link for place in project.glob(f"{LAYERS}*") for link in sorted(place.iterdir())]
    return [
        Old(f"{project.name}, a layer", link)
        for link in links
        if link.is_symlink() and link.resolve() not in needed
    ]


@contextmanager
def locked(projects: Iterable[Path]) -> Iterator[list[Path]]:
    """Keep builds away from PROJECTS while the block runs; yield those that none is at."""
    with ExitStack() as locks:
        yield [path for path in projects if locks.enter_context(flocked(path / LOCK))]


def olds_of(project: Path, rule: Rule) -> Iterator[Old]:
    """Yield what of PROJECT may go by RULE."""
    if is_gone(project) and project.name not in rule.busy:
        yield Old(f"{project.name} (its directory is gone)", project)
        return
    profiles = _profiles(project)
    olds = [old for directory in profiles if (old := _of_profile(directory, rule))]
    all_go = len(olds) == len(profiles) and all(old.left is None for old in olds)
    layers = project.glob(f"{LAYERS}*")
    if all_go and all(rule.chooses(0, _used(path), project.name) for path in layers):
        yield Old(project.name, project)
    else:
        yield from olds


def is_gone(project: Path) -> bool:
    """Return whether the directory that the roots PROJECT are of is not there any more."""
    try:
        return not Path((project / PROJECT).read_text(encoding="utf-8").rstrip("\n")).is_dir()
    except OSError:  # of a version of vcr that did not note it
        return False


def _of_profile(directory: Path, rule: Rule) -> Old | None:
    """Return what may go of a project's DIRECTORY for one profile, None for nothing."""
    builds, key = read_builds(directory), directory.parent.name
    name, newer = f"{key} {directory.name}", _newer(directory)
    if not builds:  # of a version of vcr that noted them otherwise
        return Old(name, directory) if rule.chooses(newer, _used(directory), key) else None
    times = [max(builds[0].built, _used(directory)), *(build.built for build in builds[1:])]
    left = [b for n, (b, t) in enumerate(zip(builds, times, strict=True), newer)
            if not rule.chooses(n, t, key)]  # fmt: skip
    if len(left) == len(builds):
        return None
    if not left:
        return Old(name, directory)
    count = len(builds) - len(left)
    return Old(f"{name}, {counted(count, 'older build')}", directory, tuple(left))


def _newer(directory: Path) -> int:
    """Return how many builds there are under the new name of a profile that was renamed."""
    profile, _, arch = directory.name.rpartition("-")
    now = directory.with_name(f"{current_name(profile)}-{arch}")
    return len(read_builds(now)) if now != directory else 0


def _profiles(project: Path) -> list[Path]:
    found = sorted(path for path in project.iterdir() if path.is_dir())
    return [path for path in found if not path.name.startswith(LAYERS)]


def _used(path: Path) -> float:
    """Return when something below PATH was last written; links are not followed."""
    return max((each.lstat().st_mtime for each in (path, *path.rglob("*"))), default=0.0)
