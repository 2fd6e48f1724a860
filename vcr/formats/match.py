"""Path patterns as Go's filepath.Match has them, and `**` of .dockerignore on top.

https://pkg.go.dev/path/filepath#Match, https://docs.docker.com/build/concepts/context/#syntax

A pattern may be a stranger's. With several stars a regular expression tries every way to
share a path out among them, so such a pattern is an automaton instead: a bit for each place
in it, moved on together for each character of the path.
"""

import re
from dataclasses import dataclass, field
from typing import Protocol

WILDCARDS = frozenset("*?[\\")
LONGEST = 4096  # characters; no path of Linux is longer: limits.h, PATH_MAX

# What stands between two characters that must match: `*`; directories, `**/`; anything.
STAR, DIRECTORIES, ANYTHING = "[^/]*", "(?:.*/)?", ".*"
ONE = "[^/]"  # `?`


class Pattern(Protocol):
    """What a path can be compared with."""

    def match(self, path: str) -> bool:
        """Return whether all of PATH is of this pattern."""


@dataclass(frozen=True)
class _Regex:
    """A pattern with at most one star, which takes linear time."""

    regex: re.Pattern[str]

    def match(self, path: str) -> bool:
        return self.regex.fullmatch(path) is not None


@dataclass(frozen=True)
class _Automaton:
    """A pattern with several; bit N of a set stands for "the first N parts have matched"."""

    accepted: int  # the place behind the last part
    stars: int  # the set of the stars' places: they match nothing, or take characters in
    crosses: int  # of those that take in a slash, too
    ends: int  # of those that are over only behind a slash: DIRECTORIES
    characters: dict[str, int]  # the places where this one stands
    any_but_slash: int  # the places of `?`
    classes: tuple[tuple[re.Pattern[str], int], ...]
    _masks: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: list[str]) -> "_Automaton":
        places: dict[str, int] = {}
        for at, part in enumerate(parts):
            places[part] = places.get(part, 0) | 1 << at
        star, directories, anything = (places.pop(s, 0) for s in (STAR, DIRECTORIES, ANYTHING))
        return cls(
            1 << len(parts),
            star | directories | anything,
            directories | anything,
            directories,
            any_but_slash=places.pop(ONE, 0),
            classes=tuple((re.compile(p), m) for p, m in places.items() if p.startswith("[")),
            # An escaped one ends with itself.
            characters={p[-1]: mask for p, mask in places.items() if not p.startswith("[")},
        )

    def match(self, path: str) -> bool:
        # A set may hold a star's place twice: nothing is taken in yet, or something is. For
        # DIRECTORIES these differ, since what was begun has to end with a slash.
        fresh, begun = self._closed(1), 0
        for char in path:
            stay = self.crosses if char == "/" else self.stars
            taken = (fresh | begun) & stay
            moved = (fresh & self._mask(char)) << 1
            if char == "/":
                moved |= (taken & self.ends) << 1
            begun = taken & self.ends
            fresh = self._closed(moved | (taken & ~self.ends))
        return bool(fresh & self.accepted)

    def _closed(self, places: int) -> int:
        # Two steps are enough: see _joined.
        places |= (places & self.stars) << 1
        return places | (places & self.stars) << 1

    def _mask(self, char: str) -> int:
        """Return the places whose part is one character, and this one."""
        found = self._masks.get(char)
        if found is None:
            found = self.characters.get(char, 0) | (self.any_but_slash if char != "/" else 0)
            for regex, places in self.classes:
                found |= places if regex.match(char) else 0
            self._masks[char] = found
        return found


def has_wildcard(pattern: str) -> bool:
    """Return whether PATTERN can match anything but itself."""
    return any(char in WILDCARDS for char in pattern)


