"""Words of an instruction: splitting at spaces, quotes, and variable expansion.

The rules are those of the Dockerfile reference,
https://docs.docker.com/reference/dockerfile/#environment-replacement
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from vcr.dockerfile.globs import replaced, without_prefix, without_suffix

# name, value (None: not set), operand, replacement → what stands in its place
type Operator = Callable[[str, str | None, str, str], str]

LONGEST = 1 << 20  # characters that a word or a here-document may become

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?\-$!]")


class WordError(ValueError):
    """A word is malformed; OFFSET is where in it."""

    def __init__(self, reason: str, offset: int, fix: str = "") -> None:
        """Say what is wrong, where, and what to write instead."""
        super().__init__(reason)
        self.offset = offset
        self.fix = fix or "close it, or escape the character"


def split_words(text: str, escape: str) -> list[tuple[int, str]]:
    """Split TEXT at unquoted spaces into (offset, word); quotes and escapes are kept."""
    words: list[tuple[int, str]] = []
    start, quote, at = -1, "", 0
    while at < len(text):
        char = text[at]
        if start < 0 and not char.isspace():
            start = at
        if char == escape and quote != "'" and at + 1 < len(text):
            at += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char.isspace() and start >= 0:
            words.append((start, text[start:at]))
            start = -1
        at += 1
    if start >= 0:
        words.append((start, text[start:]))
    return words


def flag_words(text: str, escape: str) -> Iterator[tuple[int, str, int]]:
    """Yield the words of TEXT that begin with `--`: offset, word without quotes, its end.

    The word `--` is the last, and so is the one before a word that does not begin so. An escaped
    character stands for itself, between single quotes, too: BuildKit's extractBuilderFlags,
    https://github.com/moby/buildkit/blob/master/frontend/dockerfile/parser/split_command.go
    """
    at = len(text) - len(text.lstrip())
    while text.startswith("--", at):
        start, word, quote = at, list[str](), ""
        while at < len(text) and (quote or not text[at].isspace()):
            char = text[at]
            at += 1
            if char == quote:
                quote = ""
            elif not quote and char in "'\"":
                quote = char
            elif char == escape:  # before nothing it is dropped
                word.append(text[at : at + 1])
                at += 1
            else:
                word.append(char)
        yield start, "".join(word), min(at, len(text))
        if word == ["-", "-"]:
            return
        at += len(text[at:]) - len(text[at:].lstrip())


@dataclass
class _Text:
    """What an expansion has come to."""

    start: int  # of the text that is expanded, where its mistakes are
    parts: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, part: str) -> None:
        """Add PART; raises WordError when it gets too long."""
        self.size += len(part)
        if self.size > LONGEST:
            what = f"it expands to more than {LONGEST} characters"
            raise WordError(what, self.start, "shorten the values of its variables")
        self.parts.append(part)

    def __str__(self) -> str:
        return "".join(self.parts)


@dataclass(frozen=True)
class Expander:
    """Replaces variables and removes quotes, with VARIABLES and an ESCAPE character."""

    variables: Mapping[str, str]
    escape: str = "\\"

    def word(self, text: str) -> str:
        """Return TEXT expanded and unquoted; raises WordError."""
        try:
            result, end = self._until(text, 0, "")
        except RecursionError:
            raise WordError("its variables are nested too deep", 0, "nest fewer") from None
        assert end == len(text)  # noqa: S101 -- no terminator was asked for
        return result

    def unquoted(self, text: str) -> str:
        """Return a here-document's TEXT expanded, its quotes kept; raises WordError."""
        try:
            return self._unquoted(text)
        except RecursionError:
            raise WordError("its variables are nested too deep", 0, "nest fewer") from None

    def _unquoted(self, text: str) -> str:
        out, at = _Text(0), 0
        while at < len(text):
            char = text[at]
            if char == "\\":  # whatever the directive `escape` says
                out.add(text[at + 1 : at + 2])
                at += 2
            elif char == "$":
                value, at = self._dollar(text, at)
                out.add(value)
            else:
                out.add(char)
                at += 1
        return str(out)

    def _until(self, text: str, at: int, stop: str, *, pattern: bool = False) -> tuple[str, int]:
        """Expand from AT up to an unquoted STOP character, which is not consumed.

        In a PATTERN an escaped character stays marked, so that it is not a wildcard.
        """
        out = _Text(at)
        while at < len(text) and not (stop and text[at] in stop):
            char = text[at]
            if char == "'":
                piece, at = self._single(text, at)
            elif char == '"':
                piece, at = self._double(text, at)
            elif char == "$":
                piece, at = self._dollar(text, at)
            elif char == self.escape:
                piece, at = text[at + 1 : at + 2], at + 2  # before nothing it is dropped
                piece = f"\\{piece}" if pattern else piece
            else:
                piece, at = char, at + 1
            out.add(piece)
        return str(out), min(at, len(text))

    def _single(self, text: str, at: int) -> tuple[str, int]:
        end = text.find("'", at + 1)
        if end < 0:
            raise WordError("a ' is not closed", at)
        return text[at + 1 : end], end + 1

    def _double(self, text: str, start: int) -> tuple[str, int]:
        out, at = _Text(start), start + 1
        while at < len(text) and text[at] != '"':
            char = text[at]
            if char == "$":
                piece, at = self._dollar(text, at)
            elif char == self.escape and text[at + 1 : at + 2] in {'"', "$", self.escape}:
                piece, at = text[at + 1], at + 2
            else:
                piece, at = char, at + 1
            out.add(piece)
        if at >= len(text):
            raise WordError('a " is not closed', start)
        return str(out), at + 1

    def _dollar(self, text: str, at: int) -> tuple[str, int]:
        if text.startswith("${", at):
            return self._braces(text, at)
        match = _NAME.match(text, at + 1)
        if match is None:
            return "$", at + 1
        return self.variables.get(match[0], ""), match.end()

    def _braces(self, text: str, start: int) -> tuple[str, int]:
        match = _NAME.match(text, start + 2)
        if match is None:
            raise WordError("${ needs the name of a variable", start)
        name, at = match[0], match.end()
        value = self.variables.get(name)
        if text.startswith("}", at):
            return value or "", at + 1
        operator = next((op for op in _OPERATORS if text.startswith(op, at)), None)
        if operator is None:
            raise WordError(f"${{{name}...}} has no end or an unknown modifier", start)
        stop = "/}" if operator in {"/", "//"} else "}"
        is_pattern = operator[0] in "#%/"
        operand, at = self._until(text, at + len(operator), stop, pattern=is_pattern)
        replacement = ""
        if stop == "/}" and text.startswith("/", at):
            replacement, at = self._until(text, at + 1, "}")
        if not text.startswith("}", at):
            raise WordError("${ has no }", start)
        try:
            return _OPERATORS[operator](name, value, operand, replacement), at + 1
        except ValueError as error:
            fix = f"give {name} a value: ARG {name}=..." if operator.endswith("?") else "shorten it"
            raise WordError(str(error), start, fix) from None


