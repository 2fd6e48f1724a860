"""What vcr makes of a Dockerfile: tests/dockerfiles is the list, a directory each.

Those without a golden file have a RUN, and are built by tests/integration/test_dockerfiles.py.
After a deliberate change: VCR_TEST_GOLDEN=write bin/test tests/unit/test_dockerfile_behaviours.py
"""

import os
import re
from pathlib import Path

import pytest
from in_process import told

TESTS = Path(__file__).resolve().parents[1]
DOCKERFILES, GOLDEN = TESTS / "dockerfiles", TESTS / "golden" / "dockerfiles"
BUILT = set(
    re.findall(r"def test_(\w+)", (TESTS / "integration" / "test_dockerfiles.py").read_text())
)
NAMES = sorted({path.name for path in DOCKERFILES.iterdir()} - BUILT)


@pytest.mark.parametrize("name", NAMES)
def test_a_dockerfile_makes_what_it_made(name: str, tmp_path: Path) -> None:
    found, golden = told(DOCKERFILES / name, tmp_path), GOLDEN / f"{name}.txt"
    if os.environ.get("VCR_TEST_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(found)
    assert found == golden.read_text()


def test_every_golden_file_has_a_dockerfile() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == NAMES
