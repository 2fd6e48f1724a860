"""The lines of a Dockerfile: directives, comments, continuations, here-documents.

Gives logical lines that remember where each of their characters came from.
https://docs.docker.com/reference/dockerfile/#format
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from vcr.dockerfile.words import Expander, WordError, split_words
from vcr.errors import UsageError

DIRECTIVES = frozenset({"syntax", "escape", "check"})
HEREDOC_KEYWORDS = frozenset({"ADD", "COPY", "RUN"})

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(\S.*)\Z", re.DOTALL)
_HEREDOC = re.compile(r"[0-9]*<<(-?)([^<\s]+)")


@dataclass(frozen=True)
class Position:
    """A place in a Dockerfile; both count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def origin(self) -> str:
        """Return file and line, as later stages name an instruction."""
        return f"{self.file}:{self.line}"


def mistake(at: Position, what: str, *, why: str = "", fix: str = "") -> UsageError:
    """Return an error about the place AT."""
    return UsageError(f"{at}: {what}", why=why, fix=fix)


def is_unfit(text: str) -> bool:
    """Return whether TEXT cannot be a word of a command or the name of a file.

    Half of a surrogate pair, which JSON can write, is not a character.
    """
    return "\0" in text or any("\ud800" <= char <= "\udfff" for char in text)


@dataclass(frozen=True)
class Heredoc:
    """A here-document: its name and lines, without the line that ends it."""

    name: str
    content: str
    expand: bool  # the name was not quoted
    token: str  # the whole word as written, "<<-EOF"


@dataclass(frozen=True)
class LogicalLine:
    """One instruction's text, continuations joined."""

    file: str
    text: str
    starts: tuple[tuple[int, int, int], ...]  # (offset in text, line, column), ascending
    heredocs: tuple[Heredoc, ...] = ()

    def position(self, offset: int = 0) -> Position:
        """Return where the character at OFFSET of the text came from."""
        index = max(bisect_right(self.starts, (offset, 1 << 60, 0)) - 1, 0)
        start, line, column = self.starts[index]
        return Position(self.file, line, column + offset - start)


@dataclass
class Reader:
    """Splits a Dockerfile's text into logical lines."""

    text: str
    file: str
    escape: str = "\\"
    directives: dict[str, str] = field(default_factory=dict)
    _at: int = 0

    def __post_init__(self) -> None:
        text = self.text.removeprefix("\ufeff")
        self._lines = text.split("\n")
        for number, line in enumerate(self._lines, 1):
            if is_unfit(line):
                column = next(n for n, char in enumerate(line, 1) if is_unfit(char))
                raise mistake(Position(self.file, number, column), "there is a NUL")
        self._read_directives()

    def lines(self) -> Iterator[LogicalLine]:
        """Yield the instructions; raises UsageError for an unfinished here-document."""
        while self._at < len(self._lines):
            line = self._logical_line()
            if line is not None:
                yield line

    def _read_directives(self) -> None:
        """Directives stand before everything else, comments included."""
        while self._at < len(self._lines):
            match = _DIRECTIVE.match(self._lines[self._at].strip())
            if match is None or match[1].lower() not in DIRECTIVES:
                break
            name, value, at = match[1].lower(), match[2], Position(self.file, self._at + 1, 1)
            if name in self.directives:
                raise mistake(at, f"only one {name} directive is allowed")
            self.directives[name] = value
            if name == "escape":
                if value not in {"\\", "`"}:
                    raise mistake(
                        at, f"{value!r} cannot be the escape character", fix="use \\ or `"
                    )
                self.escape = value
            self._at += 1

    def _logical_line(self) -> LogicalLine | None:
        text, starts, continued = "", [], False
        while self._at < len(self._lines):
            raw, number = self._lines[self._at].rstrip("\r"), self._at + 1
            self._at += 1
            stripped = raw.strip()
            if stripped.startswith("#") or (not stripped and continued):
                continue  # a comment, or an empty line inside a continuation
            if not stripped:
                return None
            # Leading space belongs to the text only when something is before it.
            kept = raw if text else raw.lstrip()
            starts.append((len(text), number, len(raw) - len(kept) + 1))
            body, continued = self._split_continuation(kept)
            text += body
            if not continued:
                break
        if not text.strip():
            return None
        return self._with_heredocs(LogicalLine(self.file, text.rstrip(), tuple(starts)))

    def _split_continuation(self, line: str) -> tuple[str, bool]:
        """Take off one escape at the end, space after it allowed; more than one is text."""
        bare = line.rstrip(" \t")
        count = len(bare) - len(bare.rstrip(self.escape))
        if count == 1:
            return bare[:-1], True
        return line, False

    def _with_heredocs(self, line: LogicalLine) -> LogicalLine:
        words = line.text.split(None, 2)
        keyword = words[0].upper()
        if keyword == "ONBUILD" and len(words) > 1:
            keyword = words[1].upper()
        if keyword not in HEREDOC_KEYWORDS or "<<" not in line.text:
            return line
        found = []
        for offset, word in split_words(line.text, self.escape):
            match = _HEREDOC.fullmatch(word)
            if match is not None:
                found.append(self._heredoc(line.position(offset), match))
        return LogicalLine(line.file, line.text, line.starts, tuple(found))

    def _heredoc(self, at: Position, match: re.Match[str]) -> Heredoc:
        try:
            name = Expander({}, self.escape).word(match[2].replace("$", f"{self.escape}$"))
        except WordError as error:
            raise mistake(at, f"the here-document {match[0]}: {error}") from None
        chomp, content = bool(match[1]), list[str]()
        while self._at < len(self._lines):
            text = self._lines[self._at]
            self._at += 1
            if chomp:
                text = text.lstrip("\t")
            if text.rstrip("\r") == name:
                body = "".join(f"{row}\n" for row in content)
                return Heredoc(name, body, expand=match[2] == name, token=match[0])
            content.append(text)
        raise mistake(
            at,
            f"the here-document {name} has no end",
            fix=f"end it with a line that is just {name}",
        )