def fixed_part(pattern: str) -> tuple[str, str]:
    """Return the directories of PATTERN before its first wildcard, and the rest, relative to them.

    That part is a path like any other: it has to be there, and its links are followed.
    """
    parts = pattern.split("/")
    first = next((n for n, part in enumerate(parts) if has_wildcard(part)), len(parts))
    return "/".join(parts[:first]), "/".join(parts[first:])


def literal(path: str) -> str:
    """Return the pattern that matches PATH alone."""
    return re.sub(r"([*?\[\\])", r"\\\1", path)


def compile_pattern(pattern: str, *, double_star: bool = False) -> Pattern:
    """Translate PATTERN; `*` and `?` do not match a slash. Raises ValueError if malformed."""
    if len(pattern) > LONGEST:
        raise ValueError(f"a pattern of more than {LONGEST} characters")
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        part, at = _part(pattern, at, double_star=double_star)
        _add(parts, part)
    if sum(part in {STAR, DIRECTORIES, ANYTHING} for part in parts) > 1:
        return _Automaton.of(parts)
    return _Regex(re.compile("".join(parts), re.DOTALL))


def _part(pattern: str, at: int, *, double_star: bool) -> tuple[str, int]:
    """Translate what stands AT into an expression; return it and where the next begins."""
    char = pattern[at]
    if double_star and pattern.startswith("**", at):
        is_suffix = at == 0 and _is_suffix(pattern[2:])
        at += 3 if pattern.startswith("/", at + 2) else 2
        return ANYTHING if is_suffix or at == len(pattern) else DIRECTORIES, at
    if char == "*":
        return STAR, at + 1
    if char == "?":
        return ONE, at + 1
    if char == "[":
        return _char_class(pattern, at)
    if char == "\\":
        if at + 1 == len(pattern):
            raise ValueError(f"the pattern {pattern!r} ends in a backslash")
        return re.escape(pattern[at + 1]), at + 2
    return re.escape(char), at + 1


def _is_suffix(rest: str) -> bool:
    """Return whether `**` and REST match what ends in REST: `**.pem`, but not `**/a`, `**a*`.

    https://github.com/moby/patternmatcher, suffixMatch: no slash need stand before it.
    """
    return bool(rest) and not rest.startswith("/") and not any(char in "*?[]\\" for char in rest)


# What two of them in a row are: a star behind directories is anything, and the same one
# twice is itself. What is not here stays two: a star, then directories.
_JOINED: dict[tuple[str, str], str] = {
    (STAR, STAR): STAR,
    (DIRECTORIES, DIRECTORIES): DIRECTORIES,
    (DIRECTORIES, STAR): ANYTHING,
    **{(ANYTHING, part): ANYTHING for part in (STAR, DIRECTORIES, ANYTHING)},
    **{(part, ANYTHING): ANYTHING for part in (STAR, DIRECTORIES)},
}


def _add(parts: list[str], part: str) -> None:
    """Add PART, joined with those before it where that is one: no three of them are in a row."""
    while parts and (joined := _JOINED.get((parts[-1], part))):
        parts.pop()
        part = joined
    parts.append(part)


def _char_class(pattern: str, at: int) -> tuple[str, int]:
    """Translate the class that opens at AT: `[` [ `^` ] ranges `]`."""
    malformed = ValueError(f"the pattern {pattern!r} has a malformed [class]")
    at += 1
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    while not (ranges and pattern.startswith("]", at)):
        low, at = _class_char(pattern, at, malformed)
        high = low
        if pattern.startswith("-", at):
            high, at = _class_char(pattern, at + 1, malformed)
        if high < low:
            raise malformed
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    # A negated class must not match a slash either.
    return f"[{'^/' if negated else ''}{''.join(ranges)}]", at + 1


def _class_char(pattern: str, at: int, malformed: ValueError) -> tuple[str, int]:
    if at < len(pattern) and pattern[at] == "\\":
        at += 1
    elif at >= len(pattern) or pattern[at] in "-]":
        raise malformed
    if at >= len(pattern):
        raise malformed
    return pattern[at], at + 1
