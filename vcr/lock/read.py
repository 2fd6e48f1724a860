"""Reads vcr.lock for a build: missing or stale is an error that says what changed."""

from vcr.errors import LockError
from vcr.lock.consistent import contradictions
from vcr.lock.engine import current_engine, engine_change
from vcr.lock.inputs import wanted_inputs
from vcr.model.lockfile import Lock, read_lock_file
from vcr.model.project import Project

SHOWN = 5  # contradictions
FIX = "run `vcr lock`, and commit vcr.lock"


def load_lock(project: Project) -> Lock:
    """Return the lock of PROJECT; raises LockError when it is missing, stale or contradicts it."""
    lock = current_lock(project)
    if wrong := list(contradictions(lock, wanted_inputs(project))):
        raise LockError(
            "vcr.lock contradicts the project: " + ", ".join(wrong[:SHOWN]),
            why="`vcr lock` of this project would not write that",
            fix=FIX,
        )
    return lock


def current_lock(project: Project) -> Lock:
    """Return the lock of PROJECT; raises LockError when it is missing or stale."""
    lock = read_lock_file(project.lock_file)
    changes = differences(lock, project)
    if changes:
        raise LockError(
            "vcr.lock is out of date: " + ", ".join(changes),
            why="it was made from other inputs than the project has now",
            fix=FIX,
        )
    return lock


def differences(lock: Lock, project: Project) -> list[str]:
    """Say what changed since LOCK was made; empty when nothing did."""
    now = wanted_inputs(project).digests()
    changes = []
    for name in sorted(lock.inputs.keys() | now.keys()):
        if name not in lock.inputs:
            changes.append(f"{name} is new")
        elif name not in now:
            changes.append(f"{name} is gone")
        elif lock.inputs[name] != now[name]:
            changes.append(f"{name} changed")
    return [*changes, *filter(None, [engine_change(lock.engine, current_engine(project))])]
