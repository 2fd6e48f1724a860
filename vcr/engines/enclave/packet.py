"""Packets of virtio-vsock: VIRTIO 1.2, section 5.10.6."""

import enum
import struct
from dataclasses import dataclass

STREAM = 1


class Op(enum.IntEnum):
    """What a packet is for."""

    REQUEST = 1
    RESPONSE = 2
    RST = 3
    SHUTDOWN = 4
    RW = 5
    CREDIT_UPDATE = 6
    CREDIT_REQUEST = 7


@dataclass(frozen=True)
class Packet:
    """One packet; its data is not part of the header."""

    source_cid: int
    target_cid: int
    source_port: int
    target_port: int
    op: int
    flags: int = 0
    alloc: int = 0  # bytes that the sender can take
    forwarded: int = 0  # bytes that the sender has taken, ever, modulo 2^32
    data: bytes = b""
    kind: int = STREAM

    FORM = struct.Struct("<QQIIIHHIII")

    def encode(self) -> bytes:
        """Return header and data."""
        header = self.FORM.pack(
            self.source_cid, self.target_cid, self.source_port, self.target_port,
            len(self.data), self.kind, self.op, self.flags, self.alloc, self.forwarded,
        )  # fmt: skip
        return header + self.data

    @classmethod
    def decode(cls, data: bytes) -> "Packet":
        """Read one; raises ValueError when it is too short or says a wrong length."""
        if len(data) < cls.FORM.size:
            raise ValueError(f"a packet of {len(data)} bytes has no header")
        (source, target, from_port, to_port, length, kind, op, flags, alloc, forwarded) = (
            cls.FORM.unpack_from(data)
        )
        if length > len(data) - cls.FORM.size:
            raise ValueError(f"a packet says it has {length} bytes, and has fewer")
        body = data[cls.FORM.size : cls.FORM.size + length]
        return cls(
            source, target, from_port, to_port, op, flags, alloc, forwarded, bytes(body), kind
        )
