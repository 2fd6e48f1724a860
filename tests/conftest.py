"""What every test may rely on: the repository, what its marks say it needs, and an end in time."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from limits import limited, seconds_of
from order import Units, in_order, kernels_of

from vcr.settings import without_legacy_ciphers
from vcr.signals import notice_ends_of_children

REPO = Path(__file__).resolve().parents[1]
# Sets up Nix as bin/test does, and builds what is not there.
HAVE = '. "$root/nix/lib/setup.sh"; have "$1"'

without_legacy_ciphers()  # before a test imports `cryptography`
# In the background of a shell it is ignored, and so by all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
notice_ends_of_children()


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
