"""File modes as --chmod takes them: octal, or symbolic as in chmod(1)."""

import re

from vcr.formats.failure import Failure
from vcr.formats.tree import Node

_OCTAL = re.compile(r"0?[0-7]{1,4}")
_CLAUSE = re.compile(r"([ugoa]*)([+\-=])([rwxXst]*)")
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}


def changed_mode(node: Node, text: str) -> int:
    """Return the mode of NODE after `chmod TEXT`; raises Failure for a malformed TEXT."""
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    mode = node.mode
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise Failure(f"--chmod={text} is not a mode", fix="write 755 or u=rwX,go=rX")
        who, operator, letters = match.groups()
        mask = sum(_WHO[w] for w in set(who or "ugo") & _WHO.keys()) or 0o7777
        mask = 0o7777 if "a" in who else mask
        bits = _letters(letters, node, mode) & mask
        if operator == "+":
            mode |= bits
        elif operator == "-":
            mode &= ~bits
        else:
            mode = mode & ~mask | bits
    return mode


def _letters(letters: str, node: Node, mode: int) -> int:
    bits = 0
    for letter in letters:
        if letter == "X":  # execute only where it makes sense already
            bits |= 0o111 if node.kind == "dir" or mode & 0o111 else 0
        elif letter == "s":
            bits |= 0o6000
        elif letter == "t":
            bits |= 0o1000
        else:
            bits |= _BITS[letter]
    return bits
