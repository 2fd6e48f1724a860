"""Links between documents lead somewhere: to a file, and to a heading in it."""

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(REPO.glob("*.md")), *sorted((REPO / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """Anchors of the headings of DOCUMENT, as GitHub makes them: it counts those that are alike."""
    found: dict[str, int] = {}
    for title in headings(document):
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        found[anchor] = found.get(anchor, 0) + 1
    return {
        f"{anchor}-{n}" if n else anchor for anchor, count in found.items() for n in range(count)
    }


def headings(document: Path) -> list[str]:
    return HEADING.findall(BLOCK.sub("", document.read_text()))


@pytest.mark.parametrize("document", DOCUMENTS, ids=[str(d.relative_to(REPO)) for d in DOCUMENTS])
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), f"{link}: there is no {target}"
        if anchor:
            assert anchor in anchors(target), f"{link}: {sorted(anchors(target))}"


def test_every_document_is_found_from_the_index() -> None:
    linked = {
        (document.parent / link.partition("#")[0]).resolve()
        for document in (REPO / "README.md", *(REPO / "docs").rglob("README.md"))
        for link in LINK.findall(document.read_text())
        if "://" not in link
    }
    assert not set(DOCUMENTS) - linked - {REPO / "README.md"}
