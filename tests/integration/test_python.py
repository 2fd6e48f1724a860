"""The example of docs/reference/python.md, as a program of its own."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.nix, pytest.mark.vm]
LINES = 20


def test_the_example_of_the_library_builds_starts_asks_and_verifies(
    vcr: Any, repo: Path, tmp_path: Path
) -> None:
    page = (repo / "docs/reference/python.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    assert len(code.splitlines()) <= LINES
    assert {"app.build(", "app.up(", "urlopen(", "app.verify("} <= set(
        re.findall(r"[\w.]+\(", code)
    )
    project = tmp_path / "examples/static"
    shutil.copytree(repo / "examples/static", project)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=vcr.env,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    ladder = [f"{rung['name']} {rung['digest']}" for rung in vcr.json("build", project)["ladder"]]
    index = (project / "www/index.html").read_text()
    assert done.stdout == "".join(f"{line}\n" for line in (*ladder, index))
    assert vcr("ps").stdout.count("healthy") == 0
