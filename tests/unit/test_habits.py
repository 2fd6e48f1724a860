"""What a newcomer reads first is true: the listing, the decisions, the workflows."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_architecture import LAYERS

PINNED = re.compile(r"uses: (actions/[a-z-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$")
PARTS = ["**Context.**", "**Decision.**", "**Consequences.**", "**Measured"]


def listing(repo: Path) -> str:
    text = (repo / "CONTRIBUTING.md").read_text()
    return text.partition("## The listing is the architecture")[2].partition("\n## ")[0]


def test_the_listing_names_every_room_and_every_command(repo: Path) -> None:
    words = set(re.findall(r"[\w./-]+", listing(repo)))
    rooms = [path.parent for path in (repo / "vcr").glob("*/__init__.py")]
    commands = list((repo / "bin").iterdir())
    assert {str(path.relative_to(repo)) for path in (*rooms, *commands)} <= words
    for word in words:
        if re.match(r"(bin|vcr|nix|docs)/\w+$", word):
            assert (repo / word).exists(), word


def test_the_listing_is_in_the_order_of_imports(repo: Path) -> None:
    level = {name: number for number, names in enumerate(LAYERS) for name in names}
    listed = re.findall(r"^    vcr/(\w+) ", listing(repo), re.MULTILINE)
    assert len(listed) > 15
    assert [level[name] for name in listed] == sorted(level[name] for name in listed)


def test_each_decision_is_a_page_of_the_index(repo: Path) -> None:
    folder = repo / "docs/decisions"
    index = (folder / "README.md").read_text()
    pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == pages
    for name in pages:
        text = (folder / name).read_text()
        assert [part for part in PARTS if part not in text] == [], name
        assert 15 <= len(text.splitlines()) <= 32, name


@pytest.mark.parametrize("name", ["pull-request.yml", "rebuild.yml", "release.yml"])
def test_actions_are_pinned_and_commands_are_those_of_everybody(repo: Path, name: str) -> None:
    lines = (repo / ".github/workflows" / name).read_text().splitlines()
    uses = [line for line in lines if "uses:" in line]
    assert uses
    assert [line for line in uses if not PINNED.search(line)] == []
    commands = [line.partition("run: ")[2] for line in lines if " run: " in line]
    assert commands
    for command in commands:
        found = re.search(r"\b(bin|ci)/\w+", command)
        assert found is not None, command
        assert (repo / found[0]).exists(), command


def test_an_action_has_one_hash_in_all_workflows(repo: Path) -> None:
    texts = [path.read_text() for path in (repo / ".github/workflows").iterdir()]
    found = {pair for text in texts for pair in re.findall(r"uses: (\S+)@(\w+)", text)}
    assert len(dict(found)) == len(found)


@pytest.mark.parametrize(
    "path", ["vcr.lock", "examples/c/vcr.lock", "flake.lock", "nix/pins/debian-amd64.json",
             "tests/golden/ladder.json", "tests/golden/help/up.txt", "docs/reference/cli.md"],
)  # fmt: skip
def test_what_is_made_is_marked_as_made(repo: Path, path: str) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    argv = ["git", "check-attr", "linguist-generated", "--", path]
    done = subprocess.run(argv, cwd=repo, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("needs a clone")
    assert done.stdout.endswith(": set\n")
