"""Tar archives: read with suspicion, written the same way every time.

Written archives are PAX (POSIX.1-2001), uncompressed, sorted, with one time for
everything, numeric owners and no names. Layers follow the OCI image
specification 1.1, "Image Layer Filesystem Changeset", whiteouts included.
"""

import io
import struct
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vcr.formats.failure import Failure
from vcr.formats.tree import CHUNK, Content, Kind, Node, Tree, clean, parent

LAYER_FILE = "layer.tar"  # what every builder of a layer writes
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
XATTR = "SCHILY.xattr."
# Capabilities of programs and what programs noted themselves; labels of some host's
# security module (security.selinux, ...) say nothing about the image.
KEPT_XATTRS = ("security.capability", "user.")
MAX_ENTRIES = 2_000_000
# Bytes of all sparse files of an archive: holes are zeros in a layer, and cost nothing in it.
MAX_SPARSE = 1 << 30
# Bytes of a header that goes before an entry, and of one that holds for all that follow:
# tarfile reads them whole, and copies the latter for each entry.
MAX_HEADER, MAX_GLOBAL = 1 << 20, 64 << 10
BLOCK = 512

_KINDS: dict[bytes, Kind] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "link",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}
_TYPES: dict[Kind, bytes] = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}
_HEADERS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
_BROKEN = (
    tarfile.TarError, ValueError, EOFError, OverflowError, OSError, struct.error, IndexError,
    RecursionError,
)  # fmt: skip


class BoundedInfo(tarfile.TarInfo):
    """An entry whose headers are not read whatever they claim to be."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """Read what goes with this header: CPython's Lib/tarfile.py calls it for each."""
        most = MAX_GLOBAL if self.type == tarfile.XGLTYPE else MAX_HEADER
        if self.type in _HEADERS and not 0 <= self.size <= most:
            raise Failure(f"a header in the archive has {self.size} bytes; {most} are allowed")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]


def entries(path: Path) -> Iterator[tuple[str, Node | str]]:
    """Yield (name, node) of the uncompressed archive at PATH; a hard link is the name it links to.

    Raises Failure when it is not a good archive or an entry leads out of it.
    """
    try:
        yield from _entries(path)
    except _BROKEN as error:
        raise Failure(f"{path.name} is not a valid tar archive", why=str(error)) from None


def _entries(path: Path) -> Iterator[tuple[str, Node | str]]:
    with tarfile.open(path, "r:", encoding="utf-8", tarinfo=BoundedInfo) as archive:
        sparse = 0
        for count, info in enumerate(iter(archive.next, None)):
            if count >= MAX_ENTRIES:
                raise Failure(f"{path.name} has more than {MAX_ENTRIES} entries")
            sparse += info.size if info.issparse() else 0
            if sparse > MAX_SPARSE:
                raise Failure(f"{path.name} has sparse files of more than {MAX_SPARSE} bytes")
            yield clean(info.name), _read(path, info)
            archive.members.clear()  # type: ignore[attr-defined]  # else all headers stay
        _check_end(path, archive.offset)


def _check_end(path: Path, offset: int) -> None:
    """Refuse an archive that is cut off or damaged at OFFSET, where tarfile just stops."""
    with path.open("rb") as file:
        file.seek(offset)
        if file.read(BLOCK) != bytes(BLOCK):
            raise Failure(f"{path.name} is cut off or damaged after {offset} bytes")


def _read(path: Path, info: tarfile.TarInfo) -> Node | str:
    if info.islnk():
        return clean(info.linkname)
    kind = _KINDS.get(info.type)
    if kind is None:
        raise Failure(f"{path.name}: {info.name!r} has an unknown type")
    if min(info.uid, info.gid, info.mode, info.size) < 0:
        raise Failure(f"{path.name}: {info.name!r} has a negative number in its header")
    xattrs = {
        key.removeprefix(XATTR): value
        for key, value in sorted(info.pax_headers.items())
        if key.startswith(XATTR) and key.removeprefix(XATTR).startswith(KEPT_XATTRS)
    }
    return Node(
        kind,
        0o777 if kind == "link" else info.mode & 0o7777,
        info.uid,
        info.gid,
        _content(path, info) if kind == "file" else Content(0),
        info.linkname if kind == "link" else "",
        (info.devmajor, info.devminor) if kind in {"char", "block"} else (0, 0),
        xattrs,
    )


