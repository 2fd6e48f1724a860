"""`standing`: how far a directory has come, from nothing to a project that is built."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vcr.app.context import Context
from vcr.build.builder import Builder
from vcr.errors import LockError, UsageError
from vcr.lock.read import load_lock
from vcr.model.project import CONFIG_FILE, DOCKERFILES, Project


class State(enum.StrEnum):
    """How far a directory has come."""

    EMPTY = "empty"  # no Dockerfile and no vcr.toml
    DOCKERFILE = "dockerfile"  # neither vcr.toml nor vcr.lock
    UNLOCKED = "unlocked"  # no vcr.lock
    STALE = "stale"  # vcr.lock is out of date
    LOCKED = "locked"  # nothing is built
    BUILT = "built"


@dataclass(frozen=True)
class Standing:
    """How far a directory has come, and what its project is called."""

    state: State
    name: str  # "" where there is no project


def standing(context: Context) -> Standing:
    """Return how far the context's directory has come.

    Raises UsageError when its files cannot be read.
    """
    directory = context.directory
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory")
    if not any((directory / each).exists() for each in (*DOCKERFILES, CONFIG_FILE)):
        return Standing(State.EMPTY, "")
    project = context.load_project()
    return Standing(_state(context, project), project.name)


def _state(context: Context, project: Project) -> State:
    if not project.lock_file.exists():
        configured = (project.root / CONFIG_FILE).exists()
        return State.UNLOCKED if configured else State.DOCKERFILE
    try:
        load_lock(project)
    except LockError:
        return State.STALE
    return State.BUILT if _is_built(context, project) else State.LOCKED


def _is_built(context: Context, project: Project) -> bool:
    """Return whether an output of a build of PROJECT is still in the store."""
    roots: Iterable[Path] = Builder(context.settings, context.ui, project).roots.glob("*/*")
    return any(root.is_symlink() and root.exists() for root in roots)
