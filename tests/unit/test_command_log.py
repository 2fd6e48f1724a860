"""`--debug`: every command is shown, to be copied, and no secret with it."""

import io
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vcr.command_log
from vcr import process
from vcr.cli import run
from vcr.cli.context import App
from vcr.command_log import Command, Event, hiding, noted, shown_to, without_secrets
from vcr.errors import HostError, VcrError
from vcr.progress import Progress
from vcr.settings import Settings
from vcr.ui import Ui

PYTHON = sys.executable


def commands_of(*argv: str, cwd: Path | None = None, ok: tuple[int, ...] = (0,)) -> list[Command]:
    seen: list[Command] = []
    with shown_to(seen.append):
        process.run(argv, cwd=cwd, ok=ok)
    return seen


def test_a_command_is_shown_with_its_time_exit_code_and_directory(tmp_path: Path) -> None:
    code = "import sys, time; time.sleep(0.1); sys.exit(3)"
    (seen,) = commands_of(PYTHON, "-c", code, cwd=tmp_path, ok=(3,))
    assert seen.argv == (PYTHON, "-c", code)
    assert (seen.event, seen.code, seen.cwd) == (Event.DONE, 3, str(tmp_path))
    assert 0.1 <= seen.seconds < 60
    assert seen.line.endswith(f"s, exit code 3, in {tmp_path}")
    (seen,) = commands_of(PYTHON, "-c", "")
    assert seen.line.endswith("s, exit code 0")


