"""Words of the command line: whatever they are, an error says so, and nothing is waited for."""

import io
import os
import time
from pathlib import Path

import pytest

from vcr.cli import VERBS, run
from vcr.cli.context import App
from vcr.errors import ExitCode
from vcr.settings import Settings
from vcr.ui import Ui

LONG, BYTES, DEEP = "x" * 5000, "caf\udce9", "d/" * 3000
WORDS = [LONG, BYTES, DEEP, "", "a\nb", "-"]
ALL = sorted(VERBS)


def said(tmp_path: Path, *argv: str) -> tuple[int, str]:
    err = io.StringIO()
    begin = time.monotonic()
    code = run(
        App(Settings.load({"HOME": str(tmp_path)}), Ui(io.StringIO(), err), tmp_path), [*argv]
    )
    assert time.monotonic() - begin < 20
    return code, err.getvalue()


@pytest.mark.parametrize("word", WORDS, ids=lambda word: ascii(word)[:40])
@pytest.mark.parametrize("verb", [verb for verb in ALL if verb not in {"doctor", "prune", "ps"}])
def test_no_word_ends_a_verb(tmp_path: Path, verb: str, word: str) -> None:
    for argv in ([verb, word], [verb, word, word], [verb, "-C", word], [verb, word, "-C", word]):
        code, words = said(tmp_path, *argv)
        assert code != ExitCode.BUG, words
        words.encode()


def project(root: Path) -> Path:
    (root / "Dockerfile").write_text("FROM scratch\n")
    return root


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e400", "9" * 400, "0"])
@pytest.mark.parametrize(
    "argv", [["up", "--timeout"], ["perf", "top", "--every"], ["perf", "record", "--duration"],
             ["down", "-t"]], ids=" ".join,
)  # fmt: skip
def test_a_time_has_an_end(tmp_path: Path, argv: list[str], value: str) -> None:
    project(tmp_path)
    code, words = said(tmp_path, *argv, value)
    if argv == ["down", "-t"] and value == "0":
        assert code == ExitCode.OK
        return
    assert code == ExitCode.USAGE
    assert "error: " in words


@pytest.mark.parametrize("kind", ["fifo", "endless", "directory", "not UTF-8"])
def test_a_file_of_variables_is_a_file(tmp_path: Path, kind: str) -> None:
    path = project(tmp_path) / "env"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_bytes(b"\xff=\xff")
    code, words = said(tmp_path, "up", "--profile", "dev", "--env-file", str(path))
    assert code == ExitCode.USAGE
    assert "env" in words
