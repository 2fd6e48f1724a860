"""`vcr logs`: since when, how much, and what comes next."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from processes import command_lines

pytestmark = [pytest.mark.nix, pytest.mark.vm]

SCRIPT = (
    "i=0; while :; do echo tick $i; i=$((i+1)); busybox sleep 1; done & exec busybox httpd -f -p 80"
)


@pytest.fixture
def ticking(project: Path) -> Path:
    command = json.dumps(["busybox", "sh", "-c", SCRIPT])
    (project / "Dockerfile").write_text(
        f"FROM busybox\nUSER 1000:1000\nEXPOSE 80\nSTOPSIGNAL KILL\nCMD {command}\n"
    )
    return project


@pytest.mark.parametrize("profile", ["dev", "vm", "prod"])
def test_lines_have_a_time(vcr: Any, ticking: Path, tmp_path: Path, profile: str) -> None:
    vcr("up", "--profile", profile, ticking)
    deadline = time.monotonic() + 120
    while len(everything := vcr("logs", ticking).stdout.splitlines()) < 8:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert everything[:2] == ["tick 0", "tick 1"]
    last = vcr("logs", "--since", "3s", ticking).stdout.splitlines()
    # A second for the command itself, and more where the machine is slow.
    assert 1 <= len(last) <= 5
    assert set(last).isdisjoint(everything[:3])
    since_long = vcr("logs", "--since", "80000h", ticking).stdout.splitlines()
    assert since_long[:8] == everything[:8]
    (count,) = vcr("logs", "--tail", "1", ticking).stdout.splitlines()
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    child = vcr.spawn("logs", "--follow", "--since", moment, ticking)
    line = child.stdout.readline()
    assert int(line.split()[1]) > int(count.split()[1])
    assert "neither a time nor" in vcr("logs", "--since", "noon", ticking, code=2).stderr
    system = vcr("logs", "--system", ticking).stdout
    assert "vcr: start app" in system
    assert vcr("logs", "--console", ticking).stdout == system
    assert "start app" not in vcr("logs", "--system", "--since", "1s", ticking).stdout
    vcr("down", "-t", "0", ticking)
    assert not [words for words in command_lines() if f"{tmp_path}/state" in words]
    # They stay until the next start, with their times.
    assert vcr("logs", "--since", "1h", ticking).stdout.splitlines()[0] == "tick 0"


def test_a_log_whose_times_nobody_noted(vcr: Any, project: Path) -> None:
    vcr("up", "--profile", "dev", project)
    for index in Path(vcr.env["XDG_STATE_HOME"]).rglob("*.times"):
        index.unlink()
    told = vcr("logs", "--since", "1h", project, code=2).stderr
    assert "the times of this log are unknown" in told
