"""The kernel's log and its clock, read from the memory of a machine that was stopped.

The log has what the console, being quiet, did not show, and when each line was written.
Structures are those of Linux 6.12, found by their form: kernel/printk/printk_ringbuffer.h,
kernel/time/sched_clock.c. What is not of this form is not a log: nothing is told then.
"""

import mmap
import struct
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vcr.verify.memory import MEMORY_BEGINS, layout

LINKED_AT = 0xFFFF_FFFF_8000_0000  # KERNEL_LINK_ADDR of arch/riscv/include/asm/pgtable.h
TICK = 100  # nanoseconds; the timer of QEMU's `virt` counts ten million times a second
DESCRIPTOR, INFO = 24, 88  # bytes of struct prb_desc and struct printk_info
ID_BITS = (1 << 62) - 1  # of an id; the two above are the state
LOG_BITS = range(8, 22)  # log2 of how many records a log may have room for
AVERAGE_BITS = 5  # PRB_AVGBITS: log2 of the bytes of text that each has room for
FIRST = "Linux version "
MAX_KERNEL = 256 << 20  # bytes; the app of a stranger has the memory that its header is read from


@dataclass(frozen=True)
class Line:
    """A line of the log, and when it was written, in nanoseconds of the kernel's clock."""

    at: int
    text: str


@dataclass(frozen=True)
class KernelLog:
    """All that the kernel said."""

    lines: tuple[Line, ...]
    began: int  # nanoseconds from the machine's start to the start of the kernel's clock


def read_log(ram: Path) -> KernelLog | None:
    """Return the log in the memory RAM of a machine, None when there is none of this form."""
    kernel = next((each for each in layout(ram).regions if each.name == "kernel"), None)
    if kernel is None:
        return None
    with mapped(ram) as memory:
        begin, end = kernel.begin - MEMORY_BEGINS, kernel.end - MEMORY_BEGINS
        image = memory[begin : min(end, begin + MAX_KERNEL)]
    words = array("Q", image[: len(image) // 8 * 8])
    try:
        began = next(_clocks(words), None)
        lines = next((_lines(image, words, at) for at in _logs(words)), ())
    except (struct.error, IndexError):
        return None
    if began is None or not lines or not lines[0].text.startswith(FIRST):
        return None
    return KernelLog(lines, began)


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Yield the content of the file at PATH, read as it is needed."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        yield memory


def _is_pointer(word: int) -> bool:
    return word >= LINKED_AT


def _logs(words: Sequence[int]) -> Iterator[int]:
    """Yield where a struct printk_ringbuffer may be, in words."""
    for at in range(len(words) - 10):
        bits = words[at]
        if bits in LOG_BITS and words[at + 6] & 0xFFFF_FFFF == bits + AVERAGE_BITS:
            pointers = (words[at + 1], words[at + 2], words[at + 7])
            if all(map(_is_pointer, pointers)):
                yield at


def _lines(image: bytes, words: Sequence[int], at: int) -> tuple[Line, ...]:
    """Read the log whose struct printk_ringbuffer is AT; raises struct.error, IndexError."""
    count, size = 1 << words[at], 1 << (words[at] + AVERAGE_BITS)
    descriptors, infos, text = (words[at + n] - LINKED_AT for n in (1, 2, 7))
    newest, ident = words[at + 3] & ID_BITS, words[at + 4] & ID_BITS
    found = []
    left = size  # all text together has no more
    for _ in range(count):
        place = ident % count
        _, when, length, *_ = struct.unpack_from("<QQH", image, infos + INFO * place)
        _, begin, end = struct.unpack_from("<QQQ", image, descriptors + DESCRIPTOR * place)
        left -= length
        if left < 0:
            raise IndexError("it has more text than there is room for")
        if length and not begin & 1:  # odd: without text
            wraps = begin // size != end // size and end % size
            start = text + (0 if wraps else begin % size) + 8  # behind the id
            found.append(Line(when, image[start : start + length].decode("utf-8", "replace")))
        if ident == newest:
            break
        ident = (ident + 1) & ID_BITS
    return tuple(found)


def _clocks(words: Sequence[int]) -> Iterator[int]:
    """Yield when the kernel's clock began, of each struct clock_data that there may be.

    It has its data twice: nanoseconds, ticks, a mask, a function, a factor and a shift.
    """
    for at in range(len(words) - 10):
        if words[at + 2] != (1 << 64) - 1 or words[at + 2] != words[at + 7]:
            continue
        factor, shift = words[at + 4] & 0xFFFF_FFFF, words[at + 4] >> 32
        if shift > 31 or factor != TICK << shift or not _is_pointer(words[at + 3]):
            continue
        first, second = (words[n + 1] * TICK - words[n] for n in (at, at + 5))
        if first == second and first > 0:
            yield first
