"""Variables, quotes and escapes, by the Dockerfile reference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vcr.dockerfile.words import Expander, WordError, split_words

VARIABLES = {"a": "value", "empty": "", "path": "/usr/lib/x.tar.gz", "b": "hello world"}


def word(text: str, escape: str = "\\") -> str:
    return Expander(VARIABLES, escape).word(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a", "value"),
        ("${a}x", "valuex"),
        ("$unset", ""),
        ("\\$a", "$a"),
        ("'$a'", "$a"),
        ('"$a b"', "value b"),
        ('"\\$a"', "$a"),
        ('"\\x"', "\\x"),
        ("a\\ b", "a b"),
        ("$", "$"),
        ("a$", "a$"),
        ("$b", "hello world"),
        ("${unset:-x}", "x"),
        ("${empty:-x}", "x"),
        ("${empty-x}", ""),
        ("${unset-x}", "x"),
        ("${a:+x}", "x"),
        ("${empty:+x}", ""),
        ("${empty+x}", "x"),
        ("${unset+x}", ""),
        ("${unset:-${a}}", "value"),
        ("${unset:-'$a'}", "$a"),
        ("${path#*/}", "usr/lib/x.tar.gz"),
        ("${path##*/}", "x.tar.gz"),
        ("${path%.*}", "/usr/lib/x.tar"),
        ("${path%%.*}", "/usr/lib/x"),
        ("${path/lib/share}", "/usr/share/x.tar.gz"),
        ("${path//r/R}", "/usR/lib/x.taR.gz"),
        ("${path/l?b/X}", "/usr/X/x.tar.gz"),
        ("${a:?needed}", "value"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert word(text) == expected


def test_another_escape_character() -> None:
    assert word("`$a\\$a", "`") == "$a\\value"


@pytest.mark.parametrize(
    ("text", "offset", "reason"),
    [
        ("x'abc", 1, "is not closed"),
        ('"abc', 0, "is not closed"),
        ("x${a", 1, "has no end"),
        ("${}", 0, "needs the name"),
        ("${a^^}", 0, "unknown modifier"),
        ("${unset:?is needed}", 0, "unset: is needed"),
        ("${empty:?}", 0, "not set or empty"),
    ],
)
def test_mistakes_say_where(text: str, offset: int, reason: str) -> None:
    with pytest.raises(WordError) as caught:
        word(text)
    assert caught.value.offset == offset
    assert reason in str(caught.value)


def test_words_are_split_at_unquoted_space() -> None:
    assert split_words("a  'b c'\\ d \"e f\"", "\\") == [(0, "a"), (3, "'b c'\\ d"), (12, '"e f"')]


def test_a_heredoc_keeps_its_quotes() -> None:
    assert Expander(VARIABLES).unquoted("\"$a\" '$a' \\$a \\x") == "\"value\" 'value' $a x"


def error_of(text: str) -> WordError | None:
    try:
        word(text)
    except WordError as error:
        return error
    return None


@given(st.text())
def test_any_text_expands_or_is_refused(text: str) -> None:
    error = error_of(text)
    assert error is None or 0 <= error.offset <= len(text)


@given(st.text("abc $\\'\"{}", max_size=20))
def test_splitting_loses_nothing_but_space(text: str) -> None:
    joined = "".join(piece for _, piece in split_words(text, "\\"))
    assert joined.replace(" ", "") == text.replace(" ", "")
    assert all(text[at : at + len(piece)] == piece for at, piece in split_words(text, "\\"))