def _content(path: Path, info: tarfile.TarInfo) -> Content:
    sparse: Any = info.sparse  # pairs of offset and size; typeshed has it otherwise
    pieces: list[tuple[int, int, int]] = []
    at, place = 0, info.offset_data
    for start, length in sparse if info.issparse() else ((0, info.size),):
        if not at <= start <= start + length <= info.size:
            raise Failure(f"{path.name}: {info.name!r} is not a valid sparse file")
        pieces.append((start, length, place))
        at, place = start + length, place + length
    if place > path.stat().st_size:
        raise Failure(f"{path.name}: {info.name!r} is cut off")
    return Content(
        info.size, path, info.offset_data, pieces=tuple(pieces) if info.issparse() else None
    )


def apply_layer(tree: Tree, path: Path) -> None:
    """Lay the layer at PATH over TREE: whiteouts first, then what it adds."""
    added = list(entries(path))
    for name, _ in added:
        base, above = name.rpartition("/")[2], parent(name)
        if base == OPAQUE:
            for below in tree.below(tree.resolve(above)):
                tree.nodes.pop(below, None)
        elif base.startswith(WHITEOUT):
            hidden = base.removeprefix(WHITEOUT)
            tree.remove(tree.locate(f"{above}/{hidden}" if above else hidden))
    for name, node in added:
        if not name.rpartition("/")[2].startswith(WHITEOUT):
            place(tree, name, node, path.name)


def refuse_device(name: str, node: Node | str, archive: str) -> None:
    """Refuse a device node of an ARCHIVE that is not a layer of a base image."""
    if isinstance(node, Node) and node.kind in {"char", "block"}:
        raise Failure(
            f"{archive} holds the device {name}",
            why="only base images may contain devices",
            fix="leave it out of the archive",
        )


def refuse_whiteout(path: str) -> None:
    """Raise Failure when PATH would be a whiteout in a layer: image-spec, layer.md, Whiteouts."""
    name = path.rpartition("/")[2]
    if name.startswith(WHITEOUT):
        raise Failure(
            f"an image cannot hold a file that is called {name}",
            why=f"in a layer it says that {name.removeprefix(WHITEOUT)!r} was removed",
            fix="rename it, or leave it out by .dockerignore or --exclude",
        )


def place(
    tree: Tree, name: str, node: Node | str, archive: str, *, through_links: bool = False
) -> str:
    """Put an entry of ARCHIVE into TREE, following links in its parents; return where.

    THROUGH_LINKS: a directory entry over a link to a directory means the directory it
    leads to, as dpkg has it. A layer's entry replaces the link: somebody removed it.
    """
    if isinstance(node, str):
        linked = tree.get(tree.locate(node))
        if linked is None or linked.kind == "dir":
            raise Failure(f"{archive}: {name!r} is a hard link to {node!r}, which is not there")
        node = linked
    if not name:
        tree.nodes[""] = node if node.kind == "dir" else tree.nodes[""]
        return ""
    path = tree.locate(name)
    if node.kind == "dir" and through_links:
        resolved = tree.resolve(path)
        old = tree.get(resolved)
        if old is not None and old.kind == "dir":
            path = resolved
    tree.put(path, node)
    return path


def write(path: Path, nodes: Iterable[tuple[str, Node]], epoch: int) -> None:
    """Write NODES, already sorted, to PATH; every time is EPOCH, in seconds."""
    first: dict[int, str] = {}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive:
        archive.copybufsize = CHUNK  # type: ignore[attr-defined]  # what _Reader is asked for
        for name, node in nodes:
            info = _info(name, node, epoch)
            if node.kind != "file":
                archive.addfile(info)
            elif id(node) in first:
                info.type, info.linkname = tarfile.LNKTYPE, first[id(node)]
                archive.addfile(info)
            else:
                first[id(node)] = name
                info.size = node.content.size
                archive.addfile(info, _Reader(node.content))


def _info(name: str, node: Node, epoch: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name or ".")
    info.type = _TYPES[node.kind]
    info.mode, info.uid, info.gid, info.mtime = node.mode, node.uid, node.gid, epoch
    info.linkname = node.target
    info.devmajor, info.devminor = node.device
    info.pax_headers = {f"{XATTR}{key}": value for key, value in sorted(node.xattrs.items())}
    return info


class _Reader(io.RawIOBase):
    """Gives tarfile the bytes of a Content without holding them all."""

    def __init__(self, content: Content) -> None:
        self._chunks = content.chunks()
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        """Return SIZE bytes, fewer only at the end."""
        pieces, have = [self._left], len(self._left)
        while size < 0 or have < size:
            piece = next(self._chunks, b"")
            if not piece:
                break
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        wanted = have if size < 0 else size
        self._left = data[wanted:]
        return data[:wanted]


def is_archive(path: Path) -> bool:
    """Return whether the file at PATH is an uncompressed tar archive."""
    try:
        with tarfile.open(path, "r:", tarinfo=BoundedInfo):
            return path.stat().st_size > 0
    except _BROKEN:
        return False
    except Failure:  # one that `entries` refuses
        return True
