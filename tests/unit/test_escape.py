"""What others wrote is seen on a terminal, and does nothing there."""

import re
import sys
import unicodedata

import pytest

from vcr.escape import (
    visible,
    visible_cell,
    visible_colours,
    visible_text,
    without_colours,
)

# Categories of Unicode that steer, hide or break lines; Cf but for signs that fonts do show.
SEEN_FORMATS = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
) | {chr(code) for code in range(0x13430, 0x13440)}


def every_character() -> str:
    return "".join(map(chr, range(sys.maxunicode + 1)))


def test_no_character_that_steers_or_hides_is_left() -> None:
    left = set(visible(every_character()))
    unsafe = {c for c in left if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert unsafe <= SEEN_FORMATS
    assert not left & set("\u115f\u1160\u3164\uffa0\ufe0f\U000e0041\U000e0100")


def test_letters_of_every_script_stay() -> None:
    for text in ("grüße", "日本語", "قاعدة", "नमस्ते", "→ 🙂", "x y", "plain ascii"):
        assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x9b31m", r"\x9b31m"),
        ("\x7f\x00", r"\x7f\x00"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2028\u200b\ufeff", r"\u2028\u200b\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        ("caf\udce9", r"caf\xe9"),
        ("\ud83d", r"\ud83d"),
    ],
)
def test_what_is_escaped_is_written_as_python_does(text: str, shown: str) -> None:
    assert visible(text) == shown
    visible(text).encode()


def test_text_of_lines_keeps_them() -> None:
    assert visible_text("a\n\tb\x1b[2J\r\n") == "a\n\tb\\x1b[2J\\r\n"


def test_a_cell_forges_neither_a_column_nor_the_next_row() -> None:
    assert visible_cell("a  holds") == r"a\x20\x20holds"
    assert visible_cell("a" + " " * 80).count(r"\x20") == 80
    assert visible_cell(" " * 80).count(r"\x20") == 80
    for own in ("  0.5 %", "│     ├─ kernel", "         └─ kernel"):
        assert visible_cell(own) == own
    assert visible_cell("a b\nc") == r"a b\nc"


def test_colours_are_kept_and_end_with_the_line() -> None:
    assert visible_colours("\x1b[31mred\ttab") == "\x1b[31mred\ttab\x1b[0m"
    assert visible_colours("plain") == "plain"
    shown = visible_colours("\x1b[1;38:5:9ma\x1b[2J\x1b]0;title\x07\x1b[0m")
    assert re.sub(r"\x1b\[[0-9;:]*m", "", shown) == r"a\x1b[2J\x1b]0;title\x07"


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("\x1b[1mbold\x1b[0m", "bold"),
        ("  5%\r 50%\r100%\r\n", "100%"),
        ("dos\r\n", "dos"),
        ("\x1b[2J", "\x1b[2J"),  # for `visible` to show
    ],
)
def test_a_line_of_a_program_is_what_a_terminal_leaves(line: str, left: str) -> None:
    assert without_colours(line) == left
