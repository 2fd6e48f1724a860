"""What a word of a script is, as far as its text says: a value that is not known is None."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import translate

from vcr.formats.debian.syntax import Commands, Part, Word

_SPECIAL = re.compile(r"[*?\[\]]")
_GLOB = re.compile(r"[*?]|\[.+\]")
EACH = 16  # of what is spent: what a word takes beside its characters
MAX_PATTERN = 1000  # characters: to compile one takes more time than reading it
_BLANK = re.compile(r"[ \t\n]+")


@dataclass(frozen=True)
class Expander:
    """Expands words by the values of variables, and by what commands in them write."""

    variables: Mapping[str, str | None]  # one that is not there is not known
    arguments: Callable[[], list[str | None]]
    output: Callable[[Commands], str | None]
    spend: Callable[[int], None]  # takes account of characters, and raises for too many

    def fields(self, word: Word) -> list[str | None]:
        """Return the arguments that WORD is: none, one or several."""
        fields: list[str | None] = []
        current: str | None = ""
        begun = False
        for part in word:
            if part.kind == "parameter" and part.text in {"@", "*"} and not part.operator:
                arguments = self.arguments()
                self.spend(sum(len(each or "") + EACH for each in arguments))
                fields += arguments if len(word) == 1 else [None]
                continue
            value = self._value(part)
            if part.kind == "text" or part.quoted or value is None:
                is_glob = part.kind == "text" and not part.quoted and _GLOB.search(part.text)
                known = value is not None and current is not None and not is_glob
                current, begun = (current or "") + (value or "") if known else None, True
                continue
            pieces = _BLANK.split(value)
            for number, piece in enumerate(pieces):
                if number and begun:
                    fields.append(current)
                    current, begun = "", False
                if piece:
                    current, begun = None if current is None else current + piece, True
        return [*fields, current] if begun else fields

    def text(self, word: Word) -> str | None:
        """Return what WORD is as one text, as in an assignment."""
        values = [self._value(part) for part in word]
        known = [value for value in values if value is not None]
        return "".join(known) if len(known) == len(values) else None

    def pattern(self, word: Word) -> re.Pattern[str] | None:
        """Return what WORD matches as a pattern of case."""
        shape = self._shape(word)
        return None if shape is None else re.compile(translate(shape), re.DOTALL)

    def _shape(self, word: Word) -> str | None:
        shape = ""
        for part in word:
            value = self._value(part)
            if value is None:
                return None
            shape += _SPECIAL.sub(r"[\g<0>]", value) if part.quoted else value
        return shape if len(shape) <= MAX_PATTERN else None

    def _value(self, part: Part) -> str | None:
        value = self._known(part)
        self.spend(len(value or "") + EACH)
        return value

    def _known(self, part: Part) -> str | None:
        if part.kind == "text":
            return part.text
        if part.kind == "command":
            output = self.output(part.body)
            return None if output is None else output.rstrip("\n")
        if part.kind == "parameter":
            return self._parameter(part)
        return None

    def _parameter(self, part: Part) -> str | None:
        value, operator = self._plain(part.text), part.operator.lstrip(":")
        if not operator or value is None:
            return value
        if operator in {"-", "="}:
            return value or self.text(part.word)
        if operator == "+":
            return self.text(part.word) if value else ""
        shape = self._shape(part.word) if operator[0] in "#%" else None
        if shape is None:
            return None
        self.spend(len(value) * (len(value) + len(shape)))
        return _cut(value, operator, shape)

    def _plain(self, name: str) -> str | None:
        arguments = self.arguments()
        if name == "#":
            return str(len(arguments))
        if name in {"@", "*"}:
            known = [argument for argument in arguments if argument is not None]
            return " ".join(known) if len(known) == len(arguments) else None
        if name.isdigit() and name != "0":
            return arguments[int(name) - 1] if int(name) <= len(arguments) else ""
        return self.variables.get(name)


def _cut(value: str, operator: str, shape: str) -> str:
    """Return VALUE without what SHAPE matches at one end: the shortest, or the longest."""
    pattern = re.compile(translate(shape), re.DOTALL)
    sizes = range(len(value) + 1)
    for size in reversed(sizes) if len(operator) == 2 else sizes:
        if operator[0] == "#" and pattern.match(value[:size]):
            return value[size:]
        if operator[0] == "%" and pattern.match(value[len(value) - size :]):
            return value[: len(value) - size]
    return value
