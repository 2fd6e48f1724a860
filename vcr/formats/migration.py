"""QEMU's migration stream in one canonical form, so that equal machines have equal bytes.

The stream of a machine that counts instructions differs from run to run in a few fields
that say when, on the host, it was stopped, and in how its memory is cut into pieces.
Both are rewritten; the result restores as before.

Form: https://www.qemu.org/docs/master/devel/migration/main.html and, of QEMU 10.0,
migration/savevm.c (sections), migration/ram.c (memory), system/cpu-timers.c (timers),
target/riscv/machine.c. Numbers are big-endian.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from vcr.formats.failure import Failure

MAGIC = b"QEVM\x00\x00\x00\x03"
START, PART, END, FULL, SUBSECTION, CONFIGURATION, COMMAND = 1, 2, 3, 4, 5, 7, 8
FOOTER = 0x7E
PAGE = 4096
# Flags in the low bits of a page's address.
ZERO, SIZES, DATA, END_OF_SECTION, SAME_BLOCK = 0x02, 0x04, 0x08, 0x10, 0x20
NEVER = 1 << 63  # a timer that is not set has -1, which is above
RUNNING = b"running\x00"
STATE_BYTES = 100


@dataclass(frozen=True)
class Canonical:
    """A stream in canonical form, and what it says."""

    stream: bytes
    instructions: int  # that the machine has executed


@dataclass(frozen=True)
class Section:
    """The state of one device."""

    name: str
    instance: int
    content: bytes


@dataclass
class _Memory:
    """The memory section: blocks that are not shared, and their pages."""

    header: bytes = b""
    section: int = 0
    total: int = 0
    blocks: list[tuple[bytes, bytes]] = field(default_factory=list)  # name, rest of the entry
    pages: dict[tuple[bytes, int], bytes | None] = field(default_factory=dict)
    commands: bytes = b""  # between the sections: "the machine moves over now"
    block: bytes = b""  # of the last page; SAME_BLOCK means it, also in the next section


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise Failure("QEMU's state ends early")
        self.at += count
        return piece

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def name(self) -> bytes:
        return self.take(self.number(1))

    def peek(self) -> int:
        return self.data[self.at] if self.at < len(self.data) else -1


def canonical(data: bytes) -> Canonical:
    """Return the canonical form of the stream DATA; raises Failure when it is not as known."""
    head, memory, reader = _read_memory(data)
    devices = bytearray(reader.data[reader.at :])
    instructions = _fix_timers(devices)
    _fix_run_state(devices)
    stream = b"".join((head, *_written(memory), bytes(devices)))
    return Canonical(stream, instructions)


def device_sections(data: bytes) -> Iterator[Section]:
    """Yield the devices of the stream DATA, in its order; raises Failure."""
    _, _, reader = _read_memory(data)
    while reader.peek() == FULL:
        reader.take(1)
        ident = reader.take(4)
        name, instance = reader.name(), reader.number(4)
        reader.take(4)  # version
        end = _end_of_section(data, reader.at, ident)
        yield Section(name.decode("ascii", "replace"), instance, reader.take(end - reader.at))
        reader.take(5)


def _end_of_section(data: bytes, begin: int, ident: bytes) -> int:
    """Return where the section IDENT ends: nothing says how long it is, but its footer names it."""
    footer = bytes([FOOTER]) + ident
    at = data.find(footer, begin)
    while at >= 0:
        after = data[at + len(footer) : at + len(footer) + 1]
        if after in {b"", bytes([FULL]), b"\x00"}:
            return at
        at = data.find(footer, at + 1)
    raise Failure("a device in QEMU's state has no end")


def _read_memory(data: bytes) -> tuple[bytes, _Memory, _Reader]:
    """Return what comes before the memory, the memory, and a reader that is past it."""
    reader = _Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise Failure("QEMU's state has an unknown form")
    ignores_shared = _skip_configuration(reader)
    head = data[: reader.at]
    memory = _Memory()
    while reader.peek() in {START, PART, END, COMMAND}:
        if reader.peek() == COMMAND:
            begin = reader.at
            reader.take(3)  # the kind, which command
            reader.take(reader.number(2))
            memory.commands += reader.data[begin : reader.at]
        else:
            _read_section(reader, memory, ignores_shared)
    return head, memory, reader


def _skip_configuration(reader: _Reader) -> bool:
    """Pass the machine's name and capabilities; return whether shared memory is left out."""
    if reader.number(1) != CONFIGURATION:
        raise Failure("QEMU's state has no configuration")
    reader.take(reader.number(4))
    ignores_shared = False
    if reader.peek() == SUBSECTION:
        reader.number(1)
        if reader.name() != b"configuration/capabilities":
            raise Failure("QEMU's state has an unknown configuration")
        reader.number(4)
        for _ in range(reader.number(4)):
            ignores_shared |= reader.name() == b"x-ignore-shared"
    return ignores_shared


