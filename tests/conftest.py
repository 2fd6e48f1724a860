"""What every test may rely on: the repository, what its marks say it needs, and an end in time.

This is the only conftest.py: mypy checks a module once for all that has its name.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from costs import Costs
from limits import limited, seconds_of
from make_room import make_room_in_time
from order import Units, in_order, kernels_of

from vcr.settings import without_legacy_ciphers
from vcr.signals import notice_ends_of_children

# Before a test, or a fixture below, imports `cryptography`.
without_legacy_ciphers()

from chances import chance, known, private_vcr, pytest_report_header, warm  # noqa: E402
from program import project, vcr  # noqa: E402
from runtimes import runtime  # noqa: E402

__all__ = [
    "chance", "known", "private_vcr", "project", "pytest_report_header", "runtime", "vcr", "warm",
]  # fmt: skip

REPO = Path(__file__).resolve().parents[1]
MAX_ID = 60  # characters of a parameter that are in the name of a test
# Sets up Nix as bin/test does, and builds what is not there.
HAVE = '. "$root/nix/lib/setup.sh"; have "$1"'

# In the background of a shell it is ignored, and so by all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
notice_ends_of_children()
# How long an example takes says nothing on a host that does other things: tests/limits.py does.
hypothesis.settings.register_profile("vcr", deadline=None)
hypothesis.settings.load_profile("vcr")


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "show the N tests that took longest, with the seconds of CPUs"
    parser.addoption("--slowest", type=int, metavar="N", help=words)


def pytest_configure(config: pytest.Config) -> None:
    if count := config.getoption("slowest"):
        config.pluginmanager.register(Costs(count), "costs")


@pytest.hookimpl(tryfirst=True)
def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a long parameter by its beginning and length: workers tell all names to one another."""
    if isinstance(val, str | bytes) and len(val) > MAX_ID:
        return f"{ascii(val[:MAX_ID])[1:-1]}... {len(val)}"
    return None


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.hookimpl(trylast=True)  # after pytest has brought tests of one parameter together
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = in_order(items, os.environ.get("VCR_TEST_MISSING", "").split())
    if shutil.which("nix"):
        return
    for item in items:
        if {"nix", "vm"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.skip(reason="needs Nix"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Units | None:
    return Units(config, log) if config.getoption("dist") == "loadscope" else None


@cache
def compiled(kernel: str) -> None:
    """Have the store hold a KERNEL of nix/default.nix; it takes minutes where it does not."""
    env = {**os.environ, "root": str(REPO)}
    subprocess.run(["sh", "-euc", HAVE, "sh", kernel], env=env, check=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    if not list(item.iter_markers("skip")):
        if {"nix", "vm"} & {mark.name for mark in item.iter_markers()}:
            make_room_in_time(Path(tempfile.gettempdir()))
        for kernel in kernels_of(item):
            compiled(kernel)
    with limited(seconds_of(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with limited(seconds_of(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with limited(seconds_of(item)):
        return (yield)
