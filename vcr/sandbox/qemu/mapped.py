"""Files of the host that lie in a build machine's memory: mapped read-only, not copied.

Where depends on the board's bus. On PCI each is the memory of an `ivshmem-plain` or, because that
has a power of two, of several: https://www.qemu.org/docs/master/specs/ivshmem-spec.html
`microvm` has no PCI. There it is a further node of memory, beyond what the kernel is told it has:
https://www.qemu.org/docs/master/system/invocation.html, "-numa"
guest/step/mapped.go reads them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vcr.formats.failure import Failure
from vcr.model.board import Board
from vcr.sandbox.build_machine import option
from vcr.sandbox.qemu.padding import GRANULE
from vcr.sandbox.qemu.parts import HIGH, LOW, NONE, Mapping

# Of PCI: slots of a bus, functions of a slot; the first slots are the bridge's and the ports'.
FIRST_SLOT, SLOTS, FUNCTIONS = 2, 32, 8
# `virt` of riscv64 has 16 GiB of addresses for devices, those of the ports among them.
MOST = 15 << 30  # bytes
# Of memory that QEMU has, the machine's own among them. That is LOW at least, of which the host
# gives what is used: the initramfs is at its end, and with less the files would be there.
MAX_NODES = 128


def map_files(board: Board, memory: int, files: Sequence[Path]) -> Mapping:
    """Return how FILES, all of padded sizes, get into a machine of BOARD with MEMORY bytes.

    Raises Failure when there are more, or larger ones, than it has room for.
    """
    sizes = [path.stat().st_size for path in files]
    if not files:
        return NONE
    if any(size % GRANULE for size in sizes):
        raise ValueError("a file that was not padded")
    if sum(sizes) > MOST:
        raise Failure(
            f"the layers below are larger than {MOST >> 30} GiB",
            why="they lie in the build machine's memory",
            fix="build in stages, and copy what is needed from one to the next",
        )
    if board.bus == "pci":
        return _by_devices(files, sizes)
    return _by_nodes(memory, files, sizes)


def _backend(name: str, path: Path, size: int, offset: int) -> tuple[str, str]:
    """Return QEMU's arguments for SIZE bytes at OFFSET of PATH; the machine cannot write there."""
    where = f"mem-path={option(path)},size={size},offset={offset}"
    return "-object", f"memory-backend-file,id={name},{where},share=on,readonly=on,rom=on"


def _too_many(count: int, most: int) -> Failure:
    return Failure(
        f"there are {count} parts of layers below, and a build machine has room for {most}",
        fix="join instructions, such as COPYs of several files",
    )


def _by_devices(files: Sequence[Path], sizes: Sequence[int]) -> Mapping:
    parts = [
        (number, 1 << bit, (size >> bit + 1) << bit + 1)
        for number, size in enumerate(sizes)
        for bit in reversed(range(size.bit_length()))
        if size >> bit & 1
    ]
    if len(parts) > (SLOTS - FIRST_SLOT) * FUNCTIONS:
        raise _too_many(len(parts), (SLOTS - FIRST_SLOT) * FUNCTIONS)
    argv: list[str] = []
    pieces: list[list[dict[str, Any]]] = [[] for _ in files]
    for index, (number, size, offset) in enumerate(parts):
        slot, function = FIRST_SLOT + index // FUNCTIONS, index % FUNCTIONS
        argv += _backend(f"mapped{index}", files[number], size, offset)
        at = f"addr={slot:#x}.{function},multifunction=on"
        argv += ["-device", f"ivshmem-plain,memdev=mapped{index},{at}"]
        device = f"0000:00:{slot:02x}.{function}"
        pieces[number].append({"device": device, "address": 0, "size": size})
    return Mapping(devices=tuple(argv), pieces=tuple(pieces))


def _by_nodes(memory: int, files: Sequence[Path], sizes: Sequence[int]) -> Mapping:
    if len(files) >= MAX_NODES:
        raise _too_many(len(files), MAX_NODES - 1)
    own = max(memory, LOW)
    argv = ["-m", f"{own + sum(sizes) >> 10}k", "-numa", "node,memdev=memory"]
    pieces: list[list[dict[str, Any]]] = []
    address = HIGH + own - LOW
    for number, (path, size) in enumerate(zip(files, sizes, strict=True)):
        argv += _backend(f"mapped{number}", path, size, 0)
        argv += ["-numa", f"node,memdev=mapped{number}"]
        pieces.append([{"device": "", "address": address, "size": size}])
        address += size
    # Of its own memory, where that ends.
    line = f"mem={(memory if memory <= LOW else HIGH + memory - LOW) >> 10}K"
    return Mapping(tuple(argv), own, line=line, pieces=tuple(pieces))
