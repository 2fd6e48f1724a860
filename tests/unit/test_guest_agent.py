"""The agent's own tests, in Go."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize("tags", ["", "debug"])
def test_the_agent_is_content(repo: Path, tags: str) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("needs go")
    env = {
        **os.environ,
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
    }
    argv = [go, "test", f"-tags={tags}", "."]
    done = subprocess.run(
        argv, cwd=repo / "guest" / "agent", env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
