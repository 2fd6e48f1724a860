"""The version is in vcr/__init__.py; everything else takes it from there."""

import re
import tomllib
from pathlib import Path

from click.testing import CliRunner
from lint import files

from vcr import __version__
from vcr.cli import vcr


def test_it_is_of_three_numbers() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_the_package_takes_it_from_the_module(repo: Path) -> None:
    settings = tomllib.loads((repo / "pyproject.toml").read_text())
    assert "version" not in settings["project"]
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["setuptools"]["dynamic"] == {"version": {"attr": "vcr.__version__"}}


def test_the_command_line_shows_it() -> None:
    assert __version__ in CliRunner().invoke(vcr, ["--version"]).output


def test_no_other_file_assigns_it(repo: Path) -> None:
    assignment = re.compile(rf"version\w*[\"']?\s*[:=]\s*[\"']{re.escape(__version__)}[\"']")
    sources = [path for path in files(repo) if path.suffix in {".py", ".nix", ".toml"}]
    assert [path for path in sources if assignment.search((repo / path).read_text())] == [
        Path("vcr/__init__.py")
    ]


def test_the_changelog_begins_with_what_comes_or_with_this_version(repo: Path) -> None:
    """A version that is released has its date: docs/releasing.md."""
    headings = re.findall(r"^## (.*)$", (repo / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert re.fullmatch(rf"Unreleased|{re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)", headings[0])