def _default(_name: str, value: str | None, operand: str, _: str) -> str:
    return operand if value is None else value


def _default_if_empty(_name: str, value: str | None, operand: str, _: str) -> str:
    return value or operand


def _alternative(_name: str, value: str | None, operand: str, _: str) -> str:
    return "" if value is None else operand


def _alternative_if_full(_name: str, value: str | None, operand: str, _: str) -> str:
    return operand if value else ""


def _required(name: str, value: str | None, operand: str, _: str) -> str:
    if value is None:
        raise ValueError(f"{name}: {operand or 'is not set'}")
    return value


def _required_full(name: str, value: str | None, operand: str, _: str) -> str:
    if not value:
        raise ValueError(f"{name}: {operand or 'is not set or empty'}")
    return value


def _strip(*, prefix: bool, greedy: bool) -> Operator:
    cut = without_prefix if prefix else without_suffix
    return lambda _name, value, operand, _: cut(value or "", operand, greedy=greedy)


def _replace(*, everywhere: bool) -> Operator:
    def replace(_name: str, value: str | None, operand: str, replacement: str) -> str:
        if not operand:
            return value or ""
        return replaced(value or "", operand, replacement, everywhere=everywhere, most=LONGEST)

    return replace


# Longest first: ":-" before "-", "##" before "#".
_OPERATORS: dict[str, Operator] = {
    ":-": _default_if_empty,
    ":+": _alternative_if_full,
    ":?": _required_full,
    "##": _strip(prefix=True, greedy=True),
    "%%": _strip(prefix=False, greedy=True),
    "//": _replace(everywhere=True),
    "-": _default,
    "+": _alternative,
    "?": _required,
    "#": _strip(prefix=True, greedy=False),
    "%": _strip(prefix=False, greedy=False),
    "/": _replace(everywhere=False),
}
