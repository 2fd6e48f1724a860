"""No text of a stranger steers the terminal or forges a line, whichever way it is shown."""

import io
import os
import pty
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from vcr.cli import run
from vcr.cli.context import App
from vcr.errors import VcrError
from vcr.progress import Progress, Step
from vcr.settings import Settings
from vcr.ui import Tint, Ui, aligned

# Erases the screen, sets the title, begins a row of its own, turns the order of letters,
# hides letters, is not UTF-8.
HOSTILE = "x\x1b[2J\x1b]0;t\x07\n  kept  forged\r\x9b1A\u202e\u2028\u200b\U000e0041\x7f\udcff\x00y"
SGR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def make_ui(progress: Progress = Progress.PLAIN, *, verbosity: int = 1) -> Ui:
    return Ui(Terminal(), Terminal(), progress, verbosity=verbosity)


def shown(ui: Ui) -> str:
    assert isinstance(ui.out, io.StringIO)
    assert isinstance(ui.err, io.StringIO)
    return ui.out.getvalue() + ui.err.getvalue()


def steering(text: str) -> set[str]:
    """Return the characters of TEXT that are neither seen nor the end of a line."""
    unsafe = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u2028\u202e\U000e0041\ud800-\udfff]")
    return set(unsafe.findall(text))


def an_error(text: str) -> VcrError:
    return VcrError(text, why=text, fix=text, details=[(text, text)], tail=[text])


