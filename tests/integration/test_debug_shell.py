"""`vcr build --debug-shell`: a real terminal in the build machine of a RUN that has failed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import PROGRAM, Vcr
from terminals import Terminal
from test_dockerfiles import make_project

pytestmark = [pytest.mark.nix, pytest.mark.vm]

FAILING = """\
FROM debian
ENV COLOUR=blue
WORKDIR /work
USER 1000:1000
RUN --mount=type=tmpfs,target=/scratch --mount=type=bind,target=/www \\
    echo half > /tmp/done; echo in > /scratch/it; echo why >&2; exit 7
"""
# Neither a shell nor a user of that name.
BARE = """\
FROM busybox AS tools
FROM scratch
COPY --from=tools /bin/busybox /tool
USER nobody-such
RUN ["/tool", "false"]
"""


@contextmanager
def shell(vcr: Vcr, project: Path, dockerfile: str) -> Iterator[Terminal]:
    (project / "Dockerfile").write_text(dockerfile)
    argv = [*PROGRAM, "build", "image", str(project), "--debug-shell"]
    with Terminal(argv, vcr.env) as terminal:
        yield terminal


def say_when_ready(terminal: Terminal, command: str) -> None:
    """Type COMMAND, with a prompt in the place of PROMPT that is not what was typed."""
    terminal.type(command.replace("PROMPT", "'re''ady> '") + "\r")
    terminal.expect("ready> ")


def answer(terminal: Terminal, command: str) -> str:
    """Return what COMMAND prints between itself and the next prompt."""
    terminal.type(f"{command}\r")
    terminal.expect("\r\n")
    return terminal.expect("ready> ")


def test_a_shell_opens_where_a_run_has_failed(vcr: Vcr, tmp_path: Path) -> None:
    directory = tmp_path / "app"
    directory.mkdir()
    project = make_project(directory)
    (project / "page.html").write_text("a page\n")
    with shell(vcr, project, FAILING) as terminal:
        told = terminal.expect("This shell is where it ended: `exit` leaves it.", 600)
        assert "the step exited with 7" in told
        assert "| why" in told
        # bash is there, but edits lines: what dash shows is plain.
        say_when_ready(terminal, "exec env PS1=PROMPT sh")
        assert answer(terminal, "cat /tmp/done /scratch/it") == "half\r\nin\r\n"
        assert answer(terminal, "pwd; echo $COLOUR; id -u").split() == ["/work", "blue", "1000"]
        assert answer(terminal, "cat /www/page.html") == "a page\r\n"
        assert answer(terminal, "tty").startswith("/dev/pts/")
        assert answer(terminal, "stty size") == "24 80\r\n"
        terminal.resize(40, 100)
        assert answer(terminal, "until stty size | grep '40 100'; do :; done") == "40 100\r\n"
        assert terminal.is_raw()
        terminal.type("sleep 1000\r")
        terminal.expect("sleep 1000\r\n")
        terminal.type("\x03")
        terminal.expect("ready> ")
        assert answer(terminal, "echo code $?") == "code 130\r\n"
        # Nothing but the machine: no network, and of this host nothing.
        assert "No such file" in answer(terminal, f"ls {project}")
        assert answer(terminal, "ls /sys/class/net") == "lo\r\n"
        terminal.type("exit\r")
        told = terminal.expect("fix:")
        assert "Dockerfile:5: RUN" in told
        assert "exited with 7" in told
        assert terminal.wait() == 1


def test_an_image_without_a_shell_gets_one(vcr: Vcr, project: Path) -> None:
    with shell(vcr, project, BARE) as terminal:
        told = terminal.expect("This shell is where it ended", 600)
        assert "the step was not started: there is no user" in told
        told = terminal.expect("with more in /.vcr/bin")
        assert "no shell as the step has it" in told
        assert "the image has no shell. This one is busybox" in told
        say_when_ready(terminal, "PS1=PROMPT")
        assert answer(terminal, "ls -A -1 /").split() == [
            ".vcr", "dev", "etc", "proc", "sys", "tool",
        ]  # fmt: skip
        assert "0\r\n" in answer(terminal, "id -u")
        terminal.type("exit\r")
        assert terminal.wait() == 1