def _read_section(reader: _Reader, memory: _Memory, ignores_shared: bool) -> None:  # noqa: FBT001
    kind, section = reader.number(1), reader.number(4)
    if kind == START:
        begin = reader.at
        if reader.name() != b"ram":
            raise Failure("QEMU's state has an unknown live section")
        reader.take(8)  # instance, version
        memory.header, memory.section = reader.data[begin : reader.at], section
    while True:
        word = reader.number(8)
        flags, address = word & (PAGE - 1), word & ~(PAGE - 1)
        if flags & SIZES:
            memory.total = address
            _read_blocks(reader, memory, ignores_shared)
        elif flags & END_OF_SECTION:
            break
        elif flags & (ZERO | DATA):
            if not flags & SAME_BLOCK:
                memory.block = reader.name()
            if flags & ZERO:
                reader.take(1)
            if all(memory.block != name for name, _ in memory.blocks):
                raise Failure("QEMU's state has a page of a block that it does not have")
            memory.pages[memory.block, address] = reader.take(PAGE) if flags & DATA else None
        else:
            raise Failure(f"QEMU's state has an unknown page flag {flags:#x}")
    if reader.number(1) != FOOTER or reader.number(4) != section:
        raise Failure("a section of QEMU's state has no end")


def _read_blocks(reader: _Reader, memory: _Memory, ignores_shared: bool) -> None:  # noqa: FBT001
    left = memory.total
    while left > 0:
        name, begin = reader.name(), reader.at
        left -= reader.number(8)
        if ignores_shared:
            reader.take(8)  # where it would be
        memory.blocks.append((name, reader.data[begin : reader.at]))


def _written(memory: _Memory) -> Iterator[bytes]:
    """Write the memory section in two parts, sizes, then all pages in order, and its end.

    How much QEMU has left for the last part, after it said so, is a matter of timing.
    """
    section = struct.pack(">I", memory.section)
    end = struct.pack(">QB", END_OF_SECTION, FOOTER) + section
    yield bytes([START]) + section + memory.header
    yield struct.pack(">Q", memory.total | SIZES)
    for name, rest in memory.blocks:
        yield bytes([len(name)]) + name + rest
    yield end + bytes([END]) + section
    order = {name: number for number, (name, _) in enumerate(memory.blocks)}
    last = b""
    for (name, address), page in sorted(
        memory.pages.items(), key=lambda item: (order[item[0][0]], item[0][1])
    ):
        flags = (DATA if page is not None else ZERO) | (SAME_BLOCK if name == last else 0)
        yield struct.pack(">Q", address | flags)
        yield b"" if name == last else bytes([len(name)]) + name
        yield b"\x00" if page is None else page
        last = name
    yield end
    if memory.commands:
        yield memory.commands + bytes([END]) + section + end


def _after(devices: bytearray, size: int, name: bytes, *numbers: int) -> int:
    """Return where the SIZE bytes after NAME and 32-bit NUMBERS begin.

    Raises Failure unless they are there once.
    """
    marker = bytes([len(name)]) + name + b"".join(struct.pack(">I", n) for n in numbers)
    if devices.count(marker) != 1:
        raise Failure(f"QEMU's state has {devices.count(marker)} sections {name.decode()}, not one")
    at = devices.index(marker) + len(marker)
    if at + size > len(devices):
        raise Failure("QEMU's state ends early")
    return at


def _fix_timers(devices: bytearray) -> int:
    """Set what depends on the host's clock from what does not; return the instructions.

    While the CPU waits the clock jumps to the next deadline; whether it had jumped when
    the machine was stopped is chance. It is set to that deadline either way.
    """
    timers = _after(devices, 24, b"timer", 0, 2)
    counter = _after(devices, 16, b"timer/icount", 1)
    bias, instructions = map(int, struct.unpack_from(">qq", devices, counter))
    deadlines = _after(devices, 16, b"cpu/timer", 1)
    supervisor, virtual = struct.unpack_from(">QQ", devices, deadlines)
    if bias < 0 or instructions < 0:
        raise Failure("QEMU's clock is before its begin")
    now = bias + instructions  # a nanosecond an instruction: -icount shift=0
    deadline = min(supervisor, virtual)
    if deadline >= NEVER:
        deadline = now
    if deadline >= NEVER:
        raise Failure("QEMU's clock is past its end")
    if now > deadline:
        raise Failure("QEMU's clock is past its next deadline")
    struct.pack_into(">q", devices, timers, 0)  # cpu_ticks_offset
    struct.pack_into(">q", devices, timers + 16, deadline)  # cpu_clock_offset
    struct.pack_into(">q", devices, counter, deadline - instructions)
    return instructions


def _fix_run_state(devices: bytearray) -> None:
    """Let the machine run when it is restored, whatever had stopped it."""
    at = _after(devices, 8 + STATE_BYTES, b"globalstate", 0) + 4  # after the version
    struct.pack_into(">I", devices, at, len(RUNNING))
    devices[at + 4 : at + 4 + STATE_BYTES] = RUNNING.ljust(STATE_BYTES, b"\x00")
