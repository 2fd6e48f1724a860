"""CBOR of the few kinds that a Nitro document has, in one encoding, read without a library.

https://www.rfc-editor.org/rfc/rfc8949: the preferred encoding (4.1: the shortest, of definite
length, which is what the Nitro hypervisor writes), and no name twice, so that no byte can
change unnoticed. Whole numbers, bytes, text, lists, maps, null; nothing else, above all no
tag: of tags libraries make shared values, dates and fractions, whose size nothing bounds.
"""

from typing import Any

from vcr.attest.rejected import Joint, RejectedError, demand

MAX_DEPTH = 4  # a document has three: its payload, a map in it, a value
NULL = 0xF6
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP = range(6)  # RFC 8949, 3.1: major types


def read_cbor(data: bytes) -> Any:
    """Read one value that is all of DATA; raises RejectedError."""
    reader = _Reader(data)
    value = reader.value(0)
    demand(reader.is_at_end, Joint.DOCUMENT, "its CBOR goes on after its end")
    return value


class _Reader:
    """Reads DATA from its beginning; what it takes never exceeds what is there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._data)

    def value(self, depth: int) -> Any:
        demand(depth <= MAX_DEPTH, Joint.DOCUMENT, "its CBOR is nested too deep")
        first = self._take(1)[0]
        if first == NULL:
            return None
        kind, size = first >> 5, self._size(first & 0x1F)
        if kind in {_UNSIGNED, _NEGATIVE}:
            return size if kind == _UNSIGNED else -1 - size
        if kind in {_BYTES, _TEXT}:
            return self._take(size) if kind == _BYTES else self._text(size)
        demand(kind in {_LIST, _MAP}, Joint.DOCUMENT, "its CBOR has a value of an unknown kind")
        # Each value takes at least a byte.
        demand(size <= len(self._data) - self._at, Joint.DOCUMENT, "its CBOR ends within a list")
        if kind == _MAP:
            return self._map(size, depth)
        return [self.value(depth + 1) for _ in range(size)]

    def _take(self, count: int) -> bytes:
        demand(count <= len(self._data) - self._at, Joint.DOCUMENT, "its CBOR ends within a value")
        self._at += count
        return self._data[self._at - count : self._at]

    def _size(self, told: int) -> int:
        """Return the number that TOLD, five bits, stands for or says the width of."""
        if told < 24:
            return told
        demand(told <= 27, Joint.DOCUMENT, "its CBOR has a value of unknown length")
        width = 1 << told - 24
        found = int.from_bytes(self._take(width), "big")
        least = 24 if width == 1 else 1 << 4 * width
        demand(found >= least, Joint.DOCUMENT, "its CBOR is not in the preferred encoding")
        return found

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError:
            raise RejectedError(Joint.DOCUMENT, "its CBOR has text that is not UTF-8") from None

    def _map(self, size: int, depth: int) -> dict[int | str, Any]:
        found: dict[int | str, Any] = {}
        for _ in range(size):
            name = self.value(depth + 1)
            demand(
                isinstance(name, int | str), Joint.DOCUMENT, "a name in its CBOR is of another kind"
            )
            demand(name not in found, Joint.DOCUMENT, "its CBOR has a name twice in one map")
            found[name] = self.value(depth + 1)
        return found
