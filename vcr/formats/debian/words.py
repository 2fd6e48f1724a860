"""Reads words of a shell script, and what is between them."""

import re
from itertools import groupby

from vcr.formats.debian.syntax import Commands, Part, UnreadableError, Word

_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_OPERATOR = re.compile(r":?[-=?+]|##?|%%?")
_PLAIN = re.compile(r"[^\s;&|()<>\"'$`\\]+")
_REDIRECTION = re.compile(r"[0-9]?(?:>>|>\||>&|<&|<>|<<-?|>|<)|&>")
_SEPARATORS = ("&&", "||", ";;", ";", "&", "|", "(", ")", "\n")


class Words:
    """Where it is in a text."""

    def __init__(self, text: str, at: int = 0, depth: int = 0) -> None:
        self.text, self.at, self.depth = text, at, depth
        self._documents: list[tuple[str, bool]] = []  # here-documents that begin on the next line

    def inner(self, text: str, at: int) -> tuple[Commands, int]:
        """Return the commands of TEXT from AT on, and where they end."""
        raise NotImplementedError

    def wrong(self) -> UnreadableError:
        """Return an error that says where it is."""
        line = self.text.count("\n", 0, self.at) + 1
        return UnreadableError(f"line {line} is not understood")

    def skip(self) -> None:
        """Skip to the next word or operator: over blanks, continuations and comments."""
        while self.at < len(self.text):
            if self.text[self.at] in " \t\r":
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def separator(self) -> str:
        """Return what separates words here, "" for nothing such."""
        self.skip()
        return next((s for s in _SEPARATORS if self.text.startswith(s, self.at)), "")

    def take(self, separator: str) -> None:
        """Pass SEPARATOR, which is here."""
        self.at += len(separator)
        if separator == "\n":
            self._skip_documents()

    def _skip_documents(self) -> None:
        for delimiter, tabs in self._documents:
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line, self.at = self.text[self.at : end], min(end + 1, len(self.text))
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
        self._documents = []

    def lines(self) -> None:
        """Pass ends of lines."""
        while self.separator() == "\n":
            self.take("\n")

    def peek(self) -> str:
        """Return the next word as it is written, when it is plain; "" else."""
        self.skip()
        found = _PLAIN.match(self.text, self.at)
        return found[0] if found else ""

    def expect(self, word: str) -> None:
        """Pass WORD; raises UnreadableError unless it is here."""
        self.lines()
        if self.peek() != word:
            raise self.wrong()
        self.at += len(word)

    def close(self) -> None:
        """Pass a closing parenthesis; raises UnreadableError unless it is here."""
        self.lines()
        if self.separator() != ")":
            raise self.wrong()
        self.take(")")

    def redirection(self) -> bool:
        """Pass a redirection; return whether there was one."""
        self.skip()
        match = _REDIRECTION.match(self.text, self.at)
        if match is None:
            return False
        self.at = match.end()
        self.skip()
        begun = self.at
        self.word()
        if "<<" in match[0]:
            delimiter = re.sub(r"[\\\"']", "", self.text[begun : self.at])
            self._documents.append((delimiter, match[0].endswith("-")))
        return True

    def word(self) -> Word:
        """Return the word here, which may be empty."""
        parts: list[Part] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r\n;&|()<>":
                break
            if char == "'":
                end = self.text.find("'", self.at + 1)
                if end < 0:
                    raise self.wrong()
                parts.append(Part("text", self.text[self.at + 1 : end], quoted=True))
                self.at = end + 1
            elif char == '"':
                parts += self._double()
            else:
                parts += self._piece(quoted=False)
        return _joined(parts)

    def _double(self) -> list[Part]:
        self.at += 1
        parts: list[Part] = []
        while self.at < len(self.text):
            if self.text[self.at] == '"':
                self.at += 1
                return parts or [Part("text", "", quoted=True)]
            parts += self._piece(quoted=True)
        raise self.wrong()

    def _piece(self, *, quoted: bool) -> list[Part]:
        """Return what is here: one character, or what begins with a special one."""
        char = self.text[self.at]
        self.at += 1
        if char == "\\":
            escaped = self.text[self.at : self.at + 1]
            self.at += 1
            kept = "\\" if quoted and escaped not in '$`"\\\n' else ""
            return [] if escaped == "\n" else [Part("text", kept + escaped, quoted=True)]
        if char == "`":
            return [self._backquoted(quoted=quoted)]
        if char == "$":
            return [self._dollar(quoted=quoted)]
        return [Part("text", char, quoted)]

    def _backquoted(self, *, quoted: bool) -> Part:
        end = self.at
        while end < len(self.text) and self.text[end] != "`":
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise self.wrong()
        inner = re.sub(r"\\([$`\\])", r"\1", self.text[self.at : end])
        self.at = end + 1
        body, _ = self.inner(inner, 0)
        return Part("command", quoted=quoted, body=body)

    def _dollar(self, *, quoted: bool) -> Part:
        if self.text.startswith("((", self.at):
            self.at = _arithmetic_end(self.text, self.at)
            return Part("unknown", quoted=quoted)
        if self.text.startswith("(", self.at):
            body, self.at = self.inner(self.text, self.at + 1)
            self.close()
            return Part("command", quoted=quoted, body=body)
        if self.text.startswith("{", self.at):
            return self._braced(quoted=quoted)
        match = _PARAMETER.match(self.text, self.at)
        if match is None:
            return Part("text", "$", quoted=True)
        self.at = match.end()
        return Part("parameter", match[0], quoted)

    def _braced(self, *, quoted: bool) -> Part:
        match = _PARAMETER.match(self.text, self.at + 1)
        if match is None:
            raise self.wrong()
        self.at = match.end()
        found = _OPERATOR.match(self.text, self.at)
        self.at = found.end() if found else self.at
        word: list[Part] = []
        while self.at < len(self.text) and self.text[self.at] != "}":
            char = self.text[self.at]
            if char == '"':
                word += self._double()
            elif char == "'" and not quoted:
                end = self.text.find("'", self.at + 1)
                if end < 0:
                    raise self.wrong()
                word.append(Part("text", self.text[self.at + 1 : end], quoted=True))
                self.at = end + 1
            else:
                word += self._piece(quoted=False)
        if self.at >= len(self.text):
            raise self.wrong()
        self.at += 1
        if word and not found:
            return Part("unknown", quoted=quoted)
        return Part("parameter", match[0], quoted, found[0] if found else "", tuple(word))


def _joined(parts: list[Part]) -> Word:
    """Return PARTS with neighbours of plain text as one."""
    found: list[Part] = []
    for (kind, quoted), some in groupby(parts, key=lambda part: (part.kind, part.quoted)):
        if kind == "text":
            found.append(Part(kind, "".join(part.text for part in some), quoted))
        else:
            found += some
    return tuple(found)


def _arithmetic_end(text: str, at: int) -> int:
    end = text.find("))", at)
    if end < 0:
        raise UnreadableError("an arithmetic expansion does not end")
    return end + 2
