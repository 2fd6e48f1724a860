"""Changes inputs: bytes, lines, and trees of JSON and CBOR."""

import json
import random
import re
import string
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import CodeType, ModuleType
from typing import Any

import cbor2

from fuzz.target import Target
from vcr.model import cbor

EDGES = (
    0,
    1,
    2,
    7,
    8,
    16,
    31,
    32,
    63,
    64,
    100,
    127,
    128,
    255,
    256,
    511,
    512,
    1000,
    4095,
    4096,
    32767,
    65535,
    65536,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 53) + 1,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)
ODD_TEXT = (
    "",
    "\0",
    "\x1b[2J",
    "\x7f",
    "\u202e",
    "\ud7ff",
    "\uffff",
    "\U0010ffff",
    "é",
    "\r",
    "\n",
    "\t",
    " ",
    "..",
    "../..",
    "/",
    "//",
    ".",
    "-",
    "--",
    "%",
    "%00",
    "${",
    "$A",
    "'",
    '"',
    "`",
    "\\",
    "[",
    "]",
    "(",
    "{",
    "}",
    "*",
    "**/",
    "!",
    "#",
    "=",
    ":",
    "@",
    "~",
    "^",
    "|",
    "&&",
    "²",
    "٣",
    "0x",
    "-1",
    "1e999",
    "nan",
    "1" * 5000,
    "A" * 5000,
    "a/" * 600,
    "[" * 1500,
    "(" * 1500,
    "{" * 1500,
    "**/a/" * 30,
    "9" * 20,
    "${A:-" * 200,
)
ODD_VALUES: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: False,
    lambda: -1,
    lambda: 0,
    lambda: 1.5,
    lambda: -0.0,
    lambda: 1e308,
    lambda: random.choice(EDGES),
    lambda: -random.choice(EDGES),
    lambda: 10**30,
    lambda: float("inf"),
    lambda: random.choice(ODD_TEXT),
    list,
    dict,
    lambda: [[]],
    lambda: {"": None},
    lambda: ["x"] * 100,
    lambda: [0] * 1000,
    lambda: nested(50),
    lambda: nested(900),
)
NUMBER = re.compile(rb"\d+")


