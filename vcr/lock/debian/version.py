"""Debian version numbers, ordered as dpkg orders them.

https://www.debian.org/doc/debian-policy/ch-controlfields.html#version
"""

import functools
import re
from itertools import zip_longest

_PARTS = re.compile(r"(\D*)(\d*)")


@functools.total_ordering
class Version:
    """`[epoch:]upstream[-revision]`; compares as dpkg does."""

    __slots__ = ("_key", "text")

    def __init__(self, text: str) -> None:
        """Split TEXT; raises ValueError when the epoch is not a number."""
        self.text = text
        epoch, colon, rest = text.partition(":")
        if not colon:
            epoch, rest = "0", text
        upstream, dash, revision = rest.rpartition("-")
        if not dash:
            upstream, revision = rest, "0"
        self._key = (int(epoch), upstream, revision)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Version({self.text!r})"

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and _compare(self._key, other._key) == 0

    def __lt__(self, other: "Version") -> bool:
        return _compare(self._key, other._key) < 0

    def satisfies(self, operator: str, other: "Version") -> bool:
        """Return whether this version stands in relation OPERATOR (<<, <=, =, >=, >>) to OTHER."""
        match operator:
            case "<<":
                return self < other
            case "<=":
                return self <= other
            case "=":
                return self == other
            case ">=":
                return self >= other
            case ">>":
                return self > other
        raise ValueError(f"not a version relation: {operator!r}")


def _compare(a: tuple[int, str, str], b: tuple[int, str, str]) -> int:
    return (a[0] - b[0]) or _compare_part(a[1], b[1]) or _compare_part(a[2], b[2])


def _compare_part(a: str, b: str) -> int:
    """Compare two upstream versions or two revisions: non-digits and numbers in turn."""
    pieces = zip_longest(_PARTS.findall(a), _PARTS.findall(b), fillvalue=("", ""))
    for (text_a, number_a), (text_b, number_b) in pieces:
        difference = _compare_text(text_a, text_b) or int(number_a or 0) - int(number_b or 0)
        if difference:
            return difference
    return 0


def _compare_text(a: str, b: str) -> int:
    keys = zip_longest(map(_order, a), map(_order, b), fillvalue=0)
    return next((key_a - key_b for key_a, key_b in keys if key_a != key_b), 0)


def _order(char: str) -> int:
    """Tilde sorts before the end (0), letters before everything else."""
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256
