"""Reads an enclave image by AWS's definition of the format, sharing nothing with vcr.

https://github.com/aws/aws-nitro-enclaves-image-format/blob/main/src/defs/mod.rs
"""

import binascii
import hashlib
from dataclasses import dataclass, field


class NotAnImageError(Exception):
    """The file is not an enclave image, or not a whole one."""


@dataclass
class Cursor:
    data: bytes
    at: int = 0

    def take(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        if len(piece) != size:
            raise NotAnImageError(f"ends at {len(self.data)}")
        self.at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")


@dataclass
class Eif:
    flags: int
    memory: int
    cpus: int
    sections: list[tuple[int, bytes]] = field(default_factory=list)

    def of_kind(self, kind: int) -> list[bytes]:
        return [content for found, content in self.sections if found == kind]

    @property
    def pcrs(self) -> dict[int, bytes]:
        (kernel,), (cmdline,), ramdisks = self.of_kind(1), self.of_kind(2), self.of_kind(3)

        def register(content: bytes) -> bytes:
            inner = hashlib.new("sha384", content, usedforsecurity=True).digest()
            return hashlib.new("sha384", b"\x00" * 48 + inner, usedforsecurity=True).digest()

        boot, app = ramdisks[0], b"".join(ramdisks[1:])
        return {
            0: register(kernel + cmdline + boot + app),
            1: register(kernel + cmdline + boot),
            2: register(app),
        }


def read_eif(data: bytes) -> Eif:
    cursor = Cursor(data)
    if cursor.take(4) != b".eif" or cursor.number(2) != 4:
        raise NotAnImageError("magic or version")
    image = Eif(cursor.number(2), cursor.number(8), cursor.number(8))
    if cursor.number(2):
        raise NotAnImageError("reserved")
    count = cursor.number(2)
    offsets = [cursor.number(8) for _ in range(32)]
    sizes = [cursor.number(8) for _ in range(32)]
    if cursor.number(4) or any(offsets[count:]) or any(sizes[count:]):
        raise NotAnImageError("unused fields")
    crc = cursor.number(4)
    if cursor.at != 548 or binascii.crc32(data[548:], binascii.crc32(data[:544])) != crc:
        raise NotAnImageError("CRC")
    for offset, size in zip(offsets[:count], sizes[:count], strict=True):
        if offset != cursor.at:
            raise NotAnImageError("a gap")
        kind = cursor.number(2)
        if kind not in range(1, 6) or cursor.number(2) or cursor.number(8) != size:
            raise NotAnImageError("section header")
        image.sections.append((kind, cursor.take(size)))
    if cursor.at != len(data):
        raise NotAnImageError("something follows")
    return image
