"""The tests that templates bring for their apps pass, where their languages are on this host."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vcr.app.building.create import TEMPLATES

REPO = Path(__file__).resolve().parents[2]
UNITTEST = [sys.executable, "-B", "-m", "unittest"]
MODULES = ("flask",)
# template → what its test takes, and how it is run
TESTS = {
    "python": ((), UNITTEST),
    "flask": (("flask",), UNITTEST),
    "node": (("npm", "node"), ["node", "--test"]),
    "go": (("go",), ["go", "test", "./..."]),
    "rust": (("rustc",), ["sh", "-c", "rustc --test main.rs && exec ./main"]),
    "c": (("cc", "curl"), ["sh", "test.sh"]),
    "static": ((), ["sh", "test.sh"]),
}
# With ports of its own.
ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def test_every_template_has_tests() -> None:
    assert set(TESTS) == set(TEMPLATES)


def is_here(name: str) -> bool:
    """Tell whether this host has the program, or this Python the module, NAME."""
    if name not in MODULES:
        return shutil.which(name) is not None
    asked = [sys.executable, "-I", "-c", f"import {name}"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network of its own")
@pytest.mark.parametrize("template", TESTS)
def test_the_tests_of(template: str, tmp_path: Path) -> None:
    needs, argv = TESTS[template]
    for name in needs:
        if not is_here(name):
            pytest.skip(f"needs {name}")
    app = tmp_path / "app"
    shutil.copytree(REPO / "examples" / TEMPLATES[template], app)
    if template == "node":  # before there is no network
        fetched = subprocess.run(["npm", "ci", "--silent"], cwd=app, check=False)
        if fetched.returncode:
            pytest.skip("needs what npm fetches")
    done = subprocess.run([*ALONE, *argv], cwd=app, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
