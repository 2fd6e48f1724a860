"""CBOR of the few kinds that a Nitro module speaks, in one encoding, read without a library.

https://www.rfc-editor.org/rfc/rfc8949: the preferred encoding (4.1: the shortest, of definite
length, which is what the Nitro hypervisor writes), and no name twice, so that no byte can
change unnoticed. Whole numbers, bytes, text, lists, maps, true, false, null; nothing else,
above all no tag: of tags libraries make shared values, patterns and fractions, whose size and
time nothing bounds. A value is never larger than its bytes; every error is ValueError.
"""

import enum
from typing import Any

MAX_DEPTH = 16
SIMPLE = {0xF4: False, 0xF5: True, 0xF6: None}
ONE_BYTE = 24  # what follows is 1, 2, 4 or 8 bytes, from here on


class Kind(enum.IntEnum):
    """The major types, section 3.1."""

    UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP = range(6)


def decode(data: bytes) -> Any:
    """Return the one value that DATA is; raises ValueError for anything else.

    It is an int, bytes, str, bool, None, a list, or a dict whose keys are int or str.
    """
    value, end = _next(data, 0, 0)
    if end != len(data):
        raise ValueError("it continues after its end")
    return value


def _next(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """Return the value AT and where it ends."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    if data[at : at + 1] and data[at] in SIMPLE:
        return SIMPLE[data[at]], at + 1
    kind, number, at = _head(data, at)
    match kind:
        case Kind.UNSIGNED | Kind.NEGATIVE:
            return number if kind == Kind.UNSIGNED else -1 - number, at
        case Kind.BYTES | Kind.TEXT:
            if number > len(data) - at:
                raise ValueError("it ends early")
            piece = data[at : at + number]
            return piece if kind == Kind.BYTES else piece.decode("utf-8"), at + number
        case Kind.ARRAY:
            return _array(data, at, number, depth)
    return _map(data, at, number, depth)


def _array(data: bytes, at: int, count: int, depth: int) -> tuple[list[Any], int]:
    if count > len(data) - at:  # each takes a byte at least
        raise ValueError("it ends early")
    found = []
    for _ in range(count):
        value, at = _next(data, at, depth + 1)
        found.append(value)
    return found, at


def _map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[int | str, Any], int]:
    if 2 * count > len(data) - at:
        raise ValueError("it ends early")
    found: dict[int | str, Any] = {}
    for _ in range(count):
        key, at = _next(data, at, depth + 1)
        if type(key) not in {int, str} or key in found:
            raise ValueError("an invalid key, or a key twice")
        found[key], at = _next(data, at, depth + 1)
    return found, at


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the kind of the value AT, its number, and where what follows begins."""
    if at >= len(data):
        raise ValueError("it ends early")
    kind, short = data[at] >> 5, data[at] & 31
    at += 1
    if kind > Kind.MAP or short > ONE_BYTE + 3:
        raise ValueError("it has a value of an unsupported kind")
    if short < ONE_BYTE:
        return kind, short, at
    size = 1 << (short - ONE_BYTE)
    if size > len(data) - at:
        raise ValueError("it ends early")
    number = int.from_bytes(data[at : at + size], "big")
    if number < (ONE_BYTE if size == 1 else 1 << 4 * size):
        raise ValueError("it is not in the preferred encoding")
    return kind, number, at + size
