"""What lies where in a machine's memory: firmware, kernel, initrd, device tree, the rest.

Read from the memory itself: the device tree says where the initrd was put and what the
firmware keeps, the kernel's header how it is laid out. System.map, when the kernel's
output has one, gives its symbols.
"""

import bisect
import errno
import mmap
import os
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vcr.foreign import open_regular, read_bytes

MEMORY_BEGINS = 0x8000_0000  # of QEMU's riscv `virt` machine: hw/riscv/virt.c
PAGE = 4096
FREE = "memory that the kernel allocates"
# Boot image header of RISC-V Linux: https://docs.kernel.org/arch/riscv/boot-image-header.html
IMAGE_MAGIC, IMAGE_MAGIC_AT, IMAGE_SIZE_AT = b"RSC\x05", 56, 16
STEP = 2 << 20  # QEMU puts the kernel and the device tree at multiples of it
# The same header is a PE header, whose sections tell text from data:
# https://learn.microsoft.com/en-us/windows/win32/debug/pe-format
PE_AT, PE_MAGIC = 60, b"PE\0\0"
# Devicetree Specification 0.4, section 5
TREE_MAGIC = b"\xd0\x0d\xfe\xed"
TREE_VERSION = struct.pack(">II", 17, 16)  # and the oldest that it is compatible with
BEGIN_NODE, END_NODE, PROPERTY, NOP = 1, 2, 3, 4
MAX_TREE = 2 << 20  # bytes; QEMU's has one: include/system/device_tree.h
MAX_DEPTH, MAX_NAME = 64, 256  # of nodes in the device tree, and characters of a name
MAX_TRIES = 16  # how many places that begin like a device tree are looked at
MAX_SYMBOLS = 64 << 20  # bytes of System.map
SYMBOL = re.compile(r"([0-9a-f]{16}) [A-Za-z] (\S+)")
LINKED_AT = "_start"  # the symbol at the kernel's first byte


@dataclass(frozen=True)
class Region:
    """Part of a machine's memory; addresses are the machine's, END is behind it."""

    name: str
    begin: int
    end: int


@dataclass(frozen=True)
class Layout:
    """The regions of a machine's memory, and the kernel's symbols if they are known."""

    regions: tuple[Region, ...]
    kernel: int = 0  # address of its first byte
    symbols: tuple[tuple[int, str], ...] = field(default=(), repr=False)  # offset, name; sorted

    def region(self, address: int) -> str:
        """Return the name of what lies at ADDRESS."""
        found = (each.name for each in self.regions if each.begin <= address < each.end)
        return next(found, FREE)

    def words(self, address: int) -> str:
        """Say what lies at ADDRESS, to the symbol where there is one."""
        region = self.region(address)
        if not region.startswith("kernel") or not self.symbols:
            return region
        offset = address - self.kernel
        at = bisect.bisect_right(self.symbols, (offset, "\U0010ffff")) - 1
        if at < 0:
            return region
        begin, name = self.symbols[at]
        return f"{region}, {name}+{offset - begin:#x}"


def layout(ram: Path, kernel: Path | None = None) -> Layout:
    """Return the layout of the memory in the file RAM; KERNEL is the image it was made with.

    Raises OSError and ValueError when a file cannot be read.
    """
    places = list(stored(ram, STEP))
    with open_regular(ram) as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        try:
            image = list(_kernel(memory, places))
        except struct.error:  # it ends before what its header says
            image = []
        regions = (*_tree(memory, places), *image)
    begin = min((each.begin for each in image), default=0)
    symbols = _symbols(kernel.with_name("System.map")) if kernel else ()
    return Layout(regions, begin, symbols)


def stored(path: Path, step: int) -> Iterator[int]:
    """Yield where, at multiples of STEP, the file at PATH has bytes; elsewhere are holes.

    To read the holes of a large memory takes long, and fills this host's. Raises OSError.
    """
    with open_regular(path) as file:
        at, size = 0, os.fstat(file.fileno()).st_size
        while (found := _data_from(file.fileno(), at)) < size:
            at = found // step * step
            yield at
            at += step


