"""Every row of the threat model names the tests that show it, and those tests are there."""

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
MODEL = (REPO / "docs/explanation/threat-model.md").read_text(encoding="utf-8")
NAMED = re.compile(r"\[`(\w+)`\]\(\.\./\.\./(tests/[\w/]+\.py)\)")
ATTACKS = "## Attacks, and the tests that carry them out"


def rows() -> list[str]:
    """Return the rows of the tables below ATTACKS, without their heads."""
    text = MODEL.partition(ATTACKS)[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [
        line
        for line in lines
        if not re.fullmatch(r"[|\s:-]+", line) and not line.startswith("| attack ")
    ]


def test_there_is_a_table() -> None:
    assert len(rows()) > 20


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip()[:60])
def test_a_row_names_a_test_that_is_there(row: str) -> None:
    named = NAMED.findall(row)
    assert named, "no test is named"
    for name, path in named:
        text = (REPO / path).read_text(encoding="utf-8")
        found = re.search(rf"^\s*def test_{re.escape(name)}\(", text, re.MULTILINE)
        assert found, f"{path}: {name}"
