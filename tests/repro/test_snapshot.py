"""The machine, its snapshot and its seal are one hash, however often and wherever they are built.

Each round has another path of the project, another build directory, another CPU, and a
busy host; every third has a store of its own. VCR_ROUNDS says how many rounds there are:

    VCR_ROUNDS=20 bin/test -v tests/repro/test_snapshot.py
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from again import assert_same_again
from determinism import busy_host, closure, copy_to, outputs_of, strange

from vcr.build.builder import Builder
from vcr.model.arch import Arch
from vcr.model.ladder import read_rungs
from vcr.model.stage import PROD_STAGES, STAGES
from vcr.planner.prepare import prepare
from vcr.settings import Settings
from vcr.tools.nix import Nix, Target
from vcr.ui import Ui

pytestmark = [pytest.mark.nix, pytest.mark.vm]

REPO = Path(__file__).resolve().parents[2]
EXAMPLE = REPO / "examples" / "static"
ROUNDS = int(os.environ.get("VCR_ROUNDS", "3"))
PROD = PROD_STAGES[len(STAGES) :]


def targets(project: Path, cache: Path, *, build: bool = False) -> tuple[Target, ...]:
    """Evaluate what prod adds to a build of PROJECT, and build it if asked."""
    settings = Settings.load({**os.environ, "XDG_CACHE_HOME": str(cache)})
    loaded, plan = prepare(project, arch=Arch.RISCV64, profile="prod")
    builder = Builder(settings, Ui(), loaded)
    if build:
        builder.build(plan, PROD_STAGES)
    return Nix(settings).evaluate(PROD, builder.write_plan(plan)).targets


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Target, ...]:
    return targets(EXAMPLE, tmp_path_factory.mktemp("cache"), build=True)


def digests(outputs: list[Path]) -> list[tuple[str, str]]:
    return [(rung.name, str(rung.digest)) for out in outputs for rung in read_rungs(out)]


def elsewhere(built: tuple[Target, ...], root: Path, number: int) -> list[tuple[str, str]]:
    """Build in a store of its own below ROOT and return the digests."""
    drvs = [target.drv for target in built]
    needed = {drv for ours in drvs for drv in closure([ours])[ours].inputs} - set(drvs)
    store = copy_to(root, drvs, outputs_of(needed))
    argv = ["nix-store", "--store", store, "--realise", *map(str, drvs)]
    done = strange(argv, number, f"cores = {number + 1}\nsandbox-build-dir = /round/{number}")
    assert done.returncode == 0, done.stderr
    try:
        return digests([root / str(target.out).lstrip("/") for target in built])
    finally:
        shutil.rmtree(root)


def once_more(built: tuple[Target, ...], number: int) -> list[tuple[str, str]]:
    """Build what the store has once more; every byte is compared."""

    def by(argv: list[str]) -> subprocess.CompletedProcess[str]:
        return strange(argv, number, f"cores = {number + 1}\nsandbox-build-dir = /round/{number}")

    assert_same_again([target.drv for target in built], by, [100 + number])
    return digests([target.out for target in built])


@pytest.mark.parametrize("number", range(ROUNDS))
def test_every_round_gives_the_same_hash(
    built: tuple[Target, ...], tmp_path: Path, number: int
) -> None:
    project = tmp_path / f"place {number}" / "static"
    shutil.copytree(EXAMPLE, project)
    assert [t.drv for t in targets(project, tmp_path / "cache")] == [t.drv for t in built]
    with busy_host():
        own = number % 3 == 2
        found = elsewhere(built, tmp_path / "store", number) if own else once_more(built, number)
    assert found == digests([target.out for target in built])
