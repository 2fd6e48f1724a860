"""The memory of a build machine: a file, so that this host can read what the machine left there.

Without `[build] disk` it is a file without a name, which is this host's memory. With one it is a
sparse file on the disk: what the machine writes, the host can write there to have its memory back.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vcr.formats.failure import Failure
from vcr.sandbox.build_machine import Machine
from vcr.sandbox.qemu.parts import HIGH, LOW

MEMORY = "memory"  # the file on the disk
# Where the boards have their memory: hw/riscv/virt.c, hw/arm/virt.c and hw/i386/microvm.c of QEMU,
# the latter beside LOW and HIGH.
BEGIN = {"riscv64": 0x8000_0000, "arm64": 0x4000_0000, "amd64": 0}


@contextmanager
def machine_memory(machine: Machine, scratch: Path) -> Iterator[Path]:
    """Give the memory of MACHINE: a file in SCRATCH, or one that is only memory."""
    if machine.disk_mib:
        path = scratch / MEMORY
        path.touch()
        try:
            yield path
        finally:
            path.unlink()
        return
    file = os.memfd_create(MEMORY)
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{file}")
    finally:
        os.close(file)


def place_of(address: int, length: int, arch: str, size: int) -> int:
    """Return where in the SIZE bytes of its file LENGTH bytes at ADDRESS of a machine of ARCH are.

    Raises Failure when they are not in its memory.
    """
    place = address - BEGIN[arch]
    if arch == "amd64" and address >= HIGH:
        place -= HIGH - LOW
    elif arch == "amd64" and address + length > LOW:
        place = -1
    if not 0 <= place <= place + length <= size:
        raise Failure("the build machine names memory that it does not have")
    return place
