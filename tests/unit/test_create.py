"""`vcr create` makes whole projects or nothing."""

import io
from pathlib import Path

import pytest

from vcr.app.building.create import TEMPLATES
from vcr.cli import run
from vcr.cli.context import App
from vcr.errors import ExitCode
from vcr.model.arch import Arch
from vcr.planner.prepare import prepare
from vcr.settings import Settings
from vcr.ui import Ui


@pytest.fixture
def app(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> App:
    ui = Ui(out=io.StringIO(), err=io.StringIO())
    home = tmp_path_factory.mktemp("home")  # what vcr keeps is there
    return App(Settings.load({"HOME": str(home)}), ui, tmp_path)


def said(app: App) -> str:
    assert isinstance(app.ui.err, io.StringIO)
    return app.ui.err.getvalue()


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_a_working_project(app: App, tmp_path: Path, template: str) -> None:
    assert run(app, ["create", "my-app", "--template", template]) is ExitCode.OK
    _, plan = prepare(tmp_path / "my-app", arch=Arch.RISCV64, profile="vm")  # is locked
    assert plan.machine.ports
    assert plan.machine.health is not None
    assert "# my-app" in (tmp_path / "my-app" / "README.md").read_text()
    assert (tmp_path / "my-app" / ".dockerignore").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my-app"]


def test_nothing_is_overwritten(app: App, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    assert run(app, ["create", "app"]) is ExitCode.USAGE
    assert "exists already" in said(app)
    assert list((tmp_path / "app").iterdir()) == []


@pytest.mark.parametrize("name", ["App", "../x", "a b", "-x", ""])
def test_a_name_must_be_fit_for_an_image(app: App, tmp_path: Path, name: str) -> None:
    assert run(app, ["create", "--", name]) is ExitCode.USAGE
    assert "cannot be the name of a project" in said(app)
    assert list(tmp_path.iterdir()) == []
