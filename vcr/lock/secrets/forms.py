"""The forms a text can be written in, so that a secret is found whatever a server made of it.

As it is; with characters escaped for an address (RFC 3986, more than once, too), for JSON,
HTML, quoted-printable or C; in base64 (RFC 4648, either alphabet) wherever it begins in what
was encoded; in hex; in UTF-16. A hash of it is not a form of it.
"""

import base64
import functools
import html
import json
import re
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

ALPHABETS = (b"+/", b"-_")
_RUN = {alphabet: re.compile(rb"[A-Za-z0-9%s]+" % re.escape(alphabet)) for alphabet in ALPHABETS}
# Ways to escape a character: of addresses, quoted-printable, HTML, JSON and C. Each begins
# with a literal, which is what makes `re` fast at finding none.
_ESCAPE = re.compile(
    rb"%(?:(?:25)*(?P<percent>[0-9A-Fa-f]{2})|u(?P<unit>[0-9A-Fa-f]{4}))"
    rb"|=(?P<quoted>[0-9A-Fa-f]{2})"
    rb"|&(?:amp;)*(?P<entity>#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos);"
    rb"|\\\\{0,2}(?:u(?P<units>[0-9A-Fa-f]{4}(?:\\{1,3}u[dD][c-fC-F][0-9A-Fa-f]{2})?)"
    rb"|x(?P<hexed>[0-9A-Fa-f]{2})|0?(?P<octal>[0-3][0-7]{2})|(?P<character>.))"
)
_NAMED = {'"': b"quot", "&": b"amp", "<": b"lt", ">": b"gt", "'": b"apos"}


class UncleanError(Exception):
    """A form was found that cannot be written with other words in its place."""


@dataclass(frozen=True)
class Seen:
    """DATA, and what a reader of escapes sees in it: made once, however much is looked for."""

    data: bytes

    @functools.cached_property
    def views(self) -> tuple[bytes, ...]:
        """Return the data as it is, without escapes, and without escapes of escapes."""
        once = plain(self.data)
        return (self.data, once, plain(once)) if once != self.data else (self.data,)

    @functools.cached_property
    def lower(self) -> tuple[bytes, ...]:
        """Return the views in lower case, also as a form that was sent has it: a + is a space."""
        spaced = plain(self.data.replace(b"+", b" ")) if b"+" in self.data else b""
        return tuple(view.lower() for view in (*self.views, spaced))


