"""`vcr intro`: the tour, and what comes next in every kind of directory."""

import io
import json
import shutil
from pathlib import Path

import pytest
from test_cli import errors_of, make_app

from vcr.build.builder import Builder
from vcr.cli import VERBS, run
from vcr.cli.building.intro import NEXT, TOUR
from vcr.cli.context import App
from vcr.errors import ExitCode
from vcr.model.answers import ANSWERS
from vcr.model.project import load_project


@pytest.fixture
def app(tmp_path: Path, repo: Path) -> App:
    shutil.copytree(repo / "examples/static", tmp_path / "static")
    app = make_app(tmp_path)
    app.directory = tmp_path / "static"
    return app


def answer(app: App, *words: str) -> str:
    assert isinstance(app.ui.out, io.StringIO)
    assert run(app, ["intro", *words]) == ExitCode.OK
    return app.ui.out.getvalue()


def state(app: App) -> str:
    told = json.loads(answer(app, "--json"))
    _, form = ANSWERS[told["kind"]]
    form.model_validate({key: told[key] for key in told.keys() - {"schema", "kind"}})
    return str(told["state"])


def test_the_tour_is_about_twenty_lines_of_real_verbs(app: App) -> None:
    lines = answer(app).splitlines()
    assert 15 <= len(lines) <= 22
    assert all(len(line) <= 90 for line in lines)
    named = {word for _, rows in TOUR for words, _ in rows for word in words.split(", ")}
    named |= {step.command.removeprefix("vcr ") for each in NEXT.values() for step in each.steps}
    assert {words.split()[0] for words in named} <= VERBS.keys()
    assert all(len(each.steps) == 3 for each in NEXT.values())


def test_a_directory_without_a_dockerfile_is_offered_a_template(app: App, tmp_path: Path) -> None:
    app.directory = tmp_path
    assert "$ vcr create my-app --template python" in answer(app)


def test_a_dockerfile_alone(app: App) -> None:
    (app.directory / "vcr.toml").unlink()
    (app.directory / "vcr.lock").unlink()
    assert state(app) == "dockerfile"


def test_a_project_without_a_lock(app: App) -> None:
    (app.directory / "vcr.lock").unlink()
    assert state(app) == "unlocked"


def test_a_lock_that_is_out_of_date(app: App) -> None:
    (app.directory / "vcr.toml").write_text('[base.busybox]\npackages = ["busybox"]\n')
    assert state(app) == "stale"


def test_a_locked_project(app: App) -> None:
    assert state(app) == "locked"


def test_a_project_is_built_while_what_was_built_is_there(app: App, tmp_path: Path) -> None:
    roots = Builder(app.settings, app.ui, load_project(app.directory)).roots / "stage-riscv64"
    roots.mkdir(parents=True)
    (roots / "image").symlink_to(tmp_path / "output")
    assert state(app) == "locked"  # it was removed from the store
    (tmp_path / "output").mkdir()
    assert isinstance(app.ui.out, io.StringIO)
    app.ui.out.truncate(0)
    app.ui.out.seek(0)
    assert state(app) == "built"


def test_what_cannot_be_read_is_said(app: App) -> None:
    (app.directory / "vcr.toml").write_text("[machin]\n")
    assert run(app, ["intro"]) is ExitCode.USAGE
    assert "did you mean 'machine'?" in errors_of(app)
