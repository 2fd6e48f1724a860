"""Patterns in `${...}` do what the regular expressions did that they were, and take no time."""

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vcr.dockerfile.globs import replaced, without_prefix, without_suffix

PATTERNS = st.lists(st.sampled_from(["a", "b", "*", "?", r"\*", ".", "\\"]), min_size=1, max_size=6)
TEXTS = st.text("ab*.\n", max_size=8)


def translated(pattern: str) -> re.Pattern[str]:
    pieces = {"*": ".*", "?": "."}
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    return re.compile("".join(pieces.get(p, re.escape(p[-1])) for p in parts), re.DOTALL)


@settings(max_examples=500)
@given(PATTERNS.map("".join), TEXTS, st.booleans())
def test_what_is_taken_off(pattern: str, text: str, greedy: bool) -> None:
    regex, lengths = translated(pattern), range(len(text) + 1)
    order = list(reversed(lengths) if greedy else lengths)
    prefix = next((n for n in order if regex.fullmatch(text[:n])), 0)
    suffix = next((n for n in order if regex.fullmatch(text[len(text) - n :])), 0)
    assert without_prefix(text, pattern, greedy=greedy) == text[prefix:]
    assert without_suffix(text, pattern, greedy=greedy) == text[: len(text) - suffix]


@settings(max_examples=500)
@given(PATTERNS.map("".join), TEXTS, st.booleans())
def test_what_is_replaced(pattern: str, text: str, everywhere: bool) -> None:
    expected = translated(pattern).sub("<>", text, count=0 if everywhere else 1)
    assert replaced(text, pattern, "<>", everywhere=everywhere, most=100) == expected


def long_ago(seconds: float, work: Callable[[], object]) -> bool:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin > seconds


@pytest.mark.parametrize(
    "pattern", ["*a" * 300 + "b", "a*" * 300 + "b", "*" * 1000 + "b", "a?" * 500]
)
def test_no_pattern_takes_long(pattern: str) -> None:
    text = "a" * 100_000
    assert not long_ago(3, lambda: without_prefix(text, pattern, greedy=True))
    assert not long_ago(3, lambda: without_suffix(text, pattern, greedy=False))
    assert not long_ago(3, lambda: replaced(text, pattern, "x", everywhere=True, most=1 << 20))


def test_a_pattern_is_bounded() -> None:
    with pytest.raises(ValueError, match="more than 1024 characters"):
        without_prefix("a", "a" * 2000, greedy=True)
