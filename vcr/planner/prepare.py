"""From a directory to a plan: reads the project and its lock, and plans the build."""

from pathlib import Path

from vcr.lock.read import load_lock
from vcr.model.arch import Arch
from vcr.model.plan import Plan
from vcr.model.project import Project, load_project
from vcr.planner.project import make_plan


def prepare(
    directory: Path,
    *,
    arch: Arch,
    profile: str,
    target: str | None = None,
    engine: str | None = None,
    outside: tuple[Path, ...] = (),
) -> tuple[Project, Plan]:
    """Read the project in DIRECTORY and plan it; raises UsageError, LockError.

    OUTSIDE is what it may name besides its own files.
    """
    project = load_project(directory, outside=outside)
    lock = load_lock(project)
    return project, make_plan(
        project, lock, arch=arch, profile=profile, target=target, engine=engine
    )
