"""Plans as files for Nix to read, each named by its hash."""

import contextlib
import hashlib
import os
from pathlib import Path

from vcr.atomic import write_text
from vcr.model.plan import Plan

PLAN_SECONDS = 7 * 86400.0  # that a plan is kept for after its last use


def write(plan: Plan, directory: Path) -> Path:
    """Write PLAN to a file in DIRECTORY, or find it there; raises HostError."""
    text = plan.to_json()
    name = hashlib.sha256(text.encode()).hexdigest()
    path = directory / f"{name}.json"
    if not _is_whole(path, len(text.encode())):
        write_text(path, text)
        _remove_older(path)
    return path


def _is_whole(path: Path, size: int) -> bool:
    """Return whether PATH has SIZE bytes; it is used now, so that others leave it there."""
    try:
        os.utime(path)  # and not touch, which makes an empty one where another vcr removed it
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _remove_older(used: Path) -> None:
    """Remove files beside USED that were not used for long before it: Nix has read them.

    By the clock of the file system, which need not be the one of this process.
    """
    now = used.stat().st_mtime
    for path in used.parent.iterdir():
        with contextlib.suppress(OSError):  # another vcr was faster
            if path.stat().st_mtime < now - PLAN_SECONDS:
                path.unlink()
