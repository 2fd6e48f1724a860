"""What is remembered of a context's files: none is read twice, none that changed is missed."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vcr.build import contents as module
from vcr.build.builder import Builder
from vcr.build.contents import Contents
from vcr.errors import UsageError
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock
from vcr.model.project import load_project
from vcr.planner.project import make_plan
from vcr.settings import Settings
from vcr.tools.nar import nar_sha256
from vcr.ui import Ui

FILES = ("app.py", "lib", "lib/a.py", "lib/deep/b.py", "link")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "lib/deep").mkdir(parents=True)
    for name in ("app.py", "lib/a.py", "lib/deep/b.py"):
        (root / name).write_text(f"{name} as it was")
    (root / "link").symlink_to("app.py")
    return root


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of tests were only just written: let a hundredth of a second be long ago."""
    monkeypatch.setattr(module, "SETTLED", 0.01)


def look(root: Path, files: tuple[str, ...] = FILES) -> tuple[str, list[str]]:
    """Return the hash of FILES, and which of them were read for it."""
    time.sleep(0.03)
    contents = Contents.of(root, root.parent / "cache")
    found = contents.nar(files)
    contents.save()
    return found, contents.read


def test_the_hash_of_a_tree_is_that_of_nix(tmp_path: Path) -> None:
    # As `nix hash path` has them.
    (tmp_path / "empty").mkdir()
    assert nar_sha256(tmp_path / "empty", ()) == (
        "sha256-pQpattmS9VmO3ZIQUFn66az8GSmB4IvYhTTCFn6SUmo="
    )
    tree = tmp_path / "tree"
    (tree / "b/c").mkdir(parents=True)
    (tree / "b/c/é").write_bytes(b"12345678")
    (tree / "b.txt").write_bytes(b"")
    (tree / "b/run").write_text("#!/bin/sh\n")
    (tree / "b/run").chmod(0o744)
    (tree / "to").symlink_to("b/run")
    everything = [str(path.relative_to(tree)) for path in tree.rglob("*")]
    assert nar_sha256(tree, everything) == ("sha256-ZduqTpnClkR2TMM84ojw3FGuiE77hALXrjP9FdAu1qY=")
    # What is above a file is part of the tree, whether it is named or not.
    assert nar_sha256(tree, ["b/c/é", "b.txt", "b/run", "to"]) == nar_sha256(tree, everything)


def test_nothing_is_read_a_second_time(root: Path) -> None:
    first, read = look(root)
    assert sorted(read) == ["app.py", "lib/a.py", "lib/deep/b.py", "link"]
    assert look(root) == (first, [])
    # Another selection of the same files needs no more than their tree's own hash.
    part, read = look(root, ("lib", "lib/a.py"))
    assert (part, read) == (nar_sha256(root, ["lib/a.py"]), [])
    assert look(root) == (first, [])


def _rewritten(root: Path) -> None:
    """Write as many other bytes, and set the time that the file had."""
    path = root / "lib/a.py"
    before = path.stat()
    path.write_text(path.read_text().swapcase())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced(root: Path) -> None:
    (root / "new").write_text("lib/a.py AS IT IS")
    (root / "new").rename(root / "lib/a.py")


def _executable(root: Path) -> None:
    (root / "lib/a.py").chmod(0o755)


def _led_elsewhere(root: Path) -> None:
    (root / "lib/a.py").unlink()
    (root / "lib/a.py").symlink_to("deep/b.py")


CHANGES = (_rewritten, _replaced, _executable, _led_elsewhere)


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_is_read_and_no_other(
    root: Path, change: Callable[[Path], None]
) -> None:
    first, _ = look(root)
    change(root)
    found, read = look(root)
    assert found != first
    assert read == ["lib/a.py"]
    assert found == nar_sha256(root, FILES)


def test_a_file_that_is_only_touched_changes_nothing(root: Path) -> None:
    first, _ = look(root)
    (root / "app.py").touch()
    assert look(root) == (first, ["app.py"])
    assert look(root) == (first, [])


def test_a_file_that_changes_while_its_tree_is_read_is_not_remembered_as_it_was(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / "lib/a.py"
    before, after = file.read_text(), "as it is now"
    first = nar_sha256(root, FILES)

    def changing(*words: Any) -> str:
        monkeypatch.undo()
        monkeypatch.setattr(module, "SETTLED", 0.01)
        file.write_text(after)
        return nar_sha256(*words)

    monkeypatch.setattr(module, "nar_sha256", changing)
    assert look(root)[0] == nar_sha256(root, FILES) != first
    file.write_text(before)
    assert look(root)[0] == first


def test_a_change_that_was_missed_is_found_when_the_tree_is_read(root: Path) -> None:
    look(root)
    (kept,) = (root.parent / "cache/contexts").iterdir()
    known = json.loads(kept.read_bytes())
    known["files"]["app.py"][1] = "0" * 64
    kept.write_text(json.dumps(known))
    assert look(root)[0] == nar_sha256(root, FILES)
    assert look(root) == (nar_sha256(root, FILES), [])


def test_what_was_written_just_before_it_was_read_is_read_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLED", 60.0)
    first, read = look(root)
    assert look(root) == (first, read)


def test_files_of_another_target_are_remembered_and_those_that_are_gone_are_not(
    root: Path,
) -> None:
    look(root, ("app.py",))
    assert look(root, ("lib/a.py",))[1] == ["lib/a.py"]
    assert look(root, ("app.py",))[1] == []
    (root / "app.py").unlink()
    (root / "lib/a.py").touch()
    look(root, ("lib/a.py",))
    kept = next((root.parent / "cache/contexts").iterdir()).read_text()
    assert "lib/a.py" in kept
    assert "app.py" not in kept


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 1}', '{"schema": 2, "files": {}}'])
def test_what_cannot_be_understood_of_the_memory_is_left(root: Path, text: str) -> None:
    first, read = look(root)
    (kept,) = (root.parent / "cache/contexts").iterdir()
    kept.write_text(text)
    assert look(root) == (first, read)


def test_a_file_that_is_gone_and_one_of_another_kind_are_reported(root: Path) -> None:
    (root / "app.py").unlink()
    with pytest.raises(UsageError) as caught:
        look(root)
    assert "app.py changed" in caught.value.why
    os.mkfifo(root / "app.py")
    with pytest.raises(UsageError) as caught:
        look(root)
    assert "not a regular file" in caught.value.why


def test_who_proves_something_reads_everything(root: Path) -> None:
    """A file that changed and looks as it did: what is remembered of it is not believed."""
    (root / "Dockerfile").write_text("FROM scratch\nCOPY app.py /\n")
    project = load_project(root)
    lock = Lock(epoch=0, inputs={}, bases={}, urls={})
    plan = make_plan(project, lock, arch=Arch.RISCV64, profile="vm")
    settings = Settings.load({"HOME": str(root.parent)})

    def nar(*, is_wary: bool) -> str:
        path = Builder(settings, Ui(), project, is_wary=is_wary).write_plan(plan)
        (layer,) = json.loads(path.read_bytes())["layers"].values()
        return str(layer["sources"][0]["nar"])

    first = nar(is_wary=False)
    time.sleep(0.03)
    assert nar(is_wary=False) == first
    kept = Contents.of(project.context, settings.cache_dir).file
    (root / "app.py").write_text("another")
    known = json.loads(kept.read_bytes())
    status = (root / "app.py").lstat()
    known["files"]["app.py"][2:] = module._state(status)
    kept.write_text(json.dumps(known))
    assert nar(is_wary=False) == first
    assert nar(is_wary=True) == nar_sha256(root, ["app.py"]) != first
