r"""Makes text of others safe to show: what would steer a terminal, hide or reorder is written out.

Escaped are, as Python writes them (\x1b, \u202e): the control characters C0, DEL and C1 of
ECMA-48, which every sequence to a terminal begins with; U+2028 and U+2029; bidirectional
controls, tags and all else that Unicode lets a font not show (DerivedCoreProperties.txt:
Default_Ignorable_Code_Point); U+FFF9 to U+FFFB; halves of surrogate pairs, as which Python
has bytes of file names that are not UTF-8: those are shown as bytes.

vcr.ui and vcr.progress call it for everything that is shown, what draws pages and pictures
for every text in them; nobody else has to.
"""

import re
from html import escape

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff"
    "]"
)
# Select Graphic Rendition, the colours of ECMA-48, 8.3.117: the only sequence that is harmless.
_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_RESET = "\x1b[0m"
_NAMED = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
# Spaces that look like the gap between two columns, or that fill a line up to its end.
# Numbers and the trees of `vcr graph` are indented by fewer.
_GAP = re.compile("(?<=[^ │]) {2,}| {40,}")


def visible(text: str) -> str:
    r"""Return TEXT in one line in which every character is seen; a newline is \n."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_written, text)


def visible_text(text: str) -> str:
    """Return TEXT of several lines, in which every character but newline and tab is seen."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in "\n\t" else _written(found), text)


def visible_cell(text: str) -> str:
    """Return TEXT as a cell of a table: seen as one, whatever spaces it holds."""
    return _GAP.sub(lambda found: r"\x20" * len(found[0]), visible(text))


def visible_colours(line: str) -> str:
    """Return LINE, what a program printed, to show on a terminal: colours and tabs are kept.

    No colour reaches beyond the line.
    """
    parts = _SGR.split(line)
    if len(parts) == 1:
        return _but_tabs(line)
    colours = _SGR.findall(line)
    told = (_but_tabs(part) + colour for part, colour in zip(parts, [*colours, ""], strict=True))
    return "".join(told) + _RESET


def without_colours(line: str) -> str:
    """Return LINE, what a program printed, as a terminal without colours leaves it.

    After a carriage return a line is written again: what stood there before is gone.
    """
    return _SGR.sub("", line).rstrip("\r\n").rpartition("\r")[2]


def as_markup(text: str) -> str:
    """Return TEXT for a page of HTML or an SVG, where XML 1.0 allows no control characters."""
    return escape(visible_text(text))


def _but_tabs(text: str) -> str:
    return "\t".join(visible(part) for part in text.split("\t"))


def _written(found: re.Match[str]) -> str:
    character = found[0]
    if name := _NAMED.get(character):
        return name
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: the byte that could not be decoded
        code -= 0xDC00
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
