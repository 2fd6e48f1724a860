"""Values of flags of COPY and ADD: --chmod, --exclude, --checksum.

Modes are octal, or symbolic as in chmod(1), whatever the umask is.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from vcr.formats.failure import Failure
from vcr.formats.match import compile_pattern
from vcr.formats.tree import Node

_OCTAL = re.compile(r"0*[0-7]{1,4}")
# Whom it is for, and what is done, one thing after the other: u=rw,go+r-w, g=u.
_CLAUSE = re.compile(r"([ugoa]*)((?:[+\-=](?:[ugo]|[rwxXst]*))+)")
_ACTION = re.compile(r"([+\-=])([ugo]|[rwxXst]*)")
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_SHIFT = {"u": 6, "g": 3, "o": 0}


def octal_mode(text: str) -> int | None:
    """Return the mode that TEXT is in octal digits, None if it is symbolic or empty."""
    return int(text, 8) if _OCTAL.fullmatch(text) else None


def changed_mode(node: Node, text: str) -> int:
    """Return the mode of NODE after `chmod TEXT`; raises Failure for a malformed TEXT."""
    octal = octal_mode(text)
    if octal is not None:
        return octal
    mode = node.mode
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise Failure(f"--chmod={text} is not a mode", fix="write 755 or u=rwX,go=rX")
        who, actions = match.groups()
        mask = sum(_WHO[w] for w in set(who or "ugo") & _WHO.keys()) or 0o7777
        mask = 0o7777 if "a" in who else mask
        for operator, letters in _ACTION.findall(actions):
            bits = _letters(letters, node, mode) & mask
            mode = _applied(mode, operator, bits, mask)
    return mode


def _applied(mode: int, operator: str, bits: int, mask: int) -> int:
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    return mode & ~mask | bits


def _letters(letters: str, node: Node, mode: int) -> int:
    if letters in _SHIFT:  # what these may now
        return (mode >> _SHIFT[letters] & 7) * 0o111
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


class Exclusions:
    """Patterns of --exclude: of those that match a path or what it is in, the last decides."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Read PATTERNS; one with `!` takes back what others exclude."""
        self._patterns = [
            (p.startswith("!"), compile_pattern(p.lstrip("!").strip("/"), double_star=True))
            for p in patterns
        ]

    def match(self, path: str) -> bool:
        """Return whether PATH is excluded."""
        parts = path.split("/")
        prefixes = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        excluded = False
        for takes_back, regex in self._patterns:
            if any(regex.match(prefix) for prefix in prefixes):
                excluded = not takes_back
        return excluded


def check_digest(path: Path, checksum: str) -> None:
    """Raise Failure unless the file at PATH has CHECKSUM, ALGORITHM:HEX, of --checksum."""
    algorithm, _, wanted = checksum.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != wanted:
        raise Failure(
            f"the file of ADD is not the one that --checksum={algorithm} names",
            why=f"vcr.lock has one with {found}",
            fix="if the Dockerfile is right, run `vcr lock --update`",
        )
