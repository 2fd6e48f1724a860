"""`vcr prune` in a store of its own: what is old goes, what is kept or used stays."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from private_store import private_store
from program import REPO, Vcr

pytestmark = pytest.mark.nix

DEV = ("--profile", "dev")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str | Path, ...]]:
    with private_store(tmp_path_factory.mktemp("private") / "store") as before:
        yield before


@pytest.fixture
def own(vcr: Vcr, tmp_path: Path, store: tuple[str | Path, ...]) -> Vcr:
    vcr.env |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    vcr.before = store
    vcr("prune", "-q")  # of what others have left
    return vcr


def is_there(vcr: Vcr, path: str) -> bool:
    return not subprocess.run([*vcr.before, "test", "-e", path], check=False).returncode


def build(vcr: Vcr, project: Path, text: str, *words: str) -> dict[str, str]:
    """Build PROJECT with another page; return the store paths of its stages."""
    (project / "www/index.html").write_text(f"to be pruned: {text}")
    return {row["name"]: row["path"] for row in vcr.json("build", *words, project)["stages"]}


def removed(vcr: Vcr, *words: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in vcr.json("prune", *words)["removed"]:
        found.setdefault(row["kind"], set()).add(row["name"])
    return found


def test_builds_are_kept_by_number(own: Vcr, project: Path) -> None:
    first, second, third = (build(own, project, text) for text in ("one\n", "two\n", "three\n"))
    assert {*first.values()} != {*second.values()}
    would = removed(own, "--keep", "2", "--dry-run")["store"]
    assert all(is_there(own, path) for path in first.values())
    gone = removed(own, "--keep", "2")
    assert first["image"] in gone["store"] <= would
    assert not is_there(own, first["image"])
    for path in (*second.values(), *third.values()):
        assert is_there(own, path)
    again = build(own, project, "two\n")
    assert again == second
    # What was built last counts, not what was written last.
    assert third["image"] in removed(own)["store"]
    assert is_there(own, second["image"])
    assert build(own, project, "one\n") == first


def test_what_a_build_needs_is_not_built_again(own: Vcr, project: Path) -> None:
    build(own, project, "kept\n")
    removed(own)
    stages = own.json("build", project)["stages"]
    assert all(stage["cached"] for stage in stages)
    build(own, project, "changed\n")
    layers = [line for line in own("-v", "build", project).stderr.splitlines() if "debs" in line]
    assert layers == []  # the base is still there


def test_a_running_container_keeps_what_it_is_made_of(own: Vcr, project: Path) -> None:
    # A page of its own: Nix keeps what a process of any other test, in any store, works with.
    (project / "www/index.html").write_text("verifiable, and running\n")
    machine = own.json("up", *DEV, project)
    newer = build(own, project, "newer than what runs\n", *DEV)
    shutil.copytree(project, project.with_name("other"))
    other = build(own, project.with_name("other"), "other than what runs\n")
    gone = removed(own, "--keep", "0", "--local")
    assert not is_there(own, other["image"])
    assert is_there(own, newer["image"])
    assert gone.get("machine", set()) == gone.get("layer", set()) == set()
    port = machine["forwards"][0]["host"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert "verifiable" in answer.read().decode()
    assert own.json("ps")["machines"][0]["status"] == "healthy"
    own("down", "-t", "0", project)
    gone = removed(own, "--keep", "0", "--local")
    assert newer["image"] in gone["store"]
    assert len(gone["machine"]) == 1
    assert len(gone["layer"]) == 2
    assert removed(own, "--keep", "0", "--local") == {}
    assert own.json("up", *DEV, project)["status"] == "healthy"


def test_builds_of_a_project_that_is_gone(own: Vcr, project: Path) -> None:
    kept = build(own, project, "kept\n")
    other = project.with_name("other")
    shutil.copytree(project, other)
    gone = build(own, other, "gone\n")
    assert removed(own) == {}
    shutil.rmtree(other)
    done = own("prune")
    assert "other-" in done.stdout
    assert "(its directory is gone)" in done.stdout
    assert "are freed" in done.stderr
    assert not is_there(own, gone["image"])
    assert is_there(own, kept["image"])


def test_json(own: Vcr, project: Path) -> None:
    # Pages of its own: what the other tests' projects have built stays, in the same store.
    build(own, project, "told one\n")
    build(own, project, "told two\n")
    told: dict[str, Any] = json.loads(own("--json", "prune").stdout)
    assert (told["kind"], told["dry_run"]) == ("prune", False)
    assert told["freed"] == sum(row["size"] for row in told["removed"]) > 1 << 20


def test_builds_of_earlier_runs_go_where_there_is_little_room(own: Vcr, project: Path) -> None:
    """As bin/test does before a run of everything."""
    old = build(own, project, "of an earlier run\n")
    shutil.rmtree(Path(own.env["XDG_STATE_HOME"]) / "vcr/roots")
    kept = build(own, project, "of today\n")
    make_room = [*own.before, sys.executable, REPO / "tests/make_room.py"]
    said = [
        subprocess.run(
            [*make_room, gib], env=own.env, capture_output=True, text=True, check=True
        ).stderr
        for gib in ("0", str(1 << 20))
    ]
    assert said[0] == ""
    assert re.fullmatch(r"removed \d+ builds of earlier runs: little room in /nix\n", said[1])
    assert not is_there(own, old["image"])
    assert is_there(own, kept["image"])
