"""What a build machine says that a step changed: an archive, and where its large files are.

guest/step sends small files in the archive. A large one has no bytes there: it stays where it is
in the machine's memory, which is a file of this host (guest/step/pages.go). After the archive
comes a table of these as JSON, and then the table's length in eight bytes. Everything here may
come from the command of the step, which is root in that machine.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from vcr.formats.failure import Failure
from vcr.formats.job import as_record
from vcr.formats.tar import entries
from vcr.formats.tree import Content, Node
from vcr.sandbox.build_machine import MAX_FILES
from vcr.sandbox.qemu.memory import place_of
from vcr.sandbox.qemu.parts import too_large

MAX_TABLE = 512 << 20  # bytes
LENGTH = 8  # bytes, big-endian


@dataclass(frozen=True)
class Large:
    """A file that stayed in memory: `paged` of guest/step/pages.go."""

    entry: int
    size: int  # bytes
    pieces: tuple[tuple[int, ...], ...]  # offset in the file, length, address in memory

    def content(self, memory: Path, arch: str, memory_size: int) -> Content:
        """Return its bytes, which are in the MEMORY of a machine of ARCH; raises Failure."""
        if self.size < 0:
            raise Failure("the build machine names memory in another way than it does")
        at = 0
        found: list[tuple[int, int, int]] = []
        for piece in self.pieces:
            if len(piece) != 3:
                raise Failure("the build machine names memory in another way than it does")
            start, length, address = piece
            if not at <= start < start + length <= self.size:
                raise Failure("the build machine names memory in another way than it does")
            at = start + length
            found.append((start, length, place_of(address, length, arch, memory_size)))
        return Content(self.size, memory, pieces=tuple(found))


@dataclass(frozen=True)
class Table:
    """All of them."""

    files: tuple[Large, ...]


def layer_nodes(port: Path, memory: Path, arch: str) -> dict[str, Node]:
    """Return what the file PORT, which the machine wrote, holds; hard links share a node.

    MEMORY is that of the machine, of ARCH. Raises Failure for what guest/step does not send.
    """
    nodes: dict[str, Node] = {}
    size = memory.stat().st_size
    large = {file.entry: file for file in _table(port).files}
    if sum(file.size for file in large.values()) > MAX_FILES:
        raise too_large(MAX_FILES)
    for number, (name, node) in enumerate(entries(port)):
        linked = nodes.get(node) if isinstance(node, str) else node
        if linked is None:
            raise Failure(f"the layer has a hard link {name!r} to {node!r}, which is not there")
        if not isinstance(node, str) and node.kind == "file" and number in large:
            linked = replace(node, content=large[number].content(memory, arch, size))
        nodes[name] = linked
    return nodes


def _table(port: Path) -> Table:
    with port.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - LENGTH))
        length = int.from_bytes(file.read(LENGTH))
        if not length <= min(MAX_TABLE, end - LENGTH):
            raise Failure(f"{port.name} is cut off or damaged: it has no table of large files")
        file.seek(end - LENGTH - length)
        data = file.read(length)
    try:
        return as_record(Table, {"files": json.loads(data)})
    except (ValueError, RecursionError):
        raise Failure(f"{port.name} is damaged: its table of large files is none") from None
