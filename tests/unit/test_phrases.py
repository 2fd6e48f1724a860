"""What users read has none of the phrases that the project no longer uses.

That is the documents, and every string of vcr: help, errors, docstrings. Comments and names are
not read. PHRASES says what to write instead: common word order, and who does what.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
NOUNS = (
    "JSON|TOML|HTTP|archive|authority|character|derivation|descriptor|digest|directory|export|file"
    "|image|index|key|ladder|log|name|number|object|path|project|repository|request|revision"
    "|socket|terminal|text|URL|word"
)
PHRASES = {  # regular expression → what to write instead
    r"shows itself": "how it is shown",
    r"go(?:es)? on(?! to)": "continue",
    r"gone on": "continued",
    r"told as": "each has its own error",
    r"for who": "on request; for whoever",
    r"return never": "does not return",
    r"that (?:is|are) none": "an invalid value",
    r"(?:could not|cannot|can|to) be had": "cannot be fetched",
    r"of ours": "of the project, of vcr",
    r"of (?:vcr's|one's) own": "vcr's own",
    r"only tells?": "only shows",
    r"tells? whether": "reports, returns whether",
    r"called right": "a wrong result that is accepted",
    r"mend(?:s|ed)?": "fix",
    r"for ever": "forever",
    rf"(?<!there )is no (?:{NOUNS})": "is not a",
    r"anew": "again",
    r"(?:is|are) not waited for": "vcr gives up on",
    r"(?:is|are) looked through": "is searched",
    r"means nothing": "is ignored, has no effect",
    r"makes no sense": "is invalid",
}
OLD = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b", re.IGNORECASE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)  # what a program prints


def found(text: str) -> list[str]:
    return OLD.findall(" ".join(text.split()))


def strings(module: Path) -> Iterator[str]:
    """Yield the strings of MODULE, docstrings among them; of an f-string its fixed parts."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize(
    "old",
    ["It goes on.", "could\nnot be had", "'x' is no JSON", "are each told as what they are",
     "for who asks for that", "one that is none means nothing", "Return never.", "of ours",
     "How long work shows itself"],
)  # fmt: skip
def test_an_old_phrase_is_found(old: str) -> None:
    assert found(old)


@pytest.mark.parametrize("plain", ["there is no file x", "It continues.", "go on to the next"])
def test_plain_words_pass(plain: str) -> None:
    assert not found(plain)


def test_no_document_has_an_old_phrase() -> None:
    paths = [*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md")]
    words = {path: found(FENCE.sub("", path.read_text(encoding="utf-8"))) for path in paths}
    assert not {path: some for path, some in words.items() if some}


def test_no_string_of_vcr_has_an_old_phrase() -> None:
    words = {
        path: [old for text in strings(path) for old in found(text)]
        for path in (REPO / "vcr").rglob("*.py")
    }
    assert not {path: some for path, some in words.items() if some}