@dataclass(frozen=True)
class Forms:
    """All forms of one TEXT, in UTF-8."""

    text: bytes

    @functools.cached_property
    def escaped(self) -> re.Pattern[bytes]:
        """Match the text with any of its characters escaped, in any of these ways."""
        return _escaped(self.text)

    @functools.cached_property
    def cores(self) -> tuple[tuple[int, re.Pattern[bytes]], ...]:
        """Return what each of three alignments in base64 has of the text alone, and its shift."""
        return tuple(
            (shift, _escaped(core.translate(bytes.maketrans(b"+/", alphabet))))
            for shift in range(3)
            for core in [_core(self.text, shift)]
            for alphabet in (ALPHABETS if {*core} & {*ALPHABETS[0]} else ALPHABETS[:1])
        )

    @functools.cached_property
    def hexed(self) -> re.Pattern[bytes]:
        """Match the text in hex, in either case, its bytes apart or not."""
        return re.compile(rb"[\s:,-]?".join(_hex_digits(byte) for byte in self.text))

    @functools.cached_property
    def wide(self) -> tuple[tuple[str, bytes], ...]:
        """Return the text in UTF-16, in either order of bytes."""
        text = self.text.decode()
        return tuple((name, text.encode(name)) for name in ("utf-16-le", "utf-16-be"))

    @functools.cached_property
    def _signs(self) -> tuple[bytes, ...]:
        """Return the forms that are looked for as they are, where nothing is escaped any more."""
        cores = [_core(self.text, shift) for shift in range(3)]
        both = [core.translate(bytes.maketrans(b"+/", b"-_")) for core in cores]
        return (*cores, *both, *(wide for _, wide in self.wide))

    @functools.cached_property
    def _lower(self) -> tuple[bytes, ...]:
        once = plain(self.text)
        return tuple({each.lower() for each in (self.text, once, plain(once))})

    def is_in(self, seen: Seen) -> bool:
        """Return whether any form is in what was SEEN."""
        return (
            self.text in seen.data
            or any(sign in view for view in seen.views for sign in self._signs)
            or any(text in view for view in seen.lower for text in self._lower)
            or any(self.text.hex().encode() in view for view in seen.lower)
        )

    def replaced(self, data: bytes, new: bytes, quoted: bytes) -> bytes:
        """Return DATA with NEW in the place of each form, written in the form it had.

        QUOTED is put where the text was percent-encoded and could not be otherwise. Raises
        UncleanError for a form that NEW cannot be written in.
        """
        data = data.replace(self.text, new)
        if not self.is_in(Seen(data)):  # what follows takes its time
            return data
        data = self.escaped.sub(lambda match: self._rewritten(match[0], new, quoted), data)
        for shift, core in self.cores:
            data = _in_base64(data, core, shift, lambda plain: plain.replace(self.text, new))
        data = self.hexed.sub(lambda match: self._rehexed(match[0], new), data)
        for name, wide in self.wide:
            data = data.replace(wide, new.decode().encode(name))
        return data

    def _rewritten(self, found: bytes, new: bytes, quoted: bytes) -> bytes:
        if found == self.text:
            return new
        if self.text in {urllib.parse.unquote_to_bytes(way) for way in _readings(found)}:
            return quoted
        if self.text in set(_unescaped(found.decode("utf-8", "replace"))):
            return new
        raise UncleanError

    def _rehexed(self, found: bytes, new: bytes) -> bytes:
        for written in (self.text.hex(), self.text.hex().upper()):
            if found == written.encode():
                return (new.hex() if written.islower() else new.hex().upper()).encode()
        if found.lower() == self.text.hex().encode():
            return new.hex().encode()
        raise UncleanError


def plain(data: bytes) -> bytes:
    """Return DATA with what is escaped in any of the ways unescaped, once and in one go."""
    return _ESCAPE.sub(_meant, data)


def _meant(match: re.Match[bytes]) -> bytes:
    """Return the bytes that an escape stands for."""
    digits = match["percent"] or match["quoted"] or match["hexed"]
    if digits:
        return bytes.fromhex(digits.decode())
    if match["octal"]:
        return bytes([int(match["octal"], 8)])
    if units := match["unit"] or match["units"]:
        pair = bytes.fromhex(re.sub(rb"[\\u]", b"", units).decode())
        return pair.decode("utf-16-be", "replace").encode()
    if match["entity"]:
        return html.unescape(f"&{match['entity'].decode()};").encode("utf-8", "replace")
    return match["character"]


def base64_runs(data: bytes, least: int) -> Iterator[bytes]:
    """Yield what each run of LEAST base64 characters or more in DATA may stand for."""
    for alphabet, run in _RUN.items():
        for match in run.finditer(data):
            for shift in range(4 if len(match[0]) >= least else 0):
                word = match[0][shift:]
                word = word[: len(word) - (len(word) % 4 == 1)]
                yield base64.b64decode(word + b"=" * (-len(word) % 4), altchars=alphabet)


def _readings(found: bytes) -> tuple[bytes, bytes]:
    """Return FOUND as an address has it, and as a form that was sent has it: + is a space."""
    return found, found.replace(b"+", b" ")


def _unescaped(found: str) -> Iterator[bytes]:
    """Yield what FOUND is for a reader of JSON and for one of HTML."""
    with suppress(ValueError):
        yield json.loads(f'"{found}"', strict=False).encode("utf-8", "replace")
    yield html.unescape(found).encode("utf-8", "replace")


