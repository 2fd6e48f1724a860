"""The cpio archive of an initramfs, "newc" format, the same bytes every time.

https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
"""

import io
import shutil
from pathlib import Path
from typing import IO

from vcr.formats.failure import Failure
from vcr.formats.tree import Node, Tree

MAGIC = "070701"
TYPES = {
    "file": 0o100000, "dir": 0o040000, "link": 0o120000,
    "char": 0o020000, "block": 0o060000, "fifo": 0o010000,
}  # fmt: skip
TRAILER = "TRAILER!!!"
MAX_FIELD = (1 << 32) - 1  # eight hex digits
BLOCK = 512


def write_cpio(path: Path, tree: Tree, epoch: int) -> None:
    """Write TREE to PATH; inode numbers count up, every time is EPOCH in seconds."""
    with path.open("wb") as out:
        _write(out, tree, epoch)


def cpio_bytes(tree: Tree, epoch: int) -> bytes:
    """Return what `write_cpio` writes."""
    out = io.BytesIO()
    _write(out, tree, epoch)
    return out.getvalue()


def _write(out: IO[bytes], tree: Tree, epoch: int) -> None:
    for number, (name, node) in enumerate(tree.walk(), 1):
        _entry(out, name, node, number, epoch)
    _entry(out, TRAILER, Node("file", 0), 0, 0)
    out.write(b"\0" * (-out.tell() % BLOCK))


def write_initrd(path: Path, base: Path, tree: Tree, epoch: int) -> None:
    """Write the initramfs BASE and, after it, TREE to PATH; the kernel unpacks both."""
    more = path.with_suffix(".more")
    write_cpio(more, tree, epoch)
    with path.open("wb") as out:
        for part in (base, more):
            with part.open("rb") as source:
                shutil.copyfileobj(source, out, 1 << 20)
    more.unlink()


def _entry(out: IO[bytes], name: str, node: Node, number: int, epoch: int) -> None:
    body = [node.target.encode()] if node.kind == "link" else node.content.chunks()
    size = len(node.target.encode()) if node.kind == "link" else node.content.size
    mode = 0 if name == TRAILER else TYPES[node.kind] | node.mode
    encoded = name.encode() + b"\0"
    major, minor = node.device
    if name == TRAILER and number:
        raise Failure(f"an initramfs cannot hold a file {TRAILER}", why="it would end there")
    fields = (
        number, mode, node.uid, node.gid, 1, epoch, size, 0, 0, major, minor, len(encoded), 0,
    )  # fmt: skip
    if not all(0 <= value <= MAX_FIELD for value in fields):
        raise Failure(
            f"{name} does not fit into an initramfs", why="a number of it has more than 32 bits"
        )
    out.write((MAGIC + "".join(f"{value:08X}" for value in fields)).encode() + encoded)
    out.write(b"\0" * (-out.tell() % 4))
    for piece in body:
        out.write(piece)
    out.write(b"\0" * (-out.tell() % 4))
