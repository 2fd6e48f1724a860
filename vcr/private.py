"""Directories that are this user's alone, whatever the umask is and whoever made them before.

What is below them no other user reaches, so records, logs, keys and sockets need no more.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from vcr.errors import HostError

UMASK = 0o022  # of all that vcr makes: nobody else writes it; what is private says so itself
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_private(directory: Path) -> None:
    """Make DIRECTORY if it is not there, and let nobody else into it.

    One that cannot be made is left to whoever needs it. Raises HostError for a link, and for
    what another user has, or could put in its place.
    """
    with suppress(OSError):
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
    try:
        _check_above(directory.parent)
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        is_link = directory.is_symlink()
        raise HostError(
            f"{directory} does not belong to this user only",
            why="it is a link" if is_link else error.strerror or str(error),
            fix="remove it, or choose another place: XDG_STATE_HOME, XDG_CACHE_HOME, "
            "XDG_RUNTIME_DIR",
        ) from None
    try:
        status = os.fstat(handle)
        if status.st_uid != os.geteuid():
            raise _of_another(directory, status.st_uid)
        if status.st_mode & OTHERS:
            os.fchmod(handle, 0o700)
    finally:
        os.close(handle)


def _check_above(parent: Path) -> None:
    """Refuse a PARENT in which others may rename what is not theirs; raises HostError, OSError."""
    status = parent.stat()
    if status.st_uid not in {0, os.geteuid()}:
        raise _of_another(parent, status.st_uid)
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise HostError(
            f"every user of this host may write to {parent}",
            why="so they could exchange the files that vcr keeps there",
            fix=f"chmod go-w {parent}",
        )


def _of_another(directory: Path, uid: int) -> HostError:
    return HostError(
        f"{directory} belongs to another user",
        why=f"its owner is {uid}, and this is {os.geteuid()}",
        fix="set HOME and the XDG_* variables to your own directories",
    )
