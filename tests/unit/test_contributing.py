"""What CONTRIBUTING.md says of adding things is true, and stays short."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SOURCE = ("vcr", "nix", "guest", "bin", "flake.nix")
# Pins and their tools, tests of Go, what Python compiles.
GENERATED = re.compile(r"nix/pins/(?!sets\.json|update).*|.*(_test\.go|/testdata/.*|\.pyc)")
LINE = re.compile(r"    (\S+) +(\S.*)")


@dataclass(frozen=True)
class Addition:
    """A section: how many files it may list, and one thing that is there already to look for."""

    limit: int
    names: str  # what names one, as a regular expression
    stands_for: dict[str, str]  # what a word in capitals of a path is then


ADDITIONS = {
    "An architecture": Addition(8, r"\b(?i:amd64|arm64)\b", {"ARCH": "amd64"}),
    "A kind of base": Addition(
        7,
        r'\b(LockedDebian|LockedImage|Debs|OciBase)\b|Literal\["(debs|oci)"\]|\b(debs|oci) = base',
        {},
    ),
    "A verb": Addition(6, r"\bdoctor\b", {"ROOM": "hosting", "VERB": "doctor"}),
    "A stage": Addition(8, r"\brootfs\b", {"STAGE": "rootfs"}),
    "An engine of sealed machines": Addition(20, r"(?i)cartesi", {"ENGINE": "cartesi"}),
}
# The example of an addition has something elsewhere.
ELSEWHERE = {
    "vcr/model/answers/hosting.py": "vcr/model/answers/running.py",
}


def lists(section: str) -> list[list[str]]:
    """Return the files that SECTION lists, and those it excuses."""
    text = (REPO / "CONTRIBUTING.md").read_text()
    whole = text.partition("\n## How to add\n")[2].partition("\n## ")[0]
    body = whole.partition(f"\n### {section}\n")[2].partition("\n### ")[0]
    listed, _, excused = body.partition("\nThese name one for another reason:\n")
    return [[match[1] for match in LINE.finditer(part)] for part in (listed, excused)]


def filled(path: str, addition: Addition) -> str:
    for word, example in addition.stands_for.items():
        path = path.replace(word, example)
    return ELSEWHERE.get(path, path)


def sources() -> Iterator[Path]:
    for name in SOURCE:
        top = REPO / name
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.is_file() and not GENERATED.fullmatch(str(path.relative_to(REPO))):
                yield path


def naming(names: str) -> set[str]:
    """Return the files of the source that hold NAMES."""
    found = set()
    for path in sources():
        if re.search(names, path.read_text(encoding="utf-8", errors="replace")):
            found.add(str(path.relative_to(REPO)))
    return found


def test_every_addition_is_described() -> None:
    text = (REPO / "CONTRIBUTING.md").read_text()
    whole = text.partition("\n## How to add\n")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.*)$", whole, re.MULTILINE) == list(ADDITIONS)


@pytest.mark.parametrize("section", ADDITIONS)
def test_an_addition_touches_few_files_and_no_others(section: str) -> None:
    addition = ADDITIONS[section]
    listed, excused = lists(section)
    assert 0 < len(listed) <= addition.limit
    files = {filled(path, addition) for path in listed}
    assert len(files) == len(listed)
    assert [path for path in files | set(excused) if not (REPO / path).is_file()] == []
    assert not files & set(excused)
    own = {str(Path(filled(path, addition)).parent) for path in listed if "/ENGINE/" in path}
    found = {path for path in naming(addition.names) if str(Path(path).parent) not in own}
    assert found - files == set(excused), "CONTRIBUTING.md lists or excuses others"


def test_a_file_that_is_not_listed_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "vcr").mkdir()
    (tmp_path / "vcr/x.py").write_text('ARCHS = ("AMD64",)\n')
    (tmp_path / "vcr/y.py").write_text("amd640\n")
    monkeypatch.setitem(globals(), "REPO", tmp_path)
    assert naming(ADDITIONS["An architecture"].names) == {"vcr/x.py"}
