"""Many projects and many polls: nothing adds up that should not."""

import io
import os
import shutil
import threading
import urllib.request
from pathlib import Path

import pytest
from determinism import busy_host
from processes import assert_nothing_runs, parents
from program import REPO, Vcr

from vcr.cli import run
from vcr.cli.context import App
from vcr.model.project import load_project
from vcr.runtime.machine import Running, current_health
from vcr.runtime.ports import holder_of
from vcr.runtime.record import Records
from vcr.settings import Settings
from vcr.ui import Ui

pytestmark = pytest.mark.nix

ROUNDS = int(os.environ.get("VCR_ROUNDS", "2"))
PROJECTS = 24 if ROUNDS >= 10 else 6
POLLS = 500


def settings_of(vcr: Vcr) -> Settings:
    return Settings.load(vcr.env)


def test_polls_of_a_busy_host_do_not_fail(vcr: Vcr, project: Path) -> None:
    """A command of the container, which takes more than a connection, is asked a tenth as often."""
    vcr("up", "--profile", "dev", project)
    records = Records(settings_of(vcr))
    record = records.load(load_project(project).key)
    assert record is not None
    by_command = Running.of(record, records)
    toml = (project / "vcr.toml").read_text()
    (project / "vcr.toml").write_text(f'{toml}[health]\nhttp = "/"\n')
    with busy_host():
        outcomes = [current_health(by_command) for _ in range(POLLS // 10)]
        vcr("up", "--profile", "dev", project)
        record = records.load(load_project(project).key)
        assert record is not None
        by_request = Running.of(record, records)
        outcomes += [current_health(by_request) for _ in range(POLLS)]
    assert [outcome.detail for outcome in outcomes if not outcome.healthy] == []
    assert (record.pid, record.started) == (by_request.record.pid, by_request.record.started)


def test_projects_leave_nothing_behind(vcr: Vcr, tmp_path: Path, known: set[int]) -> None:
    settings = settings_of(vcr)
    app = App(settings, Ui(out=io.StringIO(), err=io.StringIO()), tmp_path)
    counts = []
    for number in range(PROJECTS):
        project = tmp_path / f"app{number}"
        shutil.copytree(REPO / "examples/static", project)
        (project / "www/index.html").write_text(f"page {number}\n")
        up_and_down(app, settings, project, f"page {number}\n")
        assert_nothing_runs(known)  # what notes the times of logs ends a moment later
        counts.append(counted(settings))
    assert counts[1:] == [counts[1]] * (PROJECTS - 1)  # the first one imports and unpacks
    assert_nothing_runs(known)
    assert run(app, ["prune", "--local", "--dry-run"]) == 0


def up_and_down(app: App, settings: Settings, project: Path, page: str) -> None:
    assert run(app, ["up", "--profile", "dev", str(project)]) == 0, app.ui.err.getvalue()  # type: ignore[attr-defined]
    record = Records(settings).load(load_project(project).key)
    assert record is not None
    with urllib.request.urlopen(f"http://127.0.0.1:{record.forwards[0].host}/") as answer:
        assert answer.read().decode() == page
    assert run(app, ["down", "-t", "0", str(project)]) == 0
    assert holder_of(record.forwards[0].host) == ""


def counted(settings: Settings) -> dict[str, int]:
    """Count what must not grow: processes below this one, file descriptors, threads, sockets."""
    above = parents()
    return {
        "processes": sum(parent == os.getpid() for parent in above.values()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "sockets": len(list(settings.runtime_dir.rglob("*"))),
    }
