"""Reads the text of a shell script into commands: the part of the language that postinst use.

https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html is the grammar. Nothing
here runs anything; what it means is vcr/formats/debian/script.py's.
"""

import re
from itertools import islice

from vcr.formats.debian import syntax
from vcr.formats.debian.syntax import Command, Commands, UnreadableError, Word
from vcr.formats.debian.words import Words
from vcr.formats.tree import CHUNK, Node

MAX_SCRIPT = 1 << 20  # characters
MAX_PIECES = 4 * MAX_SCRIPT // CHUNK + 1  # a character has four bytes at most
MAX_DEPTH = 40  # of commands in commands
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_CALL = re.compile(r"[ \t]*\([ \t]*\)")
_ENDS = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}"})


def parse(text: str) -> Commands:
    """Return the commands of the script TEXT; raises UnreadableError."""
    if len(text) > MAX_SCRIPT:
        raise UnreadableError(f"it has more than {MAX_SCRIPT} characters")
    parser = _Parser(text)
    try:
        commands = parser.commands(frozenset())
    except RecursionError:
        raise parser.wrong() from None
    if parser.at < len(text):
        raise parser.wrong()
    return commands


class _Parser(Words):
    """Reads commands, at a place in a text."""

    def inner(self, text: str, at: int) -> tuple[Commands, int]:
        """Return the commands of TEXT from AT on, and where they end."""
        parser = _Parser(text, at, self.depth)
        return parser.commands(frozenset()), parser.at

    def commands(self, ends: frozenset[str]) -> Commands:
        """Return the commands up to one of the ENDS, or to `)`, `;;` or the end of the text."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.wrong()
        found: list[Command] = []
        while True:
            separator = self.separator()
            if separator in {"\n", ";", "&"}:
                self.take(separator)
            elif separator in {")", ";;"} or self.at >= len(self.text) or self.peek() in ends:
                self.depth -= 1
                return tuple(found)
            else:
                found.append(self._chain())

    def _chain(self) -> Command:
        links = [("", self._pipe())]
        while (separator := self.separator()) in {"&&", "||"}:
            self.take(separator)
            self.lines()
            links.append((separator, self._pipe()))
        return links[0][1] if len(links) == 1 else syntax.Chain(tuple(links))

    def _pipe(self) -> Command:
        if self.peek() == "!":
            self.at += 1
            return syntax.Not(self._pipe())
        commands = [self._command()]
        while self.separator() == "|":
            self.take("|")
            self.lines()
            commands.append(self._command())
        return commands[0] if len(commands) == 1 else syntax.Pipe(tuple(commands))

    def _command(self) -> Command:
        word = self.peek()
        compound = {
            "if": self._if, "for": self._for, "while": self._loop, "until": self._loop,
            "case": self._case, "{": self._braces,
        }  # fmt: skip
        if self.separator() == "(":
            self.take("(")
            body = self.commands(frozenset())
            self.close()
            command: Command = syntax.Pipe((syntax.Group(body),))
        elif word in compound:
            self.at += len(word)
            command = compound[word]()
        elif word in _ENDS:
            raise self.wrong()
        elif _NAME.fullmatch(word) and _CALL.match(self.text, self.at + len(word)):
            return self._function(word)
        else:
            return self._simple()
        while self.redirection():
            pass
        return command

    def _function(self, name: str) -> Command:
        self.at = self.text.index(")", self.at) + 1
        self.lines()
        return syntax.Function(name, (self._command(),))

    def _if(self) -> Command:
        arms = []
        ends = frozenset({"elif", "else", "fi"})
        while True:
            condition = self.commands(frozenset({"then"}))
            self.expect("then")
            arms.append((condition, self.commands(ends)))
            word = self.peek()
            if word not in ends:
                raise self.wrong()
            self.at += len(word)
            if word == "elif":
                continue
            other: Commands = ()
            if word == "else":
                other = self.commands(frozenset({"fi"}))
                self.expect("fi")
            return syntax.If(tuple(arms), other)

    def _for(self) -> Command:
        name = self.peek()
        if not _NAME.fullmatch(name):
            raise self.wrong()
        self.at += len(name)
        self.lines()
        words: list[Word] | None = None
        if self.peek() == "in":
            self.at += 2
            words = []
            while not self.separator():
                words.append(self._word())
        body = self._body()
        return syntax.For(name, None if words is None else tuple(words), body)

    def _body(self) -> Commands:
        while self.separator() in {";", "\n"}:
            self.take(self.separator())
        self.expect("do")
        body = self.commands(frozenset({"done"}))
        self.expect("done")
        return body

    def _loop(self) -> Command:
        condition = self.commands(frozenset({"do"}))
        return syntax.Loop(condition, self._body())

    def _case(self) -> Command:
        self.skip()
        word = self.word()
        self.expect("in")
        arms: list[tuple[tuple[Word, ...], Commands]] = []
        while True:
            self.lines()
            if self.peek() == "esac":
                self.at += len("esac")
                return syntax.Case(word, tuple(arms))
            if self.separator() == "(":
                self.take("(")
            patterns = [self._word()]
            while self.separator() == "|":
                self.take("|")
                self.skip()
                patterns.append(self._word())
            self.close()
            body = self.commands(frozenset({"esac"}))
            arms.append((tuple(patterns), body))
            if self.separator() == ";;":
                self.take(";;")

    def _braces(self) -> Command:
        body = self.commands(frozenset({"}"}))
        self.expect("}")
        return syntax.Group(body)

    def _simple(self) -> Command:
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        begun = self.at
        while not self.separator() and self.at < len(self.text):
            if self.redirection():
                continue
            match = _ASSIGNMENT.match(self.text, self.at)
            if match and not words:
                self.at = match.end()
                assignments.append((match[0][:-1], self.word()))
            else:
                words.append(self._word())
        if self.at == begun:
            raise self.wrong()
        return syntax.Simple(tuple(assignments), tuple(words))

    def _word(self) -> Word:
        """Return the word here; raises UnreadableError where there is none."""
        begun = self.at
        word = self.word()
        if self.at == begun:
            raise self.wrong()
        return word


def script_text(node: Node) -> str:
    """Return the text of the script NODE, a file; of one that is too long, more than is read."""
    pieces = islice(node.content.chunks(), MAX_PIECES)
    return b"".join(pieces).decode("utf-8", "replace")
