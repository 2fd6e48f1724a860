"""What every test may rely on: where the repository is, and marks that say what they need."""

import shutil
from pathlib import Path

import pytest

from vcr.settings import without_legacy_ciphers

REPO = Path(__file__).resolve().parents[1]

without_legacy_ciphers()  # before a test imports `cryptography`


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("nix"):
        return
    for item in items:
        if {"nix", "vm"} & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.skip(reason="needs Nix"))
