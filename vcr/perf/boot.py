"""The profile of a prod machine from its first instruction until it is healthy.

Counted in instructions by QEMU, outside of the machine (nix/plugin), so the same machine has
the same profile. What is in a program is not told apart: where a program lies in memory is
known to the machine alone.
"""

from collections import Counter
from pathlib import Path

from vcr.errors import VcrError
from vcr.perf.profile import OBJECT, Profile, fold
from vcr.perf.symbols import KERNEL, UNKNOWN, KernelSymbols
from vcr.sandbox.sampled import BEGIN, EVERY, SAMPLES, SYMBOLS

FIRMWARE = "firmware"
MACHINE, SUPERVISOR = "m", "s"  # modes of the CPU in a line
PROGRAM = f"program{OBJECT}{UNKNOWN}"
# Where QEMU puts the kernel, and where it runs until it has page tables.
KERNEL_AT = 0x8020_0000
LOWEST = 1 << 63  # address of the kernel with page tables


def read_samples(output: Path, name: str, profile: str) -> Profile:
    """Return the profile that the stage `samples` left in OUTPUT; raises VcrError."""
    kernel = KernelSymbols.read(output / SYMBOLS)
    samples = (output / SAMPLES).read_text(encoding="ascii", errors="replace")
    *lines, end = samples.splitlines() or [""]
    word, _, instructions = end.partition(" ")
    if word != "end":
        raise VcrError(
            f"{output / SAMPLES} is not complete", why="QEMU ended before it was written"
        )
    begin = kernel.address_of(BEGIN)
    # From where the kernel runs before it has page tables to where it was linked to.
    distance = 0 if begin is None else begin - KERNEL_AT
    try:
        stacks = Counter(_stack(line, kernel, distance) for line in lines)
        duration = int(instructions)
    except ValueError as error:
        raise VcrError(f"{output / SAMPLES} has no samples", why=str(error)) from None
    return Profile(
        name=name,
        profile=profile,
        clock="instructions",
        every=EVERY,
        duration=duration,
        lost=0,
        stacks=dict(stacks),
    )


def _stack(line: str, kernel: KernelSymbols, distance: int) -> str:
    """Return the stack of LINE; raises ValueError."""
    mode, process, *chain = line.split(" ")
    name = bytes.fromhex(process).split(b"\0")[0].decode("utf-8", "replace")
    name = name.replace(";", "_").replace(OBJECT, "_") or FIRMWARE
    if mode == MACHINE:
        return fold(FIRMWARE, [f"{FIRMWARE}{OBJECT}{UNKNOWN}"])
    if mode != SUPERVISOR:
        return fold(name, [PROGRAM])
    addresses = [int(address, 16) for address in chain]
    names = [kernel.name(_linked(at - bool(i), distance)) for i, at in enumerate(addresses)]
    # A task of the kernel begins with a frame from nowhere.
    known = [symbol for i, symbol in enumerate(names) if i == 0 or symbol != UNKNOWN]
    return fold(name, [f"{KERNEL}{OBJECT}{symbol}" for symbol in reversed(known)])


def _linked(address: int, distance: int) -> int:
    """Return where what is at ADDRESS was linked to."""
    return address if address >= LOWEST else address + distance
