"""The directory `.git` of a commit without its history, of the same bytes wherever it is made.

What git itself writes depends on its version, on zlib, and on times. Here objects are loose
and stored without compression; the index knows no times, so git compares contents once.
Formats: gitrepository-layout(5), gitformat-index(5), RFC 1950 and RFC 1951.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vcr.errors import UsageError
from vcr.tools.git_objects import TREE, Entry, Objects

PACKED_REFS = "# pack-refs with: peeled fully-peeled sorted "
SHA256 = "[extensions]\n\tobjectformat = sha256\n"
BLOCK = 0xFFFF  # bytes of a stored block: RFC 1951, section 3.2.4
BATCH = 2000  # objects that are read at once
LONGEST = 0xFFF  # length of a name as the index has it
MAX_TAGS = 100
_TAG_OF_A_TAG = re.compile(rb"object ([0-9a-f]{40}|[0-9a-f]{64})\ntype tag\n")
REGULAR, EXECUTABLE = 0o100644, 0o100755


@dataclass(frozen=True)
class Head:
    """What is checked out."""

    remote: str  # address of the repository
    commit: str
    tag: str  # object of the tag that leads to it, "" for none
    ref: str  # full name for the tag, or the commit; "" for none


def write_git_directory(objects: Objects, head: Head, directory: Path) -> None:
    """Write DIRECTORY, the `.git` of HEAD; raises UsageError for too much of it."""
    listing = objects.listing(head.commit, lambda _: True)
    idents: dict[str, set[str]] = {"commit": {head.commit}, "tree": set(), "blob": set()}
    idents["tree"].add(objects.tree_of(head.commit))
    idents["tag"] = set(_tags(objects, head.tag))
    for entry in listing.values():
        if entry.is_blob or entry.mode == TREE:
            idents["tree" if entry.mode == TREE else "blob"].add(entry.ident)
    (directory / "refs").mkdir(parents=True)
    for kind, names in idents.items():
        _write_objects(objects, kind, sorted(names), directory / "objects")
    _write_text(directory / "HEAD", f"{head.commit}\n")
    _write_text(directory / "config", _config(head.remote, objects.algorithm))
    if head.ref:
        row = f"{head.tag or head.commit} {head.ref}\n"
        peeled = f"^{head.commit}\n" if head.tag else ""
        _write_text(directory / "packed-refs", f"{PACKED_REFS}\n{row}{peeled}")
    if b"\nparent " in objects.read({head.commit}, "commit")[head.commit].partition(b"\n\n")[0]:
        _write_text(directory / "shallow", f"{head.commit}\n")
    (directory / "index").write_bytes(_index(listing, objects.algorithm))


def _tags(objects: Objects, ident: str) -> Iterator[str]:
    """Yield the tag IDENT, "" for none, and each that it leads to by way of another."""
    for _ in range(MAX_TAGS):
        if not ident:
            return
        yield ident
        found = _TAG_OF_A_TAG.match(objects.read({ident}, "tag")[ident])
        ident = found[1].decode() if found else ""
    raise UsageError(f"a tag leads to more than {MAX_TAGS} others, one after the other")


def _write_objects(objects: Objects, kind: str, names: list[str], directory: Path) -> None:
    for begin in range(0, len(names), BATCH):
        for ident, data in objects.read(set(names[begin : begin + BATCH]), kind).items():
            path = directory / ident[:2] / ident[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_stored(f"{kind} {len(data)}\0".encode() + data))


def _stored(data: bytes) -> bytes:
    """Return DATA as a stream of zlib that compresses nothing."""
    pieces = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    blocks = [
        struct.pack("<BHH", number == len(pieces), len(piece), len(piece) ^ 0xFFFF) + piece
        for number, piece in enumerate(pieces, 1)
    ]
    return b"\x78\x01" + b"".join(blocks) + struct.pack(">I", zlib.adler32(data))


def _config(remote: str, algorithm: str) -> str:
    version, more = (0, "") if algorithm == "sha1" else (1, SHA256)
    return (
        f"[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n{more}"
        f'[remote "origin"]\n\turl = "{remote}"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
    )


def _index(listing: dict[str, Entry], algorithm: str) -> bytes:
    files = {p.encode("utf-8", "surrogateescape"): e for p, e in listing.items() if e.mode != TREE}
    content = struct.pack(">4sII", b"DIRC", 2, len(files))
    content += b"".join(_row(path, entry) for path, entry in sorted(files.items()))
    return content + hashlib.new(algorithm, content, usedforsecurity=False).digest()


def _row(path: bytes, entry: Entry) -> bytes:
    mode = int(entry.mode, 8)
    if entry.mode.startswith("100"):
        mode = EXECUTABLE if entry.is_executable else REGULAR
    row = bytes(24) + struct.pack(">I", mode) + bytes(12) + bytes.fromhex(entry.ident)
    row += struct.pack(">H", min(len(path), LONGEST)) + path
    return row + bytes(8 - len(row) % 8)


def _write_text(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
