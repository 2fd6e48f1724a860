"""Path patterns as Go's filepath.Match has them, and `**` of .dockerignore on top.

https://pkg.go.dev/path/filepath#Match, https://docs.docker.com/build/concepts/context/#syntax
"""

import re

WILDCARDS = frozenset("*?[\\")


def has_wildcard(pattern: str) -> bool:
    """Tell whether PATTERN can match anything but itself."""
    return any(char in WILDCARDS for char in pattern)


def compile_pattern(pattern: str, *, double_star: bool = False) -> re.Pattern[str]:
    """Translate PATTERN; `*` and `?` do not match a slash. Raises ValueError if malformed."""
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        if double_star and pattern.startswith("**", at):
            at += 3 if pattern.startswith("/", at + 2) else 2
            out.append("(?:.*/)?" if at < len(pattern) else ".*")
        elif char == "*":
            out.append("[^/]*")
            at += 1
        elif char == "?":
            out.append("[^/]")
            at += 1
        elif char == "[":
            text, at = _char_class(pattern, at)
            out.append(text)
        elif char == "\\":
            if at + 1 == len(pattern):
                raise ValueError(f"the pattern {pattern!r} ends in a backslash")
            out.append(re.escape(pattern[at + 1]))
            at += 2
        else:
            out.append(re.escape(char))
            at += 1
    return re.compile("".join(out) + r"\Z", re.DOTALL)


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
