"""Where two tar archives part."""

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path

from vcr.formats.tar import BoundedInfo

MAX_ENTRIES = 2_000_000
MAX_CONTENT = 64 << 20  # bytes of a file that are shown to a tool


@dataclass(frozen=True)
class Entry:
    """What of an entry counts."""

    kind: str
    mode: str
    owner: str
    mtime: float
    target: str
    attributes: tuple[tuple[str, str], ...]
    content: str  # SHA-256 of a file's


@dataclass(frozen=True)
class Change:
    """An entry that is not the same in two archives; FIELDS say in what."""

    path: str
    fields: tuple[str, ...]
    left: Entry | None
    right: Entry | None

    def words(self) -> str:
        """Say how it differs."""
        if self.left is None or self.right is None:
            return f"only in the {'second' if self.left is None else 'first'}"
        shown = [
            f"{field} {getattr(self.left, field)} ≠ {getattr(self.right, field)}"
            for field in self.fields
            if field != "content"
        ]
        return ", ".join(shown + (["its content differs"] if "content" in self.fields else []))


def changes(left: Path, right: Path) -> list[Change]:
    """Return what differs between the archives LEFT and RIGHT, sorted by path.

    Raises OSError, ValueError, tarfile.TarError.
    """
    before, after = _read(left), _read(right)
    found = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        if old is None or new is None:
            fields: tuple[str, ...] = ("presence",)
        else:
            fields = tuple(
                name
                for name in Entry.__dataclass_fields__
                if getattr(old, name) != getattr(new, name)
            )
        found.append(Change(path, fields, old, new))
    return found


def content(archive: Path, path: str) -> bytes:
    """Return the content of the file PATH in ARCHIVE, b"" if it has none or too much.

    Raises OSError, ValueError, tarfile.TarError.
    """
    with tarfile.open(archive, "r:", tarinfo=BoundedInfo) as tar:
        info = next((info for info in tar if info.name == path and not info.issparse()), None)
        file = tar.extractfile(info) if info is not None and info.size <= MAX_CONTENT else None
        return file.read() if file is not None else b""


def _read(archive: Path) -> dict[str, Entry]:
    entries = {}
    # vcr's own are not compressed; what is expanded may be of any size.
    with tarfile.open(archive, "r:", tarinfo=BoundedInfo) as tar:
        for count, info in enumerate(iter(tar.next, None)):
            if count == MAX_ENTRIES:
                raise tarfile.ReadError(f"it has more than {MAX_ENTRIES} entries")
            entries[info.name] = Entry(
                kind=info.type.decode("latin-1"),
                mode=oct(info.mode),
                owner=f"{info.uid}:{info.gid}",
                mtime=info.mtime,
                target=info.linkname,
                attributes=tuple(sorted(info.pax_headers.items())),
                content=_digest(tar, info),
            )
            tar.members.clear()  # type: ignore[attr-defined]  # else all headers stay
    return entries


def _digest(tar: tarfile.TarFile, info: tarfile.TarInfo) -> str:
    """Return the SHA-256 of a file, "" for anything else.

    A sparse one, which no layer of vcr's has, is not expanded: its map stands for it.
    """
    if info.issparse():
        return f"{info.size} bytes of which are stored: {info.sparse!r}"
    file = tar.extractfile(info) if info.isreg() else None
    return hashlib.file_digest(file, "sha256").hexdigest() if file else ""  # type: ignore[arg-type]
