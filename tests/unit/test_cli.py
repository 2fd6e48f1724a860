"""The frame of the command line: help, usage errors, exit codes."""

import io
import subprocess
import sys
from pathlib import Path

import click
import pytest

from vcr.cli import VERBS, run, summaries, vcr
from vcr.cli.context import App
from vcr.errors import ExitCode, LockError
from vcr.settings import Settings
from vcr.ui import Ui


def make_app(tmp_path: Path) -> App:
    ui = Ui(out=io.StringIO(), err=io.StringIO())
    return App(Settings.load({"HOME": str(tmp_path)}), ui, tmp_path)


def errors_of(app: App) -> str:
    assert isinstance(app.ui.err, io.StringIO)
    return app.ui.err.getvalue()


HEAVY = {"pydantic", "rich", "cryptography", "cbor2", "watchdog", "urllib.request"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([v, "--help"] for v in VERBS)])
def test_help_imports_nothing_heavy(repo: Path, words: list[str]) -> None:
    code = (
        "import sys\n"
        "from vcr.cli import main\n"
        f"try: main({words})\n"
        "except SystemExit: pass\n"
        f"print(sorted({HEAVY} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repo, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unknown_verb_names_the_nearest(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    assert run(app, ["biuld"]) is ExitCode.USAGE
    assert "did you mean `vcr build`?" in errors_of(app)


def test_an_unknown_option_is_a_usage_error_that_points_to_help(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    assert run(app, ["build", "--frobnicate"]) is ExitCode.USAGE
    assert "--frobnicate" in errors_of(app)
    assert "`vcr build --help`" in errors_of(app)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(tmp_path: Path, shell: str) -> None:
    app = make_app(tmp_path)
    assert run(app, ["completion", shell]) is ExitCode.OK
    assert isinstance(app.ui.out, io.StringIO)
    assert f"_VCR_COMPLETE={shell}_complete" in app.ui.out.getvalue()


@pytest.mark.parametrize(
    ("line", "position", "found"),
    [
        ("vcr bu", 1, ["plain,build"]),
        ("vcr build --profile v", 3, ["plain,vm", "plain,vm-release"]),
        ("vcr mistyped b", 2, ["plain,build"]),  # says nothing of what is wrong so far
    ],
)
def test_words_are_completed(repo: Path, line: str, position: int, found: list[str]) -> None:
    asked = {"_VCR_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(position)}
    done = subprocess.run(
        [sys.executable, "-c", "from vcr.cli import main; main()"],
        cwd=repo,
        env={**asked, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == found
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["build", "a", "b"], "too many arguments"),
        (["build", "image", "kernel"], "too many arguments"),
        (["build", "no-such-dir"], "neither a stage nor a directory"),
        (["build", "--profile", "prod", "--arch", "amd64"], "prod machines are riscv64"),
        (["build", "kernel", "--profile", "prod", "--arch", "arm64"], "prod machines are riscv64"),
    ],
)
def test_build_arguments_are_checked(tmp_path: Path, argv: list[str], words: str) -> None:
    app = make_app(tmp_path)
    assert run(app, argv) is ExitCode.USAGE
    assert words in errors_of(app)


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def explode() -> None:
        raise error

    monkeypatch.setattr(vcr, "get_command", lambda *_: click.Command("build", callback=explode))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LockError("vcr.lock is missing"), ExitCode.LOCK),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (RuntimeError("surprise"), ExitCode.BUG),
    ],
)
def test_every_failure_has_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: ExitCode
) -> None:
    fail_with(monkeypatch, error)
    app = make_app(tmp_path)
    assert run(app, ["build"]) is code
    assert "Traceback" not in errors_of(app)


def test_a_bug_shows_its_traceback_with_debug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, RuntimeError("surprise"))
    app = make_app(tmp_path)
    assert run(app, ["--debug", "build"]) is ExitCode.BUG
    assert "Traceback" in errors_of(app)
    assert "run it again with --debug" in errors_of(app)


def test_the_list_of_verbs_has_their_first_lines() -> None:
    context = click.Context(vcr)
    commands = {verb: vcr.get_command(context, verb) for verb in VERBS}
    helps = {verb: command.help or "" for verb, command in commands.items() if command}
    assert summaries() == {verb: text.partition("\n")[0] for verb, text in helps.items()}
    assert not [line for line in summaries().values() if len(line) > 66]  # one line of 80


@pytest.mark.parametrize("verb", ["vcr", *VERBS])
def test_help_is_as_recorded(
    repo: Path, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    argv = ["--help"] if verb == "vcr" else [verb, "--help"]
    vcr.main(argv, prog_name="vcr", standalone_mode=False)
    golden = repo / "tests" / "golden" / "help" / f"{verb}.txt"
    assert capsys.readouterr().out == golden.read_text(), f"{golden} differs; see CONTRIBUTING.md"


def test_the_old_name_of_a_profile_is_taken_with_a_warning(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    assert run(app, ["build", "no-such-dir", "--profile", "stage-release"]) is ExitCode.USAGE
    assert "the profile stage-release is now called vm-release" in errors_of(app)
    assert run(app, ["build", "--profile", "stages"]) is ExitCode.USAGE
    assert "'stages' is not one of 'vm', 'vm-release'" in errors_of(app)
