"""Numbers of things in messages: "1 entry differs", "2 entries differ"."""

import re
from pathlib import Path

import pytest

from vcr.words import counted

PACKAGE = Path(__file__).resolve().parents[2] / "vcr"
# A count and a plural after it, or a plural made on the spot; bytes and characters come by the
# thousand. Builders stand alone.
BY_HAND = re.compile(
    r"\{(?:len\([^{}]*\)|[\w.]*count)\} (?!bytes|characters)(?:[a-z]+ ){0,3}?[a-z]{2,}s\b"
    r"|[a-z]\(s\)(?=[\" ])|'s' \*|\"s\" \*"
)
ALONE = {"formats", "sandbox"}


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 entries differ"), (1, "1 entry differs"), (2, "2 entries differ")],
)
def test_one_is_not_several(number: int, words: str) -> None:
    assert counted(number, "entry differs", "entries differ") == words
    assert counted(number, "file") == f"{number} file{'' if number == 1 else 's'}"


def test_no_message_counts_by_itself() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {match[0]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in ALONE
        for match in BY_HAND.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("text", ['f"{len(found)} differences"', 'f"{len(rows)} pinned input(s)"'])
def test_what_counts_by_itself_is_found(text: str) -> None:
    assert BY_HAND.search(text)
