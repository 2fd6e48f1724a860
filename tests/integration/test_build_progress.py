"""What is seen of a build: each instruction, on terminals of two widths, in a pipe, as JSON."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from program import PROGRAM
from screen import Screen
from terminals import Terminal
from test_dockerfiles import make_project

pytestmark = [pytest.mark.nix, pytest.mark.vm]

DOCKERFILE = """\
FROM debian AS build
WORKDIR /src
RUN echo {now} && for n in 1 2 3 4 5 6 7 8 9; do \\
      echo "line $n \\033[2J 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字"; \\
      seq 50000 > /dev/null; done

FROM debian
RUN echo also {now} && sleep 5 && seq 20
COPY --from=build /etc/debian_version /was
"""
TITLES = [
    "[build 1/3] FROM debian",
    "[build 2/3] WORKDIR /src",
    "[build 3/3] RUN echo {now} && for n in 1 2 3 4 5",
    "[stage-1 2/3] RUN echo also {now} && sleep 5 &&",
    "[stage-1 3/3] COPY --from=build /etc/debian_vers",
]


@pytest.fixture
def project(tmp_path: Path) -> Any:
    def make(text: str) -> Path:
        directory = tmp_path / "app"
        directory.mkdir(exist_ok=True)
        (directory / "Dockerfile").write_text(text)
        return make_project(directory, '[build]\nmemory = "320 MiB"\n')

    return make


def new(text: str) -> tuple[str, list[str]]:
    """Return TEXT as nobody has built it yet, and what its instructions are called."""
    now = time.time_ns()
    return text.replace("{now}", str(now)), [t.replace("{now}", str(now)) for t in TITLES]


def on_terminal(vcr: Any, columns: int, *words: str | Path, until: str) -> tuple[str, int]:
    env = {name: value for name, value in vcr.env.items() if name != "CI"}
    argv = [*PROGRAM, *map(str, words)]
    with Terminal(argv, env, rows=24, columns=columns) as at:
        return at.expect(until, 600) + until, at.wait()


@pytest.mark.parametrize("columns", [80, 120])
def test_each_instruction_has_its_line_on_a_terminal(vcr: Any, project: Any, columns: int) -> None:
    text, titles = new(DOCKERFILE)
    directory = project(text)
    seen, code = on_terminal(vcr, columns, "build", "image", directory, until="sha256:")
    assert code == 0
    screen = Screen(24, columns)
    screen.feed(seen)
    assert screen.wrapped == []
    lines = [line for line in screen.shown() if line.startswith("[")]
    for title in titles:
        assert any(line.startswith(title[:46]) for line in lines), title
    assert len(lines) == len(titles)
    by_title = {line[:11]: line for line in lines}
    assert re.search(r"  \d+\.\d s$", by_title["[build 3/3]"])
    assert not any(line.startswith("  | ") for line in screen.shown())
    # While it ran its last lines were there, what they hold was not obeyed, and both ran at once.
    assert re.search(r"  \| line \d \\x1b\[2J", seen)
    frames = seen.split("\x1b[J")
    assert any("[build 3/3]" in frame and "[stage-1 2/3]" in frame for frame in frames)


def test_in_a_pipe_there_are_plain_lines_and_json_has_the_same(vcr: Any, project: Any) -> None:
    text, titles = new(DOCKERFILE)
    directory = project(text)
    events = [
        json.loads(line)
        for line in vcr("--progress", "json", "build", "image", directory).stderr.splitlines()
    ]
    ends = {e["part"]: e for e in events if e["event"] == "done" and "part" in e}
    for title in titles:
        assert any(part.startswith(title) for part in ends), title
    told = [e["line"] for e in events if e["event"] == "output" and "[stage-1 2/3]" in e["part"]]
    assert told[-20:] == [str(n) for n in range(1, 21)]
    again = vcr("build", "image", directory).stderr.splitlines()
    assert again.pop(1) == "FROM debian, its packages are configured  CACHED"
    assert len(again) == len(titles) + 1
    for line, title in zip(again, titles, strict=False):
        assert line.startswith(title)
        assert line.endswith("  CACHED")
    assert again[-1] == "image        cached"


def test_a_step_that_fails_is_told_with_its_line_and_its_output_once(
    vcr: Any, project: Any
) -> None:
    text, _ = new("FROM debian\nRUN echo {now}; seq -f 'line %g' 100; exit 7\n")
    directory = project(text)
    seen, code = on_terminal(vcr, 80, "build", "image", directory, until="output is above")
    assert code == 1
    screen = Screen(24, 80)
    screen.feed(seen)
    lines = screen.shown()
    printed = [line for line in lines if line.startswith("  | line ")]
    assert printed == [f"  | line {n}" for n in range(1, 101)]
    (about,) = (line for line in lines if line.startswith("[2/2]"))
    assert about.endswith("  failed")
    (error,) = (line for line in lines if line.startswith("error: "))
    assert error.startswith("error: Dockerfile:2: RUN echo ")
    assert "exited with 7" in error + lines[lines.index(error) + 1]


def test_an_interrupt_leaves_the_terminal_as_it_was(vcr: Any, project: Any) -> None:
    text, _ = new("FROM debian\nRUN echo {now}; while :; do :; done\n")
    env = {name: value for name, value in vcr.env.items() if name != "CI"}
    argv = [*PROGRAM, "build", "image", str(project(text))]
    with Terminal(argv, env) as at:
        at.expect("[2/2] RUN", 600)
        at.type("\x03")
        seen = at.expect("interrupted\r\n")
        assert at.wait() == 130
    assert "stopped" in seen
    assert "\x1b[?" not in seen
