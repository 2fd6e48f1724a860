"""What every test may rely on: where the repository is, and marks that say what they need."""

import shutil
import signal
from pathlib import Path

import pytest

from vcr.settings import without_legacy_ciphers

REPO = Path(__file__).resolve().parents[1]

without_legacy_ciphers()  # before a test imports `cryptography`
# In the background of a shell it is ignored, and so by all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("nix"):
        return
    for item in items:
        if {"nix", "vm"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.skip(reason="needs Nix"))
