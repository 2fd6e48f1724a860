"""A guest's memory and its virtqueues, seen from outside.

VIRTIO 1.2, section 2.7 (split virtqueues), without indirect descriptors. The guest is not
trusted: whatever points outside its memory, in a circle, or at too much at once, is an error.
"""

import mmap
import os
import struct
from dataclasses import dataclass, field

from vcr.words import counted

NEXT, WRITE = 1, 2  # descriptor flags
NO_INTERRUPT = 1  # of the available ring's flags
MAX_QUEUE = 32768  # entries
# Of one chain. Linux's driver puts a packet of at most 64 KiB, with its header, into at most
# MAX_SKB_FRAGS + 2 pieces: net/vmw_vsock/virtio_transport.c.
MAX_PIECES = 64
MAX_CHAIN = 128 << 10  # bytes
_DESCRIPTOR = struct.Struct("<QIHH")
_U16 = struct.Struct("<H")
_USED = struct.Struct("<II")


class GuestError(Exception):
    """The guest, or QEMU, said something that cannot be."""


@dataclass(frozen=True)
class Region:
    """A piece of the guest's memory, mapped here."""

    guest: int  # address in the guest
    user: int  # address in QEMU
    size: int
    memory: mmap.mmap
    offset: int  # in the mapping


class Memory:
    """All of a guest's memory."""

    def __init__(self, regions: list[Region]) -> None:
        """REGIONS are mapped already."""
        self.regions = regions
        self._views = [memoryview(region.memory) for region in regions]

    def at(self, address: int, size: int, *, user: bool = False) -> memoryview:
        """Return SIZE bytes at ADDRESS of the guest (or of QEMU); raises GuestError."""
        for region, view in zip(self.regions, self._views, strict=True):
            base = region.user if user else region.guest
            if base <= address and address + size <= base + region.size:
                begin = region.offset + address - base
                return view[begin : begin + size]
        raise GuestError(f"{size} bytes at {address:#x} are not in the guest's memory")


@dataclass
class Queue:
    """One virtqueue."""

    size: int = 0
    next: int = 0  # the available entry that comes next
    enabled: bool = False
    kick: int = -1  # eventfd by which the guest wakes us, -1 for none
    call: int = -1  # eventfd by which we wake the guest
    rings: tuple[memoryview, memoryview, memoryview] | None = None
    used: bool = field(default=False, repr=False)  # something was returned since `signal`

    def place(self, memory: Memory, descriptors: int, available: int, used: int) -> None:
        """Say where the rings are, in QEMU's addresses; raises GuestError."""
        if not 0 < self.size <= MAX_QUEUE:
            raise GuestError(f"a queue of {self.size} entries")
        self.rings = (
            memory.at(descriptors, 16 * self.size, user=True),
            memory.at(available, 4 + 2 * self.size, user=True),
            memory.at(used, 4 + 8 * self.size, user=True),
        )

    @property
    def is_ready(self) -> bool:
        """Return whether it can be used."""
        return self.enabled and self.rings is not None and self.kick >= 0

    @property
    def waiting(self) -> int:
        """Return how many buffers the guest has made available."""
        if not self.is_ready or self.rings is None:
            return 0
        count: int = (_U16.unpack_from(self.rings[1], 2)[0] - self.next) & 0xFFFF
        if count > self.size:
            raise GuestError(f"{counted(count, 'entry', 'entries')} in a queue of {self.size}")
        return count

    def take(self, memory: Memory) -> tuple[int, list[memoryview]]:
        """Return the next buffer: its number and its pieces; raises GuestError."""
        if self.rings is None:
            raise GuestError("a queue without rings")
        table, available, _ = self.rings
        (head,) = _U16.unpack_from(available, 4 + 2 * (self.next % self.size))
        self.next = (self.next + 1) & 0xFFFF
        pieces: list[memoryview] = []
        index, total = head, 0
        for _ in range(min(self.size, MAX_PIECES)):
            if index >= self.size:
                raise GuestError(f"there is no descriptor {index}")
            address, length, flags, following = _DESCRIPTOR.unpack_from(table, 16 * index)
            total += length  # one buffer may be there many times
            if total > MAX_CHAIN:
                raise GuestError(f"a chain of more than {MAX_CHAIN} bytes")
            pieces.append(memory.at(address, length))
            if not flags & NEXT:
                return head, pieces
            index = following
        raise GuestError("a chain of descriptors without end")

    def give_back(self, head: int, written: int) -> None:
        """Return the buffer HEAD, with WRITTEN bytes in it."""
        if self.rings is None:
            raise GuestError("a queue without rings")
        _, _, used = self.rings
        (index,) = _U16.unpack_from(used, 2)
        _USED.pack_into(used, 4 + 8 * (index % self.size), head, written)
        _U16.pack_into(used, 2, (index + 1) & 0xFFFF)
        self.used = True

    def signal(self) -> None:
        """Notify the guest, if it wants that, that buffers came back."""
        if not self.used or self.rings is None:
            return
        self.used = False
        if self.call >= 0 and not _U16.unpack_from(self.rings[1], 0)[0] & NO_INTERRUPT:
            os.eventfd_write(self.call, 1)


def gather(pieces: list[memoryview]) -> bytes:
    """Return the bytes of PIECES."""
    return b"".join(pieces)


def scatter(data: bytes, pieces: list[memoryview]) -> None:
    """Write DATA to PIECES, which have room for it."""
    at = 0
    for piece in pieces:
        part = data[at : at + len(piece)]
        piece[: len(part)] = part
        at += len(part)
