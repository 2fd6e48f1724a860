"""NAR, the form in which Nix hashes a tree: what Nix would compute, without starting it.

Names, contents, links and whether a file may be executed; no times, no owners. The format:
E. Dolstra, The Purely Functional Software Deployment Model, figure 5.2, and nix-archive-1 in
https://nix.dev/manual/nix/latest/protocols/nix-archive
"""

import base64
import hashlib
import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from vcr.foreign import CHUNK, open_regular

MAGIC = b"nix-archive-1"

DIRECTORY, LINK, PLAIN, EXECUTABLE = "directory", "link", "file", "executable"

type Sink = Callable[[bytes], object]
# Gets the path, the kind, and the SHA-256 in hex of the content or of where a link leads.
type Witness = Callable[[str, str, str], object]


class ChangedError(Exception):
    """The tree is not what it was a moment ago."""


def nar_sha256(root: Path, files: Iterable[str], witness: Witness | None = None) -> str:
    """Return the hash of those FILES below the directory ROOT, "sha256-<base64>" as Nix has it.

    FILES are relative paths of files, links and directories; the directories above them are
    part of the tree. WITNESS is told of each what is hashed. Raises OSError, and ChangedError for
    what is of another kind by now.
    """
    digest = hashlib.sha256()
    write_nar(root, files, digest.update, witness)
    return f"sha256-{base64.b64encode(digest.digest()).decode()}"


def write_nar(root: Path, files: Iterable[str], sink: Sink, witness: Witness | None = None) -> None:
    """Give SINK the NAR of those FILES below ROOT; raises as `nar_sha256` does."""
    sink(_strings(MAGIC, b"(", b"type", b"directory"))
    above: list[bytes] = []  # directories that are open
    for parts in _ordered(files):
        while above != list(parts[: len(above)]):
            above.pop()
            sink(_strings(b")", b")"))
        if len(above) + 1 != len(parts):  # what is above it is not a directory any more
            raise ChangedError(os.fsdecode(b"/".join(parts)))
        sink(_strings(b"entry", b"(", b"name", parts[-1], b"node"))
        path = os.fsdecode(b"/".join(parts))
        kind, sha256 = _write_node(root / path, sink, is_asked=witness is not None)
        if witness is not None:
            witness(path, kind, sha256)
        if kind == DIRECTORY:
            above.append(parts[-1])
        else:
            sink(_strings(b")"))
    for _ in above:
        sink(_strings(b")", b")"))
    sink(_strings(b")"))


def with_parents(files: Iterable[str]) -> set[str]:
    """Return FILES and every directory above one of them."""
    found: set[str] = set()
    for file in files:
        path = file
        while path and path not in found:
            found.add(path)
            path = path.rpartition("/")[0]
    return found


def _ordered(files: Iterable[str]) -> Iterator[tuple[bytes, ...]]:
    """Yield FILES and their parents as parts of paths; a directory before what is in it."""
    yield from sorted(tuple(os.fsencode(path).split(b"/")) for path in with_parents(files))


def _write_node(path: Path, sink: Sink, *, is_asked: bool) -> tuple[str, str]:
    """Give SINK what is at PATH, but for the end of a directory; return what a witness gets.

    The hash of a file only if IS_ASKED.
    """
    status = path.lstat()
    if stat.S_ISDIR(status.st_mode):
        sink(_strings(b"(", b"type", b"directory"))
        return DIRECTORY, ""
    if stat.S_ISLNK(status.st_mode):
        target = os.fsencode(path.readlink())
        sink(_strings(b"(", b"type", b"symlink", b"target", target, b")"))
        return LINK, hashlib.sha256(target).hexdigest()
    digest = hashlib.sha256()
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        kind = EXECUTABLE if status.st_mode & stat.S_IXUSR else PLAIN
        marks = (b"executable", b"") if kind == EXECUTABLE else ()
        sink(_strings(b"(", b"type", b"regular", *marks, b"contents"))
        sink(struct.pack("<Q", status.st_size))
        left = status.st_size
        while left and (piece := file.read(min(CHUNK, left))):
            left -= len(piece)
            sink(piece)
            if is_asked:
                digest.update(piece)
    if left:
        raise ChangedError(str(path))
    sink(bytes(-status.st_size % 8) + _strings(b")"))
    return kind, digest.hexdigest()


def _strings(*texts: bytes) -> bytes:
    """Return TEXTS, each with its length before it and zeros up to a multiple of 8 bytes."""
    return b"".join(struct.pack("<Q", len(t)) + t + bytes(-len(t) % 8) for t in texts)