def _data_from(handle: int, at: int) -> int:
    """Return where, AT or behind it, HANDLE has bytes; behind its end when it has no more."""
    try:
        return os.lseek(handle, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return sys.maxsize


def _kernel(memory: mmap.mmap, places: list[int]) -> Iterator[Region]:
    """Find the kernel in PLACES by its header, and its parts by their sections."""
    for at in places:
        if memory[at + IMAGE_MAGIC_AT : at + IMAGE_MAGIC_AT + 4] != IMAGE_MAGIC:
            continue
        begin = MEMORY_BEGINS + at
        (size,) = struct.unpack_from("<Q", memory, at + IMAGE_SIZE_AT)
        stored = 0  # where the file ends, and zeros begin
        for name, start, virtual, raw in _sections(memory, at):
            kind = {".text": "text"}.get(name, "data")
            yield Region(f"kernel {kind}", begin + start, begin + start + min(virtual, raw))
            stored = max(stored, start + min(virtual, raw))
        if stored:
            yield Region("kernel bss", begin + stored, begin + size)
        yield Region("kernel", begin, begin + size)
        return


def _sections(memory: mmap.mmap, at: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, offset, size in memory and size in the file of the kernel's sections."""
    header = at + struct.unpack_from("<I", memory, at + PE_AT)[0]
    if memory[header : header + 4] != PE_MAGIC:
        return
    (count,) = struct.unpack_from("<H", memory, header + 6)
    (optional,) = struct.unpack_from("<H", memory, header + 20)
    for number in range(count):
        row = header + 24 + optional + 40 * number
        virtual, start, raw = struct.unpack_from("<III", memory, row + 8)
        yield memory[row : row + 8].rstrip(b"\0").decode("ascii", "replace"), start, virtual, raw


def _tree(memory: mmap.mmap, places: list[int]) -> Iterator[Region]:
    """Find the device tree in PLACES, and what it says of memory."""
    # It is near the end; further down there may be others, in files.
    tries = 0
    for at in reversed(places):
        if memory[at : at + 4] != TREE_MAGIC or memory[at + 20 : at + 28] != TREE_VERSION:
            continue
        tries += 1
        if tries > MAX_TRIES:
            return
        begin = MEMORY_BEGINS + at
        size = int.from_bytes(memory[at + 4 : at + 8], "big")
        try:
            found = _properties(memory[at : at + min(size, MAX_TREE)])
            kept = [
                struct.unpack(">QQ", value[:16])
                for path, value in found.items()
                if path.startswith("/reserved-memory/mmode_resv") and path.endswith("/reg")
            ]
        except (struct.error, ValueError, IndexError):
            continue  # it only begins like one
        yield Region("device tree", begin, begin + size)
        # Before it has run it says nothing; it was put where memory begins.
        for start, length in kept or [(MEMORY_BEGINS, STEP)]:
            yield Region("firmware (OpenSBI)", start, start + length)
        ends = [found.get(f"/chosen/linux,initrd-{end}", b"") for end in ("start", "end")]
        if all(ends):
            yield Region("initrd, as it was loaded", *(int.from_bytes(e, "big") for e in ends))
        return


def _properties(tree: bytes) -> dict[str, bytes]:
    """Return the properties of a flattened device TREE, by their paths.

    Raises struct.error, ValueError, IndexError when it is none.
    """
    structure, strings = struct.unpack_from(">II", tree, 8)
    found: dict[str, bytes] = {}
    path: list[str] = []
    at = structure
    while at + 4 <= len(tree):
        (token,) = struct.unpack_from(">I", tree, at)
        at += 4
        if token == BEGIN_NODE:
            end = tree.index(b"\0", at, at + MAX_NAME)
            if len(path) == MAX_DEPTH:
                raise ValueError("nested too deep")
            path.append(tree[at:end].decode("ascii", "replace"))
            at = (end + 4) & ~3
        elif token == END_NODE:
            path.pop()
        elif token == PROPERTY:
            size, name = struct.unpack_from(">II", tree, at)
            end = tree.index(b"\0", strings + name, strings + name + MAX_NAME)
            key = tree[strings + name : end].decode("ascii", "replace")
            found["/".join([*path, key])] = tree[at + 8 : at + 8 + size]
            at = (at + 8 + size + 3) & ~3
        elif token != NOP:
            break
    return found


def _symbols(path: Path) -> tuple[tuple[int, str], ...]:
    """Read the System.map at PATH; Debian's holds one line that says it is elsewhere."""
    try:
        text = read_bytes(path, MAX_SYMBOLS).decode("ascii", "replace")
    except FileNotFoundError:
        return ()
    rows = [(int(m[1], 16), m[2]) for m in SYMBOL.finditer(text)]
    start = next((address for address, name in rows if name == LINKED_AT), None)
    return () if start is None else tuple(sorted((a - start, n) for a, n in rows if a >= start))
