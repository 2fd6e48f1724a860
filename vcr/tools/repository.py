"""A git repository on disk that anybody may have made, as files: where HEAD is, of what origin.

git is not asked: it would read the repository's configuration first, and that can name
programs. https://git-scm.com/docs/gitrepository-layout
"""

import re
from dataclasses import dataclass
from pathlib import Path

from vcr.errors import UsageError
from vcr.foreign import MAX_PROOF, MAX_TEXT, read_bytes

MAX_LINE = 8192  # bytes of a file that holds one path or one hash
MAX_LINKS = 5  # symbolic references that refer to one another, as git has it
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"refs(?:/(?!\.)[^\x00-\x20\x7f/]+)+")


@dataclass(frozen=True)
class Repository:
    """A working tree at TREE; what is its own is in OWN, what all trees share in SHARED."""

    tree: Path
    own: Path
    shared: Path

    @classmethod
    def around(cls, directory: Path) -> "Repository | None":
        """Return the one that keeps DIRECTORY, None without one; raises UsageError."""
        for tree in (directory, *directory.parents):
            own = _git_directory(tree / ".git")
            if own is not None and (own / "HEAD").exists():
                common = own / "commondir"
                shared = own / _named(common, _read(common)) if common.exists() else own
                return cls(tree, own, shared)
        return None

    @property
    def objects(self) -> Path:
        """Return the directory of its objects."""
        return self.shared / "objects"

    def config(self) -> bytes:
        """Return what is in its configuration; raises UsageError."""
        file = self.shared / "config"
        return _bytes(file, MAX_TEXT) if file.exists() else b""

    def head(self) -> str:
        """Return the hash of the commit that is checked out, "" before the first.

        Raises UsageError when it cannot be read.
        """
        if (self.shared / "reftable").exists():
            raise UsageError(
                f"the revision of {self.tree} cannot be read",
                why="its branches are in a reftable",
                fix="git refs migrate --ref-format=files",
            )
        text = _read(self.own / "HEAD").strip()
        for _ in range(MAX_LINKS):
            if not text.startswith("ref:"):
                break
            text = self._value(text.removeprefix("ref:").strip())
        if text and not _HASH.fullmatch(text):
            raise UsageError(f"the revision of {self.tree} cannot be read", why=f"HEAD is {text!r}")
        return text

    def _value(self, name: str) -> str:
        """Return what the reference NAME is, "" when there is none."""
        if not _REF.fullmatch(name):
            raise UsageError(f"the revision of {self.tree} cannot be read", why=f"HEAD is {name!r}")
        for place in (self.own, self.shared):
            if (place / name).is_file():
                return _read(place / name).strip()
        packed = self.shared / "packed-refs"
        lines = _read(packed, MAX_PROOF).splitlines() if packed.exists() else []
        rows = (line.split(" ", 1) for line in lines if not line.startswith(("#", "^")))
        return next((row[0] for row in rows if row[1:] == [name]), "")


def _git_directory(place: Path) -> Path | None:
    """Return the directory that PLACE, a .git, is or names; None for neither."""
    if place.is_dir():
        return place
    if not place.exists():
        return None
    kind, _, named = _read(place).partition(": ")
    if kind != "gitdir":
        raise UsageError(f"{place} is not a repository", why="it does not name a directory")
    return place.parent / _named(place, named)


def _named(file: Path, text: str) -> str:
    """Return the path that TEXT, of FILE, is; raises UsageError."""
    named = text.rstrip("\n")
    if not named or "\0" in named or "\n" in named:
        raise UsageError(f"{file} is not part of a repository", why="it does not name a directory")
    return named


def _read(path: Path, most: int = MAX_LINE) -> str:
    return _bytes(path, most).decode("utf-8", "surrogateescape")


def _bytes(path: Path, most: int) -> bytes:
    try:
        return read_bytes(path, most)
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from None