def nested(depth: int) -> Any:
    """Return lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def words_of(modules: Sequence[ModuleType]) -> list[bytes]:
    """Return the constants in MODULES: what a reader looks for is in its code."""
    found: set[bytes] = set()
    for module in modules:
        with suppress(OSError, AttributeError):
            with open(module.__file__ or "", "rb") as file:  # noqa: PTH123
                code = compile(file.read(), "", "exec")
            found |= set(_constants(code))
    return sorted(found)


def _constants(code: CodeType) -> Iterator[bytes]:
    for value in code.co_consts:
        yield from _words(value)


def _words(value: object) -> Iterator[bytes]:
    match value:
        case CodeType():
            yield from _constants(value)
        case tuple() | frozenset():
            for each in value:
                yield from _words(each)
        case str() if 0 < len(value) < 40:
            yield value.encode("utf-8", "surrogatepass")
        case bytes() if 0 < len(value) < 40:
            yield value
        case int() if value > 1 << 8 and not isinstance(value, bool) and value < 1 << 64:
            yield value.to_bytes(8, "big").lstrip(b"\0")
            yield value.to_bytes(8, "little").rstrip(b"\0")
        case _:
            pass


class Mutator:
    """Changes inputs of one target."""

    def __init__(self, target: Target) -> None:
        """Collect the words that TARGET may want to see."""
        self.target = target
        self._words = [*words_of(target.modules), *target.words] or [b"\0"]

    def change(self, data: bytes, other: bytes) -> bytes:
        """Return DATA changed, perhaps with parts of OTHER."""
        form = self.target.form
        for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5, 9))):
            if form in {"json", "cbor"} and random.random() < 0.7:
                data = self._tree(data, form)
            elif form != "bytes" and random.random() < 0.7:
                data = random.choice(TEXT_CHANGES)(self, data, other)
            else:
                data = random.choice(BYTE_CHANGES)(self, data, other)
            data = data[: self.target.most]
        if self.target.mend is not None and random.random() < 0.8:
            with suppress(Exception):
                data = self.target.mend(data)
        return data[: self.target.most]

    def _tree(self, data: bytes, form: str) -> bytes:
        try:
            value = _load(data, form)
            changed = _changed(value, self._text)
            return _dump(changed, form)
        except Exception:
            return random.choice(BYTE_CHANGES)(self, data, b"")

    def _text(self) -> str:
        return random.choice(self._words).decode("utf-8", "replace")

    def flip(self, data: bytes, _other: bytes) -> bytes:
        """Change one bit."""
        if not data:
            return b"\0"
        at = random.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]

    def byte(self, data: bytes, _other: bytes) -> bytes:
        """Put another byte."""
        at = random.randrange(len(data) + 1)
        return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]

    def number(self, data: bytes, _other: bytes) -> bytes:
        """Put a number of an edge, in 1 to 8 bytes, either way round."""
        size = random.choice((1, 2, 4, 8))
        order: Any = random.choice(("big", "little"))
        value = (random.choice(EDGES) + random.choice((-1, 0, 0, 0, 1))) & ((1 << 8 * size) - 1)
        at = random.randrange(max(len(data) - size, 0) + 1)
        return data[:at] + value.to_bytes(size, order) + data[at + size :]

    def decimal(self, data: bytes, _other: bytes) -> bytes:
        """Put another number for one that is written in digits."""
        found = list(NUMBER.finditer(data))
        if not found:
            return self.word(data, b"")
        match = random.choice(found)
        value = random.choice((str(random.choice(EDGES)), "-1", "9" * 30, "9" * 4301, "1.5", ""))
        return data[: match.start()] + value.encode() + data[match.end() :]

    def insert(self, data: bytes, _other: bytes) -> bytes:
        """Put random bytes in between."""
        at = random.randrange(len(data) + 1)
        return data[:at] + random.randbytes(random.choice((1, 2, 4, 8, 64))) + data[at:]

    def word(self, data: bytes, _other: bytes) -> bytes:
        """Put a word in between, or over what is there."""
        at, word = random.randrange(len(data) + 1), random.choice(self._words)
        return data[:at] + word + data[at + (len(word) if random.random() < 0.5 else 0) :]

    def cut(self, data: bytes, _other: bytes) -> bytes:
        """Take a piece out."""
        begin, end = _range(data)
        return data[:begin] + data[end:]

    def end(self, data: bytes, _other: bytes) -> bytes:
        """Cut off the end."""
        return data[: random.randrange(len(data) + 1)]

    def double(self, data: bytes, _other: bytes) -> bytes:
        """Repeat a piece, sometimes very often."""
        begin, end = _range(data)
        times = random.choice((1, 1, 2, 3, 10, 100, 5000))
        return data[:end] + (data[begin:end] * times)[: self.target.most] + data[end:]

    def move(self, data: bytes, _other: bytes) -> bytes:
        """Copy a piece to another place."""
        begin, end = _range(data)
        at = random.randrange(len(data) + 1)
        return data[:at] + data[begin:end] + data[at + random.choice((0, end - begin)) :]

    def splice(self, data: bytes, other: bytes) -> bytes:
        """Go on with the end of OTHER."""
        at = random.randrange(len(data) + 1)
        return data[:at] + other[random.randrange(len(other) + 1) :]

    def line(self, data: bytes, other: bytes) -> bytes:
        """Take out, repeat, move or add a line."""
        lines = data.split(b"\n")
        at = random.randrange(len(lines))
        match random.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines[at:at] = [lines[at]] * random.choice((1, 2, 200))
            case 2:
                lines.insert(random.randrange(len(lines)), lines.pop(at))
            case 3:
                lines.insert(at, random.choice(other.split(b"\n")))
            case _:
                lines[at] = b" ".join(
                    random.sample(lines[at].split(b" "), lines[at].count(b" ") + 1)
                )
        return b"\n".join(lines)

    def odd(self, data: bytes, _other: bytes) -> bytes:
        """Put odd text in between."""
        text = random.choice((*ODD_TEXT, random.choice(string.printable)))
        at = random.randrange(len(data) + 1)
        return data[:at] + text.encode("utf-8", "surrogatepass") + data[at:]


type _Change = Callable[[Mutator, bytes, bytes], bytes]
BYTE_CHANGES: tuple[_Change, ...] = (
    Mutator.flip,
    Mutator.byte,
    Mutator.number,
    Mutator.insert,
    Mutator.word,
    Mutator.cut,
    Mutator.end,
    Mutator.double,
    Mutator.move,
    Mutator.splice,
    Mutator.decimal,
)
TEXT_CHANGES: tuple[_Change, ...] = (
    Mutator.line,
    Mutator.line,
    Mutator.odd,
    Mutator.odd,
    Mutator.word,
    Mutator.decimal,
    Mutator.cut,
    Mutator.double,
    Mutator.move,
    Mutator.splice,
)


def _range(data: bytes) -> tuple[int, int]:
    begin = random.randrange(len(data) + 1)
    return begin, min(len(data), begin + random.choice((1, 2, 4, 8, 16, 64, 512, 4096)))


def _load(data: bytes, form: str) -> Any:
    if form == "json":
        return json.loads(data)
    return cbor.decode(data)  # not a library's: some inputs take it forever


def _dump(value: Any, form: str) -> bytes:
    if form == "json":
        text = json.dumps(value, ensure_ascii=random.random() < 0.5)
        return text.encode("utf-8", "surrogatepass")
    return bytes(cbor2.dumps(value))


def _changed(value: Any, text: Callable[[], str]) -> Any:
    """Return VALUE with one of its nodes changed."""
    inside = isinstance(value, dict | list) and len(value) > 0
    if inside and random.random() < 0.85:
        key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        match random.randrange(12):
            case 0:
                del value[key]
            case 1 if isinstance(value, dict):
                value[text()] = value.pop(key)
            case 1 | 2 if isinstance(value, list):
                value[key:key] = [value[key]] * random.choice((1, 5, 300))
            case _:
                value[key] = _changed(value[key], text)
        return value
    if isinstance(value, dict) and random.random() < 0.3:
        value[text()] = random.choice(ODD_VALUES)()
        return value
    if isinstance(value, str) and random.random() < 0.6:
        at = random.randrange(len(value) + 1)
        return value[:at] + random.choice((*ODD_TEXT, text())) + value[at + random.randrange(3) :]
    if isinstance(value, bytes) and random.random() < 0.6:
        at = random.randrange(len(value) + 1)
        return value[:at] + random.randbytes(random.choice((0, 1, 8, 600))) + value[at + 1 :]
    return text() if random.random() < 0.2 else random.choice(ODD_VALUES)()
