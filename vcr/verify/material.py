"""The files that a ladder names, which may be a stranger's.

A path may lead into the ladder's directory, into the Nix store, where `vcr build` leaves what
it made and nothing is secret, and to what the command line allows. Only regular files are
read, and none that is nearly all holes: it costs nothing to make one of any size.
"""

import stat
from dataclasses import dataclass
from pathlib import Path

from vcr.errors import UsageError
from vcr.foreign import read_bytes
from vcr.model.places import Places, places_of

STORE = Path("/nix/store")
KEY = "the ladder"
FULL = 1 << 30  # bytes that a file may have, whatever of it are holes
MAX_RATIO = 64  # how many times what is stored of a larger one


@dataclass(frozen=True)
class Material:
    """What the rungs of one ladder may name."""

    places: Places

    @classmethod
    def of(cls, ladder: Path, outside: tuple[Path, ...] = ()) -> "Material":
        """Return what the file LADDER may name, and what is allowed OUTSIDE of its directory."""
        return cls(places_of(ladder.parent, (STORE, *outside), whose="its directory"))

    def file(self, path: Path, *, holes: bool = False) -> Path:
        """Return where PATH leads, a regular file; HOLES: it may be nearly all of them.

        Raises UsageError.
        """
        real = self.places.lead(str(path), KEY)
        try:
            status = real.lstat()
        except OSError:
            raise UsageError(
                f"{path} is not on this host",
                why="to find a difference, vcr compares the files, not the digests",
                fix="copy it here, for example with `nix copy`, or build it: `vcr build`",
            ) from None
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{KEY}: {path} is not a regular file")
        stored = status.st_blocks * 512  # stat(2)
        if not holes and status.st_size > max(FULL, MAX_RATIO * stored):
            raise UsageError(f"{KEY}: {path} has {status.st_size} bytes, nearly all of them holes")
        return real

    def read(self, path: Path, most: int) -> bytes:
        """Return the content of PATH, of at most MOST bytes; raises UsageError."""
        try:
            return read_bytes(self.file(path), most)
        except OSError as error:
            raise UsageError(f"{KEY}: {path} cannot be read", why=str(error)) from None