WAYS: dict[str, tuple[Callable[[Ui], None], int]] = {
    "data": (lambda ui: ui.data(HOSTILE), 1),
    "table": (lambda ui: ui.table([("a", "b", "c"), (HOSTILE, HOSTILE, "ok")]), 2),
    "lines": (lambda ui: ui.lines([((HOSTILE, Tint.TITLE), (HOSTILE, Tint.TEXT))]), 1),
    "note": (lambda ui: ui.note(HOSTILE), 1),
    "detail": (lambda ui: ui.detail(HOSTILE), 1),
    "warn": (lambda ui: ui.warn(HOSTILE), 1),
    "json": (lambda ui: ui.json("k", {"name": HOSTILE}), 1),
    # tail, what, details; why and fix have two lines each
    "error": (lambda ui: ui.error(an_error(HOSTILE)), 7),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_shown_neither_steers_nor_forges_a_line(way: str) -> None:
    ui = make_ui()
    show, lines = WAYS[way]
    show(ui)
    assert not steering(SGR.sub("", shown(ui)))
    assert len(shown(ui).splitlines()) == lines
    assert not [line for line in shown(ui).splitlines() if line.startswith("  kept")]
    shown(ui).encode()


def test_further_lines_of_a_why_do_not_look_like_its_fix() -> None:
    ui = make_ui()
    ui.error(VcrError("what", why="a\n  fix: run this", fix="do that"))
    assert shown(ui).splitlines() == [
        "error: what", "  why: a", "     |   fix: run this", "  fix: do that",
    ]  # fmt: skip


def test_a_document_keeps_its_lines_and_no_other_control() -> None:
    ui = make_ui()
    ui.document(f"a\n\tb\n{HOSTILE}")
    assert not steering(shown(ui).replace("\t", ""))
    assert shown(ui).startswith("a\n\tb\nx")


def test_a_cell_of_spaces_is_no_further_column() -> None:
    row, _ = aligned([("receipt  machine  holds", "kept"), ("other", "kept")])
    assert re.split(" {2,}", row) == [r"receipt\x20\x20machine\x20\x20holds", "kept"]


def work(step: Step) -> None:
    step.line(HOSTILE)
    step.line("\x1b[31mred\x1b[0m")
    step.because(HOSTILE)


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("mode", [Progress.PLAIN, Progress.JSON, Progress.QUIET])
def test_a_step_shows_names_and_lines_safely(mode: Progress, failing: bool) -> None:
    ui = make_ui(mode)
    with suppress(VcrError), ui.step(HOSTILE) as step:
        work(step)
        if failing:
            raise VcrError("failed")
    assert not steering(shown(ui))
    assert not [line for line in shown(ui).splitlines() if line.startswith("  kept")]
    assert ("red" in shown(ui)) == (failing or mode is not Progress.QUIET)
    shown(ui).encode()


def test_a_live_step_steers_only_by_itself() -> None:
    """The drawing moves the cursor; what a name or a line holds does not."""
    ui = make_ui(Progress.TTY)
    with ui.step(HOSTILE) as step:
        work(step)
    assert "\x1b[2J" not in shown(ui)
    assert not {"\x07", "\x9b", "\u202e", "\x7f", "\x00"} & set(shown(ui))
    shown(ui).encode()


def test_an_endless_line_is_shown_in_part_while_it_runs() -> None:
    with make_ui(Progress.QUIET).step("x") as step:
        step.line("a" * 10_000_000)
        assert len(step.latest) == 1000


def through(ui_on: Callable[[io.TextIOWrapper], Ui], reader: int, writer: int, line: str) -> bytes:
    """Return what is read at READER when the Ui on WRITER passes on LINE of an app."""
    with open(writer, "w", encoding="utf-8") as stream:
        ui_on(stream).program(line)
        return os.read(reader, 4096)


def test_what_an_app_prints_reaches_a_terminal_with_its_colours_only() -> None:
    reader, writer = pty.openpty()
    line = "\x1b[32mok\x1b[0m\t\x1b[2J\x1b]52;c;aGk=\x07\udcff"
    got = through(lambda stream: Ui(out=stream), reader, writer, line)
    os.close(reader)
    end = rb"\x1b[2J\x1b]52;c;aGk=\x07\xff"
    assert got.replace(b"        ", b"\t") == b"\x1b[32mok\x1b[0m\t" + end + b"\x1b[0m\r\n"


def test_what_an_app_prints_reaches_a_pipe_as_it_is() -> None:
    reader, writer = os.pipe()
    line = b"\x1b[2J\x07\xff\xe2\x82\xac".decode("utf-8", "surrogateescape")
    assert through(lambda stream: Ui(out=stream), reader, writer, line) == (
        b"\x1b[2J\x07\xff\xe2\x82\xac\n"
    )
    os.close(reader)


def said(tmp_path: Path, *argv: str) -> str:
    """Return what a command line that fails shows on a terminal."""
    ui = Ui(Terminal(), Terminal(), Progress.PLAIN)
    run(App(Settings.load({"HOME": str(tmp_path)}), ui, tmp_path), list(argv))
    return shown(ui)


@pytest.mark.parametrize(
    "argv",
    [
        [HOSTILE.replace("\x00", "")],
        ["build", "--no-such\x1b[2J"],
        ["build", "-C", "no\x1b[2J\nerror: forged"],
        ["verify", "no\x1b[2J.json"],
        ["explain", "a\x1b[2J\udcff", "b"],
        ["create", "x\x1b[2J"],
        ["logs", "--since", "\x1b[2J"],
        ["build", "--profile", "\x1b[2J"],
    ],
    ids=lambda argv: argv[0][:7].encode("ascii", "replace").decode().replace("\x1b", "?"),
)
def test_words_of_the_command_line_do_not_steer(tmp_path: Path, argv: list[str]) -> None:
    text = said(tmp_path, *argv)
    assert not steering(text)
    assert "\nerror: forged" not in text
    assert "error: vcr failed" not in text


@pytest.mark.parametrize(
    ("files", "verb"),
    [
        ({"Dockerfile": "FROM scratch\nCOPY a\x1b[2Jb /\n"}, "build"),
        ({"Dockerfile": "FROM \x1b[2J\n"}, "lock"),
        ({"Dockerfile": "FROM scratch\nNOT\x1b[2J x\n"}, "inspect"),
        ({"Dockerfile": "FROM scratch AS \x1b[2J\n"}, "inspect"),
        (
            {"vcr.toml": '[project]\nname = "\\u001b[2J"\n'},
            "inspect",
        ),
        ({"vcr.toml": '["\\u001b[2J"]\nname = 1\n', "Dockerfile": "FROM scratch\n"}, "inspect"),
        ({"vcr.toml": "\x1b[2J = [\n", "Dockerfile": "FROM scratch\n"}, "inspect"),
    ],
)
def test_files_of_a_project_do_not_steer(tmp_path: Path, files: dict[str, str], verb: str) -> None:
    for name, content in {"Dockerfile": "FROM scratch\n", **files}.items():
        (tmp_path / name).write_text(content)
    text = said(tmp_path, verb)
    assert "error: " in text
    assert "error: vcr failed" not in text
    assert not steering(text)
