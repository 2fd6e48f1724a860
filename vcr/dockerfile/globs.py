"""The patterns of `${NAME#PATTERN}`, `%` and `/`: `*` is any text, `?` any character.

Between stars a pattern has pieces of a fixed length, which are looked for one after the other:
each as early as it can be, and for the longest match the last one as late as it can be. So a
pattern of many stars takes no longer than one of a single star.
"""

import re
from dataclasses import dataclass

LONGEST = 1024  # characters of a pattern
_PARTS = re.compile(r"\\.|.", re.DOTALL)


@dataclass(frozen=True)
class Glob:
    """A pattern: what stands between its stars."""

    pieces: tuple[re.Pattern[str], ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, pattern: str, *, backwards: bool = False) -> "Glob":
        """Read PATTERN, or what it is when text is read BACKWARDS; raises ValueError."""
        if len(pattern) > LONGEST:
            raise ValueError(f"a pattern of more than {LONGEST} characters")
        pieces: list[list[str]] = [[]]
        for part in _PARTS.findall(pattern):
            if part == "*":
                pieces.append([])
            else:
                pieces[-1].append("." if part == "?" else re.escape(part[-1]))
        if backwards:
            pieces = [piece[::-1] for piece in pieces[::-1]]
        regexes = tuple(re.compile("".join(piece), re.DOTALL) for piece in pieces)
        return cls(regexes, tuple(map(len, pieces)))

    @property
    def is_star(self) -> bool:
        """Return whether any text is of it."""
        return len(self.sizes) > 1 and not any(self.sizes)

    def match(self, text: str, begin: int = 0, *, greedy: bool) -> int | None:
        """Return where a match that begins at BEGIN ends: as late as can be if GREEDY."""
        if self.pieces[0].match(text, begin) is None:
            return None
        at = begin + self.sizes[0]
        for number in range(1, len(self.pieces)):
            is_last = number == len(self.pieces) - 1
            found = self._late(text, at) if is_last and greedy else self._early(number, text, at)
            if found is None:
                return None
            at = found
        return at

    def search(self, text: str, begin: int) -> tuple[int, int] | None:
        """Return where the first match from BEGIN on begins and ends, the longest there."""
        # If the rest is not found behind the first place, it is not behind a later one either.
        first = self.pieces[0].search(text, begin)
        if first is None:
            return None
        end = self.match(text, first.start(), greedy=True)
        return None if end is None else (first.start(), end)

    def _early(self, number: int, text: str, at: int) -> int | None:
        found = self.pieces[number].search(text, at)
        return found.end() if found else None

    def _late(self, text: str, at: int) -> int | None:
        piece, size = self.pieces[-1], self.sizes[-1]
        starts = range(len(text) - size, at - 1, -1)
        return next((start + size for start in starts if piece.match(text, start)), None)


def without_prefix(text: str, pattern: str, *, greedy: bool) -> str:
    """Return TEXT without what of its beginning is of PATTERN; raises ValueError."""
    end = Glob.of(pattern).match(text, greedy=greedy)
    return text if end is None else text[end:]


def without_suffix(text: str, pattern: str, *, greedy: bool) -> str:
    """Return TEXT without what of its end is of PATTERN; raises ValueError."""
    end = Glob.of(pattern, backwards=True).match(text[::-1], greedy=greedy)
    return text if end is None else text[: len(text) - end]


def replaced(text: str, pattern: str, replacement: str, *, everywhere: bool, most: int) -> str:
    """Return TEXT with REPLACEMENT for the first of PATTERN, or for each.

    Raises ValueError for what gets longer than MOST characters.
    """
    glob = Glob.of(pattern)
    if glob.is_star:  # all of it, and behind that nothing, which is of the pattern, too
        return replacement * (2 if everywhere and text else 1)
    out, at, left = list[str](), 0, most - len(text)
    while found := glob.search(text, at):
        begin, end = found
        out += [text[at:begin], replacement]
        at, left = end, left - len(replacement)
        if left < 0:
            raise ValueError(f"it expands to more than {most} characters")
        if not everywhere:
            break
    return "".join([*out, text[at:]])
