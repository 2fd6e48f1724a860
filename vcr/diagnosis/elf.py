"""What an ELF file says of itself, as far as starting it goes: elf(5), ld.so(8).

guest/agent/elf.go has the same. Files are a stranger's: every size is bounded, and what is not
as it should be is not there.
"""

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEAD = 4096
MOST_HEADERS = 64  # that are read
MOST_OFFSET = 1 << 40
MOST_DYNAMIC = 64 << 10  # bytes of the dynamic section that are read
MOST_NAMES = 256  # of libraries, of one file
NAME = 1024  # bytes of a library's name, or of where it is looked for
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 0, 1, 5, 15, 29

type Read = Callable[[int, int], bytes]  # so many bytes, from where on; fewer at the end


@dataclass(frozen=True)
class Needs:
    """What a program or a library is linked with."""

    libraries: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()  # where to look for them: DT_RPATH, DT_RUNPATH


@dataclass(frozen=True)
class _Header:
    kind: int
    offset: int
    address: int
    size: int  # in the file


def architecture(head: bytes) -> str:
    """Return the architecture that an ELF file with this HEAD is for, "" for no ELF file."""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return ""
    order = ">" if head[5] == 2 else "<"
    return f"{struct.unpack_from(order + 'H', head, 18)[0]}:{head[4]}"


def loader_of(read: Read) -> str:
    """Return what an ELF file of 64 bits names as its loader, "" for none: PT_INTERP."""
    for header in _headers(read):
        if header.kind == PT_INTERP:
            if header.offset > MOST_OFFSET or header.size > HEAD:
                return ""
            return _text(read(header.size, header.offset))
    return ""


def needs_of(read: Read) -> Needs:
    """Return what an ELF file of 64 bits is linked with: DT_NEEDED and the like."""
    headers = list(_headers(read))
    table = next((each for each in headers if each.kind == PT_DYNAMIC), None)
    if table is None or table.offset > MOST_OFFSET:
        return Needs()
    rows = list(_entries(read(min(table.size, MOST_DYNAMIC), table.offset)))
    text = next((value for tag, value in rows if tag == DT_STRTAB), None)
    if text is None or (strings := _offset(headers, text)) is None:
        return Needs()

    def named(*tags: int) -> tuple[str, ...]:
        offsets = [value for tag, value in rows if tag in tags and value < MOST_OFFSET]
        names = (_text(read(NAME, strings + offset)) for offset in offsets[:MOST_NAMES])
        return tuple(name for name in names if name)

    return Needs(named(DT_NEEDED), named(DT_RPATH, DT_RUNPATH))


def _headers(read: Read) -> Iterator[_Header]:
    head = read(64, 0)
    if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
        return
    table = struct.unpack_from("<Q", head, 32)[0]
    size, count = struct.unpack_from("<HH", head, 54)
    if size < 56 or table > MOST_OFFSET:
        return
    for number in range(min(count, MOST_HEADERS)):
        row = read(56, table + number * size)
        if len(row) == 56:
            kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", row)
            yield _Header(kind, offset, address, length)


def _entries(data: bytes) -> Iterator[tuple[int, int]]:
    for tag, value in struct.iter_unpack("<QQ", data[: len(data) // 16 * 16]):
        if tag == DT_NULL:
            return
        yield tag, value


def _offset(headers: list[_Header], address: int) -> int | None:
    """Return where in the file ADDRESS is, None for nowhere."""
    for each in headers:
        if each.kind == PT_LOAD and each.address <= address < each.address + each.size:
            offset = each.offset + address - each.address
            return offset if offset <= MOST_OFFSET else None
    return None


def _text(data: bytes) -> str:
    return os.fsdecode(data.partition(b"\0")[0])
