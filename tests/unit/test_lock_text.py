"""vcr.lock as text: sorted, and a line a package, so that a change of one is a line of a diff."""

import json
from pathlib import Path

import pytest

from vcr.model.lockfile import read_lock_file

LOCKS = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*/vcr.lock"))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
def test_the_locks_of_the_examples_are_as_vcr_writes_them(path: Path) -> None:
    text = path.read_text()
    assert read_lock_file(path).to_text() == text
    content = json.loads(text)
    assert json.dumps(content) == json.dumps(content, sort_keys=True)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
def test_a_package_is_a_line(path: Path) -> None:
    lines = [line.strip(" ,") for line in path.read_text().splitlines()]
    content = json.loads(path.read_text())
    for base in content["bases"].values():
        for package in (row for rows in base["archs"].values() for row in rows):
            assert {json.dumps(package)} == {line for line in lines if package["url"] in line}
    for name, digest in content["inputs"].items():
        assert f"{json.dumps(name)}: {json.dumps(digest)}" in lines


def test_a_lock_of_an_older_version_says_the_same(tmp_path: Path) -> None:
    """Locks of older versions have each field on a line of its own."""
    old = json.dumps(json.loads(LOCKS[0].read_text()), indent=1, sort_keys=True) + "\n"
    (tmp_path / "vcr.lock").write_text(old)
    assert read_lock_file(tmp_path / "vcr.lock").to_text() == LOCKS[0].read_text()
