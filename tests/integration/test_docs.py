"""Every console example in the documents runs and prints what the document says.

A block fenced as ```console holds commands after "$ " and what they print to
stdout; progress, on stderr, is not compared. In the output "..." stands for
anything on a line, and a line "..." for any lines. Blocks of one document run in
order, in the repository's root, with `bin/vcr` itself. "~/" is a directory of the
test's own.
"""

import fnmatch
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from services import toolset

REPO = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTS = [
    path
    for path in (REPO / "README.md", *sorted((REPO / "docs").glob("*.md")))
    if FENCE.search(path.read_text())
]


@dataclass(frozen=True)
class Example:
    command: str
    output: tuple[str, ...]


def examples(text: str) -> Iterator[Example]:
    for block in FENCE.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *output = part.splitlines()
            yield Example(command, tuple(output))


def home(word: str, directory: Path) -> str:
    return f"{directory}/{word.removeprefix('~/')}" if word.startswith("~/") else word


def matches(expected: tuple[str, ...], actual: list[str]) -> bool:
    if not expected:
        return not actual
    if expected[0] == "...":
        return any(matches(expected[1:], actual[i:]) for i in range(len(actual) + 1))
    if not actual:
        return False
    pattern = "*".join(re.sub(r"([\[?*])", r"[\1]", part) for part in expected[0].split("..."))
    return fnmatch.fnmatchcase(actual[0], pattern) and matches(expected[1:], actual[1:])


def test_wildcards_match_what_they_should() -> None:
    assert matches(("a ... c", "..."), ["a b c", "x", "y"])
    assert matches(("...", "z"), ["x", "z"])
    assert not matches(("a [b]",), ["a b"])
    assert not matches(("a", "..."), ["b"])


@pytest.mark.nix
@pytest.mark.vm
@pytest.mark.parametrize("document", DOCUMENTS, ids=[d.name for d in DOCUMENTS])
def test_the_examples_of(document: Path, tmp_path: Path) -> None:
    # verify.sh wants veritysetup, which not every host has.
    path = f"{os.environ['PATH']}:{toolset('build')}/usr/sbin"
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "PATH": path}
    for example in examples(document.read_text()):
        done = subprocess.run(
            [home(word, tmp_path) for word in shlex.split(example.command)],
            cwd=REPO,
            env=env,
            capture_output=True,
            text=True,
            timeout=540,
            check=False,
        )
        actual = [line.rstrip() for line in done.stdout.splitlines()]
        assert matches(example.output, actual), (
            f"$ {example.command}\n{done.stderr}{done.stdout}\nexpected:\n"
            + "\n".join(example.output)
        )
