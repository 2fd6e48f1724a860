"""Single bits of what is signed or hashed, flipped one after the other.

`every_bit` gives all of them; `every_byte` gives one of each byte, so that eight of it give
all. Of what is hashed in blocks, `every_block` gives one of each block: a hash has no weaker
bits.
"""

from collections.abc import Iterator
from functools import cache

import pytest

from vcr.attest.nitro import chain


def remember_issuers(patch: pytest.MonkeyPatch) -> None:
    """Let who issued which certificate be found out once for the same two certificates.

    Certificates are equal where their bytes are. A flip changes one of a chain, or none, and
    most of the time would go into the others.
    """
    patch.setattr(chain, "_check_issuer", cache(chain._check_issuer))


def flipped(data: bytes, bit: int) -> bytes:
    """Return DATA with one BIT of it flipped."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def every_bit(data: bytes) -> Iterator[bytes]:
    """Yield DATA with each bit flipped."""
    return (flipped(data, bit) for bit in range(len(data) * 8))


def every_byte(data: bytes, first: int = 0) -> Iterator[bytes]:
    """Yield DATA with one bit of each byte flipped: FIRST of the first, the next of the next."""
    return (flipped(data, at * 8 + (first + at) % 8) for at in range(len(data)))


def every_block(size: int, block: int) -> Iterator[tuple[int, int]]:
    """Yield (byte, mask of a bit) for each BLOCK of SIZE bytes, and for the first and last byte."""
    yield 0, 1
    for number in range(-(-size // block)):
        at = min(number * block + number * 37 % block, size - 1)
        yield at, 1 << number % 8
    yield size - 1, 128