def _escaped(text: bytes) -> re.Pattern[bytes]:
    try:
        characters = [_character(character) for character in text.decode()]
    except UnicodeDecodeError:
        characters = [_byte(byte) for byte in text]
    return re.compile(b"".join(characters))


def _character(character: str) -> bytes:
    """Return a pattern of CHARACTER as it is, or escaped: each way begins with a literal."""
    code = ord(character)
    encoded = b"".join(_byte(byte) for byte in character.encode())
    units = character.encode("utf-16-be").hex()
    json_units = [units[i : i + 4] for i in range(0, len(units), 4)]
    ways = [
        encoded,
        b"".join(rb"\\{1,3}u" + _either_case(unit) for unit in json_units),
        b"".join(rb"%u" + _either_case(unit) for unit in json_units),
        rb"&(?:amp;)*#0*%d;?" % code,
        rb"&(?:amp;)*#[xX]0*" + _either_case(f"{code:x}") + rb";?",
        rb"\\{1,3}u\{0*" + _either_case(f"{code:x}") + rb"\}",
    ]
    if character in _NAMED:
        ways.append(rb"&(?:amp;)*" + _NAMED[character] + b";")
    if character == " ":
        ways.append(rb"\+")
    return b"(?:" + b"|".join(ways) + b")"


def _byte(byte: int) -> bytes:
    digits = _hex_digits(byte)
    plain = re.escape(bytes([byte]))
    ways = [plain, rb"\\{1,3}" + plain, rb"%(?:25)*" + digits, b"=" + digits]
    ways += [rb"\\{1,2}x" + digits, rb"\\{1,2}0?%03o" % byte]
    return b"(?:" + b"|".join(ways) + b")"


def _hex_digits(byte: int) -> bytes:
    return _either_case(f"{byte:02x}")


def _either_case(digits: str) -> bytes:
    return b"".join(
        f"[{digit.lower()}{digit.upper()}]".encode() if digit.isalpha() else digit.encode()
        for digit in digits
    )


def _core(text: bytes, shift: int) -> bytes:
    """Return the characters of base64 that TEXT alone decides, after SHIFT other bytes."""
    encoded = base64.b64encode(bytes(shift) + text)
    return encoded[-(-shift * 8 // 6) : (shift + len(text)) * 8 // 6]


def _in_base64(
    data: bytes, core: re.Pattern[bytes], shift: int, change: Callable[[bytes], bytes]
) -> bytes:
    """Return DATA with what is in base64 around each match of CORE changed by CHANGE."""
    at = 0
    while match := core.search(data, at):
        alphabet = ALPHABETS[1] if {*match[0]} & {*ALPHABETS[1]} else ALPHABETS[0]
        begin = match.start() - (-(-shift * 8 // 6))
        run = _RUN[alphabet].match(data, max(begin, 0))
        if begin < 0 or run is None or run.end() < match.end():
            raise UncleanError
        end = run.end()
        if (end - begin) % 4 and data[end : end + 1] in {b"%", b"\\", b"&"}:
            raise UncleanError  # its padding is escaped
        padding = len(data[end : end + 2]) - len(data[end : end + 2].lstrip(b"="))
        new = _recoded(data[begin:end], padding, alphabet, change)
        data = data[:begin] + new + data[end + padding :]
        at = begin + len(new)
    return data


def _recoded(word: bytes, padding: int, alphabet: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return WORD of base64, which PADDING follows, with what it stands for changed."""
    if len(word) % 4 == 1 or (padding and (len(word) + padding) % 4):
        raise UncleanError
    plain = base64.b64decode(word + b"=" * (-len(word) % 4), altchars=alphabet)
    if base64.b64encode(plain, altchars=alphabet).rstrip(b"=") != word:
        raise UncleanError
    new = base64.b64encode(change(plain), altchars=alphabet)
    return new if padding or not len(word) % 4 else new.rstrip(b"=")
