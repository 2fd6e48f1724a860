"""QEMU's boards: one for each architecture, whoever starts a machine of it, on any host.

The table is board.json, beside this module: Nix reads it, too (nix/boards.nix). Builders are
given both, so there is the standard library only. QEMU's side of it:
https://www.qemu.org/docs/master/system/targets.html
"""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Board:
    """A row of the table; paths are below QEMU's toolset, "" is for what there is not."""

    toolset: str  # of nix/toolsets.nix
    program: str
    # Of amd64 it is the machine's own, named because Debian has it in another package.
    firmware: str
    # amd64: the command line says where devices are, so that nothing has to be looked for.
    machine: str
    # Of build machines: for riscv64 what distributions agree on,
    # https://github.com/riscv/riscv-profiles, and Svvptc, with which Linux need not flush a page
    # that was not there before, https://github.com/riscv/riscv-svvptc; for arm64 not `max`,
    # because pointer authentication is slow to emulate.
    step_cpu: str
    boot_cpu: str  # of a machine that boots; "" for QEMU's default
    # Of a machine that is sealed, which not every architecture has. Not that of build
    # machines: this one has Sstc, a timer of its own.
    prod_cpu: str
    bus: str  # how devices are attached: "pci", or "device" for virtio-mmio
    console: str  # as Linux names the serial port
    # What kernels are told besides. amd64: without ACPI or a keyboard's controller it is a
    # triple fault that resets it, which is how it ends. A kernel that measures its timers
    # reads clocks in a loop, which is what an emulator that counts is slowest at: it took 20
    # of 22 s.
    step_line: str
    boot_line: str
    powers_off: bool  # or it ends by a reset
    max_cpus: int  # NR_CPUS of its kernel
    # Of an enclave of it. i8042 takes Linux's reset, as Firecracker's does: QEMU ends then,
    # and nothing starts anew.
    enclave_devices: tuple[str, ...]
    debugger: str  # what GDB calls it
    linux: str  # what the kernel's source calls it
    triplet: str  # of its compiler
    kernel: str  # of build machines, and of the profile dev: "vcr" or "debian"
    # What is booted of a kernel that is compiled. QEMU starts an ELF file of x86 as it is:
    # nothing to unpack.
    image: str
    enclave_image: str  # the same of the kernel of enclaves

    def processor(self, cpu: str) -> tuple[str, ...]:
        """Return the argv that says which CPU, nothing for QEMU's default."""
        return ("-cpu", cpu) if cpu else ()


def _read(table: Path) -> dict[str, Board]:
    rows = json.loads(table.read_bytes())
    return {
        arch: Board(**{**row, "enclave_devices": tuple(row["enclave_devices"])})
        for arch, row in rows.items()
    }


BOARDS = _read(Path(__file__).with_suffix(".json"))  # by architecture
SEALED = BOARDS["riscv64"]  # of the profile prod
