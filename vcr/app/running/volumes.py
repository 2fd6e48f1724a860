"""Volumes of the profile dev that are kept: listed and removed."""

from vcr.app.context import Context
from vcr.errors import UsageError
from vcr.runtime import volumes as kept
from vcr.runtime.record import Records
from vcr.runtime.volumes import NamedVolume


def volumes(context: Context) -> tuple[NamedVolume, ...]:
    """Return this user's volumes of all projects."""
    return tuple(kept.volumes(context.settings))


def remove_volumes(context: Context, *, everything: bool = False) -> tuple[NamedVolume, ...]:
    """Remove the volumes of the project, or EVERYTHING of this user; return what was removed.

    Raises UsageError where an app is up that may use them, and VcrError where that cannot be done.
    """
    records = Records(context.settings)
    if everything:
        found = list(kept.volumes(context.settings))
        keys = sorted({each.key for each in found})
    else:
        keys = [context.started_project().key]
    removed: list[NamedVolume] = []
    for key in keys:
        with records.locked(key):
            record = records.load(key)
            if record is not None and record.is_running:
                raise UsageError(f"{record.name} is up, and may use its volumes", fix="`vcr down`")
            removed += kept.remove_volumes(context.settings, key)
    return tuple(removed)
