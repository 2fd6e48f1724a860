"""The reference is what the code says, all of it, and man shows it."""

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from vcr.app import PUBLIC
from vcr.cli import HIDDEN, VERBS, vcr
from vcr.errors import VcrError
from vcr.model.answers import ANSWERS
from vcr.model.config import Config
from vcr.model.lockfile import Lock
from vcr.reference.command import Verb, read_command
from vcr.reference.man import man_pages
from vcr.reference.models import _models
from vcr.reference.pages import markdown_pages

ROOT = read_command(vcr)
MAN = man_pages(ROOT)


def every_verb() -> Iterator[Verb]:
    return ROOT.all()


def test_the_committed_reference_is_what_the_code_says(repo: Path) -> None:
    committed = {p.name: p.read_text() for p in (repo / "docs/reference").iterdir()}
    assert committed == markdown_pages(ROOT), "run `vcr reference markdown docs/reference`"


def test_every_verb_is_told_of_and_hidden_ones_are_not() -> None:
    assert [verb.words[-1] for verb in ROOT.verbs] == list(VERBS)
    assert not HIDDEN.keys() & {verb.words[-1] for verb in every_verb()}
    assert ("vcr", "attest", "verify") in {verb.words for verb in every_verb()}


@pytest.mark.parametrize("verb", every_verb(), ids=lambda verb: verb.name)
def test_every_option_says_what_it_means(verb: Verb) -> None:
    assert verb.summary
    assert all(option.meaning for option in verb.options)
    page = markdown_pages(ROOT)["cli.md"]
    for option in verb.options:
        assert f"`{option.variable}`" in page


@pytest.mark.parametrize(
    "model",
    dict.fromkeys(
        m for top in (Config, Lock, *(a for _, a in ANSWERS.values())) for m in _models(top)
    ),
    ids=lambda m: f"{m.__module__}.{m.__name__}",
)
def test_every_key_says_what_it_means(model: type[BaseModel]) -> None:
    assert model.__doc__
    for name, field in model.model_fields.items():
        is_section = isinstance(field.default, BaseModel) or name == "base"
        assert field.description or is_section, f"{name} has no description"


def test_the_variable_of_an_option_is_called_like_the_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VCR_LOGS_FOLLOW", "1")
    monkeypatch.setenv("VCR_ATTEST_VERIFY_KEY", "a.pub:b.pub")
    root = click.Context(vcr, info_name="vcr", auto_envvar_prefix="VCR")
    logs = vcr.get_command(root, "logs")
    assert logs is not None
    assert logs.make_context("logs", [], parent=root).params["go_on"] is True
    attest = vcr.get_command(root, "attest")
    assert isinstance(attest, click.Group)
    middle = click.Context(attest, info_name="attest", parent=root)
    verify = attest.commands["verify"].make_context("verify", ["file"], parent=middle)
    assert verify.params["keys"] == (Path("a.pub"), Path("b.pub"))
    assert verify.params["words"] == ("file",)


def test_every_kind_of_answer_is_told_of(repo: Path) -> None:
    printed = {
        node.args[0].value
        for path in (repo / "vcr/cli").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "json"
        and isinstance(node.args[0], ast.Constant)
    }
    assert printed == ANSWERS.keys()


@pytest.mark.parametrize("name", MAN)
def test_a_page_for_man_is_well_formed(name: str) -> None:
    lines = MAN[name].splitlines()
    assert lines[0].startswith(f'.TH "{name.removesuffix(".1").upper().replace("-", "\\-")}" "1"')
    titles = [line.removeprefix(".SH ") for line in lines if line.startswith(".SH ")]
    assert titles[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"]
    known = {".TH", ".SH", ".SS", ".TP", ".PP", ".br", ".RS", ".RE", ".nf", ".fi"}
    assert {line.split(" ")[0] for line in lines if line.startswith((".", "'"))} <= known
    assert MAN[name].isascii()


RENDERERS = {
    "groff": ["groff", "-man", "-Tutf8", "-ww"],
    "mandoc": ["mandoc", "-T", "utf8", "-W", "error,stop"],
}


@pytest.mark.parametrize("program", RENDERERS)
def test_man_shows_every_page_without_a_warning(program: str, tmp_path: Path) -> None:
    # mandoc is in the toolset that bin/test has for --fast and --all.
    tools = Path(os.environ.get("VCR_LINT_TOOLS", "/nowhere")) / "test-programs/usr/bin"
    found = shutil.which(program, path=f"{tools}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"needs {program}")
    for name, text in MAN.items():
        path = tmp_path / name
        path.write_text(text)
        done = subprocess.run(
            [found, *RENDERERS[program][1:], path], capture_output=True, text=True, check=True
        )
        assert done.stderr == "", f"{name}: {done.stderr}"
        shown = re.sub(".\b", "", done.stdout)  # bold letters are printed twice
        assert name.removesuffix(".1") in shown
        assert "SEE ALSO" in shown


def test_the_page_of_vcr_has_every_verb_and_exit_code() -> None:
    text = MAN["vcr.1"]
    assert all(f"\\fBvcr\\-{v.replace('-', '\\-')}\\fR(1)" in text for v in VERBS)
    assert "\\fB130\\fR" in text


def test_every_public_name_of_the_library_is_on_its_page() -> None:
    page = markdown_pages(ROOT)["python.md"]
    titles = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert titles == ["Errors", *PUBLIC, "Other types"]
    anchors = re.findall(r"\(#([\w-]+)\) \|", page)
    assert len(anchors) == len(set(anchors)) == len(PUBLIC)
    for kind in VcrError.__subclasses__():
        assert kind.__module__ != "vcr.errors" or f"`{kind.__name__}` | {kind.code}" in page


def test_what_is_said_beside_a_field_and_above_it_is_on_the_page() -> None:
    page = markdown_pages(ROOT)["python.md"]
    assert "| `ui` | `Ui` | `silent()` | progress, notes and warnings only, never data |" in page
    assert "`root` | `Path \\| None` | `None` | Of an emulated enclave: the file with" in page
