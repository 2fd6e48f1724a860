"""Fixtures of tests/reliability: how often things are tried, and by which chance.

    VCR_ROUNDS=100 bin/test tests/reliability

Each round prints its seed; VCR_SEED=SEED repeats the chances of a run.
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from private_store import private_store
from processes import adopt_orphans, descendants
from program import EXAMPLE, Vcr, runner_in

SEED = os.environ.get("VCR_SEED") or str(int(time.time()))


def pytest_report_header() -> str:
    return f"VCR_SEED={SEED}"


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Chances that are the same again with the same VCR_SEED."""
    sys.stdout.write(f"VCR_SEED={SEED}\n")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What every build needs is in the store below those of the tests: kernel, tools."""
    with runner_in(tmp_path_factory.mktemp("warm")) as vcr:
        vcr("build", EXAMPLE)
        vcr("build", "--profile", "dev", EXAMPLE)


@pytest.fixture
def private_vcr(vcr: Vcr, tmp_path: Path, warm: None) -> Iterator[Vcr]:
    """A vcr with a Nix store, a cache and a temporary directory of the test's own."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    with private_store(tmp_path / "store") as before:
        vcr.before = before
        vcr.env |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(scratch)}
        yield vcr
        vcr("down", "--all", "-t", "0", "-q")
        vcr.before = ()


@pytest.fixture
def known() -> set[int]:
    """The processes below this one before the test, whose orphans it adopts."""
    adopt_orphans()
    return set(descendants(os.getpid()))