def test_a_command_that_fails_is_not_there_or_takes_too_long_is_shown() -> None:
    seen: list[Command] = []
    with shown_to(seen.append):
        with pytest.raises(VcrError):
            process.run([PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"])
        with pytest.raises(HostError):
            process.run(["no-such-program"])
        with pytest.raises(VcrError):
            process.run([PYTHON, "-c", "import time; time.sleep(60)"], timeout=0.2)
    assert [command.code for command in seen] == [-9, None, -15]
    assert "no exit" in seen[1].line


def test_nobody_is_shown_a_command_after_the_verb_has_ended() -> None:
    assert len(commands_of(PYTHON, "-c", "")) == 1
    process.run([PYTHON, "-c", ""])
    assert vcr.command_log._log.sink is None


def test_a_long_command_is_shown_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vcr.command_log, "LONG_SECONDS", 0.05)
    seen: list[Command] = []
    with shown_to(seen.append), noted(["sleep", "1"]) as note:
        deadline = time.monotonic() + 20
        while not seen and time.monotonic() < deadline:
            time.sleep(0.01)
        note.code = 0
    assert [command.event for command in seen] == [Event.RUNNING, Event.DONE]
    assert "still running after" in seen[0].line


def test_what_is_left_running_is_shown_when_it_starts(tmp_path: Path) -> None:
    seen: list[Command] = []
    with shown_to(seen.append), (tmp_path / "log").open("wb") as output:
        child = process.spawn([PYTHON, "-c", ""], output=output, die_with_parent=True)
        child.wait()
        with process.spawned(["true", "x"], output=output, die_with_parent=True) as opened:
            pass
        opened.wait()
        code = process.attach([PYTHON, "-c", "raise SystemExit(4)"], stdin=None, stdout=1, stderr=2)
    assert code == 4
    assert [(each.event, each.code) for each in seen] == [
        (Event.STARTED, None), (Event.STARTED, None), (Event.DONE, 4),
    ]  # fmt: skip
    assert seen[1].argv == ("true", "x")
    assert seen[0].line.endswith("# started")


@pytest.mark.parametrize(
    "word", ["", "a b", "it's", '"$HOME"', "é", "a\nb", "\x1b[31mred", "\\n'\t", "#x", "\u202egnp"]
)
def test_a_shown_command_can_be_copied_into_a_shell_and_steers_no_terminal(word: str) -> None:
    line = Command((PYTHON, "-c", "import sys; print(ascii(sys.argv[1]))", word), Event.DONE).line
    assert line.isprintable()
    # bash: $'...' is not in every sh
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == f"{word!a}\n"


SHOWN = [
    "nix", "--secret-key-file", "/keys/a", "https://host/path?x=1", "extra-trusted-public-keys=a:b",
    "user@host", "tokens", "--argstr", "plan",
]  # fmt: skip


@pytest.mark.parametrize(
    "argv",
    [
        ["skopeo", "--creds", "user:hunter2"],
        ["skopeo", "--dest-creds=user:hunter2"],
        ["git", "clone", "https://user:hunter2@host/x"],
        ["curl", "https://host/x?X-Amz-Signature=hunter2&y=1"],
        ["curl", "-H", "Authorization: Bearer hunter2"],
        ["docker", "run", "--env", "API_KEY=hunter2"],
        ["sh", "-c", "NPM_TOKEN=hunter2 npm ci"],
        ["nix", "--option", "x", "access-tokens = github.com=hunter2"],
    ],
)
def test_a_secret_in_a_command_is_not_shown(argv: list[str]) -> None:
    assert "hunter2" in " ".join(argv)
    assert "hunter2" not in " ".join(without_secrets([*SHOWN, *argv]))
    assert without_secrets([*SHOWN, *argv])[: len(SHOWN)] == tuple(SHOWN)


@pytest.mark.parametrize("word", ["X={}", "--{}", "-{}=", "{}: ", "{}= ", "https://{}@", "://{}"])
def test_a_word_that_speaks_of_secrets_all_along_takes_no_time(word: str) -> None:
    before = time.process_time()
    without_secrets([word.format("token" * 20_000), word.format("token=" * 15_000)])
    assert time.process_time() - before < 2


def test_a_secret_of_the_lock_is_not_shown_in_any_form() -> None:
    with hiding(lambda text: text.replace("swordfish", "the secret")):
        (seen,) = commands_of(PYTHON, "-c", "pass", "a swordfish b")
    assert "swordfish" not in seen.line
    assert "swordfish" in commands_of(PYTHON, "-c", "pass", "a swordfish b")[0].line


def test_the_command_of_an_error_has_no_secret() -> None:
    with pytest.raises(VcrError) as caught:
        process.run([PYTHON, "-c", "raise SystemExit(1)", "--password", "hunter2"])
    assert "hunter2" not in caught.value.fix
    assert shlex.quote("raise SystemExit(1)") in caught.value.fix


def vcr_says(tmp_path: Path, *argv: str) -> tuple[str, list[str]]:
    """Return what vcr writes to stdout, and the lines it writes to stderr."""
    ui = Ui(out=io.StringIO(), err=io.StringIO())
    # Without settings, Nix would ask a cache in the network, again and again.
    env = {"HOME": str(tmp_path), "PATH": "/none", "NIX_CONFIG": "substituters ="}
    run(App(Settings.load(env), ui, tmp_path), list(argv))
    assert isinstance(ui.out, io.StringIO)
    assert isinstance(ui.err, io.StringIO)
    return ui.out.getvalue(), ui.err.getvalue().splitlines()


@pytest.mark.parametrize("argv", [("--debug", "doctor", "--json"), ("doctor", "--json", "--debug")])
def test_the_commands_of_a_verb_go_to_stderr_only(tmp_path: Path, argv: tuple[str, ...]) -> None:
    out, err = vcr_says(tmp_path, *argv)
    json.loads(out)
    assert any(line.startswith("debug: nix --version  # ") for line in err)
    assert vcr.command_log._log.sink is None


def test_debug_has_a_variable_and_is_heard_when_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VCR_DEBUG", "1")
    _, err = vcr_says(tmp_path, "doctor", "--quiet")
    assert any(line.startswith("debug: nix --version") for line in err)
    monkeypatch.delenv("VCR_DEBUG")
    assert not any("debug:" in line for line in vcr_says(tmp_path, "doctor")[1])


def test_commands_are_json_where_progress_is(tmp_path: Path) -> None:
    _, err = vcr_says(tmp_path, "doctor", "--debug", "--progress", "json")
    rows = [json.loads(line) for line in err if line.startswith("{")]
    row = next(row for row in rows if row.get("argv") == ["nix", "--version"])
    assert row["event"] == "command-done"
    assert row.keys() >= {"schema", "argv", "cwd", "seconds", "code"}


def test_nothing_is_drawn_over_the_lines_of_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for is_debug, is_live in ((False, True), (True, False)):
        ui = Ui(err=Terminal(), is_debug=is_debug, progress=Progress.AUTO)
        with ui.step("image"):
            pass
        assert isinstance(ui.err, Terminal)
        assert ("\x1b[" in ui.err.getvalue()) is is_live
