"""kill -9 at any moment: the same command then succeeds, to the same digests, and nothing is left.

Every other round kills vcr alone, and its children must end by themselves.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from private_store import private_store
from processes import assert_nothing_runs, descendants, kill_tree, wait_until_alone, words_of
from program import EXAMPLE, Vcr

pytestmark = [pytest.mark.nix, pytest.mark.vm]

ROUNDS = int(os.environ.get("VCR_ROUNDS", "2"))
LONGEST = 60.0  # seconds, of one command when many other things run


def make_project(directory: Path) -> Path:
    """Copy the example, with another page: no store has what is built of it."""
    shutil.copytree(EXAMPLE, directory / "app")
    (directory / "app/www/index.html").write_text("reliable\n")
    return directory / "app"


class Command:
    """A command that is killed, and what it leaves when it was not."""

    def __init__(self, name: str, project: Path) -> None:
        self.name, self.project = name, project
        self.target = project.parent / "exports/out"
        self.words: tuple[str | Path, ...] = {
            "build": ("--json", "build", project),
            "export": ("--json", "export", "vm", self.target, project),
            "up": ("--json", "up", "--profile", "dev", project),
            "up-stage": ("--json", "up", project),
        }[name]

    def result(self, vcr: Vcr) -> dict[str, Any]:
        """Run it to its end; return what must be the same whatever happened before."""
        told = vcr.json(*self.words[1:])
        if self.name == "build":
            return {rung["name"]: rung["digest"] for rung in told["ladder"]}
        if self.name == "export":
            assert [path.name for path in self.target.parent.iterdir()] == ["out"]
            return {"manifest": told["manifest"]}
        assert told["status"] == "healthy"
        records = Path(vcr.env["XDG_STATE_HOME"], "vcr/machines").glob("*/machine.json")
        (record,) = (json.loads(path.read_text()) for path in records)
        vcr("down", "-t", "0", self.project)
        return {"vm": record["vm"]}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[float, dict[str, Any]]]:
    """How long each command takes, and what comes of it, when nobody kills it."""
    found: dict[str, tuple[float, dict[str, Any]]] = {}
    return found


def measured(
    name: str, vcr: Vcr, tmp_path: Path, expected: dict[str, tuple[float, dict[str, Any]]]
) -> tuple[float, dict[str, Any]]:
    """Run the command NAME once in a store of its own, if that was not done."""
    if name not in expected:
        place = tmp_path / "undisturbed"
        place.mkdir()
        before = vcr.before
        with private_store(place / "store") as vcr.before:
            begun = time.monotonic()
            command = Command(name, make_project(place))
            result = command.result(vcr)
            expected[name] = (time.monotonic() - begun, result)
        vcr.before = before
    return expected[name]


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("name", ["build", "export", "up", "up-stage"])
def test_a_killed_command_succeeds_when_it_is_run_again(
    private_vcr: Vcr,
    chance: random.Random,
    tmp_path: Path,
    expected: dict[str, tuple[float, dict[str, Any]]],
    name: str,
    number: int,
    known: set[int],
) -> None:
    seconds, result = measured(name, private_vcr, tmp_path, expected)
    command = Command(name, make_project(tmp_path))
    moment = chance.uniform(0, min(seconds, LONGEST))
    sys.stdout.write(f"killed after {moment:.3f} of {seconds:.3f} seconds\n")
    child = private_vcr.spawn(*command.words)
    time.sleep(moment)
    below = descendants(child.pid)
    if number % 2:
        kill_tree(child.pid)
    else:
        os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    ended = child.returncode == 0  # it was faster this time
    if not ended and number % 2:
        assert_nothing_runs(known)
    elif not ended:
        assert_only_machines_run(known, private_vcr, below)
    if command.target.exists():  # whole, even if vcr was killed just before it said so
        checked = subprocess.run(
            ["sh", command.target / "verify.sh"], env=private_vcr.env, check=False
        )
        assert checked.returncode == 0, "a half-written export has its name"
        shutil.rmtree(command.target)
    assert command.result(private_vcr) == result
    assert_nothing_runs(known)
    assert_nothing_is_left(private_vcr, tmp_path)


def assert_only_machines_run(known: set[int], vcr: Vcr, below: list[int]) -> None:
    """What goes on when vcr alone was killed is a machine that `vcr ps` lists, and its watcher."""
    machines = {row["pid"] for row in vcr.json("ps")["machines"]}
    trees = {pid for machine in machines for pid in (machine, *descendants(machine))}
    watchers = {
        pid
        for pid in descendants(os.getpid())
        for words in [words_of(pid)]
        if "vcr.runtime.log_index" in words and any(f'"pid": {each},' in words for each in machines)
    }
    assert wait_until_alone({*known, *trees, *watchers}) == []


def assert_nothing_is_left(vcr: Vcr, tmp_path: Path) -> None:
    """No socket; and what else a killed vcr, or Nix, had begun is known to `vcr prune`."""
    runtime = Path(vcr.env["XDG_RUNTIME_DIR"], "vcr")
    assert not runtime.exists() or list(runtime.iterdir()) == []
    time.sleep(2.5)  # what was written just now may still be a build's
    told = vcr.json("prune", "--local", "--dry-run")["removed"]
    assert {row["kind"] for row in told} <= {"machine", "layer", "store", "scratch"}
    known = {row["name"] for row in told if row["kind"] in {"scratch", "layer"}}
    scratch, layers = Path(vcr.env["TMPDIR"]), tmp_path / "state/vcr/layers"
    left = [*scratch.iterdir(), *layers.glob(".*")]
    assert {str(path) for path in left} <= known
