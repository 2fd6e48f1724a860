"""Where the paths that a project names may lead: into its directory, and no further.

Whoever wrote vcr.toml may be a stranger: what it names is read by the user who builds, and
gets into the store that all can read, and into the image. So a path that leads out, by `..`,
from the root on, or through a link, is refused. Only the command line allows more
(`--allow-outside`): no key of the project does. The path that is returned has no links; it
is the one to use.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from vcr.errors import UsageError

ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
ANYWHERE = (Path("/"),)  # for who reads nothing of the project but its name


@dataclass(frozen=True)
class Places:
    """The directory ROOT, and what of this host is allowed besides; all without links."""

    root: Path
    outside: tuple[Path, ...] = ()
    whose: str = "the project"  # what ROOT is, for messages

    def lead(self, named: str, key: str) -> Path:
        """Return where NAMED, relative to the project, leads; KEY is who names it.

        It need not be there. Raises UsageError when it leads out.
        """
        try:
            unfit = b"\0" in os.fsencode(named)
        except UnicodeEncodeError:  # half of a surrogate pair, of JSON
            unfit = True
        if unfit:
            raise UsageError(f"{key}: {named!r} is not a path")
        real = _real(self.root / named)
        if not self._holds(real):
            raise UsageError(
                f"{key}: {named} leads out of {self.whose}",
                details=((self.whose, str(self.root)), ("leads to", str(real))),
                why="its author may be a stranger, and vcr reads the files that it names with"
                " your permissions",
                fix=f"move it into {self.whose}, or allow it: `--allow-outside {real}`",
            )
        try:
            real.stat()
        except OSError as error:
            if error.errno not in ABSENT:
                raise UsageError(
                    f"{key}: {named} cannot be read", why=error.strerror or str(error)
                ) from None
        return real

    def lead_whole(self, named: str, key: str) -> Path:
        """Return where the directory NAMED leads; nor does anything in it lead out.

        Raises UsageError also for what is neither file, directory nor link.
        """
        top = self.lead(named, key)
        pending = [top]
        while pending:
            try:
                with os.scandir(pending.pop()) as found:
                    entries = list(found)
            except OSError as error:
                raise UsageError(f"{key}: {named} cannot be read", why=str(error)) from None
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    pending.append(Path(entry.path))
                elif stat.S_ISLNK(mode):
                    self.lead(entry.path, key)
                elif not stat.S_ISREG(mode):
                    raise UsageError(f"{key}: {entry.path} is neither a file nor a directory")
        return top

    def _holds(self, path: Path) -> bool:
        return any(path.is_relative_to(place) for place in (self.root, *self.outside))


def places_of(root: Path, outside: tuple[Path, ...] = (), *, whose: str = "the project") -> Places:
    """Return the places of the project in ROOT, with those OUTSIDE that the user allows."""
    return Places(_real(root), tuple(map(_real, outside)), whose)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
