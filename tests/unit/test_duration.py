"""Durations as Go writes them."""

import time

import pytest

from vcr.model.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("5s", 5.0), ("1m30s", 90.0), ("500ms", 0.5), ("1.5h", 5400.0), (".5s", 0.5)],
)
def test_a_duration_is_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "1e3s", "٣s", "9" * 99 + "h"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_digits_without_end_are_not_tried_from_each_of_them() -> None:
    begin = time.process_time()
    with pytest.raises(ValueError, match="duration"):
        parse_duration("1" * 60_000)
    assert time.process_time() - begin < 0.5
