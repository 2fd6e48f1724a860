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


def answer(terminal: Terminal, command: str) -> str:
    """Return what COMMAND prints, which the terminal shows after the command itself."""
    terminal.type(f"{command}; echo en''d\r")
    return terminal.expect("end\r\n").partition("\r\n")[2]


def test_a_shell_opens_where_a_run_has_failed(vcr: Vcr, tmp_path: Path) -> None:
    directory = tmp_path / "app"
    directory.mkdir()
    project = make_project(directory)
    (project / "page.html").write_text("a page\n")
    with shell(vcr, project, FAILING) as terminal:
        told = terminal.expect("This shell is where it ended: `exit` leaves it.", 600)
        assert "the step exited with 7" in told
        assert "| why" in told
        terminal.type("exec sh\r")  # which edits no lines, so that what it shows is plain
        assert answer(terminal, "cat /tmp/done /scratch/it") == "half\r\nin\r\n"
        assert answer(terminal, "pwd; echo $COLOUR; id -u").split() == ["/work", "blue", "1000"]
        assert answer(terminal, "cat /www/page.html") == "a page\r\n"
        assert "/dev/pts/" in answer(terminal, "tty")
        assert "24 80" in answer(terminal, "stty size")
        terminal.resize(40, 100)
        terminal.type("while ! stty size | grep '40 100'; do :; done\r")
        terminal.expect("\r\n40 100\r\n")
        assert terminal.is_raw()
        terminal.type("sleep 1000\r")
        terminal.expect("sleep 1000\r\n")
        terminal.type("\x03")
        assert answer(terminal, "echo code $?").startswith("code 130")
        # Nothing but the machine: no network, and of this host nothing.
        assert answer(terminal, f"ls {project}").count("No such file") == 1
        assert answer(terminal, "ls /sys/class/net") == "lo\r\n"
        terminal.type("exit\r")
        told = terminal.expect("fix:")
        assert "error: Dockerfile:5: RUN" in told
        assert "exited with 7" in told
        assert terminal.wait() == 1


def test_an_image_without_a_shell_gets_one(vcr: Vcr, project: Path) -> None:
    with shell(vcr, project, BARE) as terminal:
        told = terminal.expect("This shell is where it ended", 600)
        assert "the step was not started: there is no user" in told
        told = terminal.expect("with more in /.vcr/bin")
        assert "no shell as the step has it" in told
        assert "the image has no shell. This one is busybox" in told
        assert answer(terminal, "ls -A /").split() == [
            ".vcr", "dev", "etc", "proc", "sys", "tool",
        ]  # fmt: skip
        assert answer(terminal, "id -u") == "0\r\n"
        terminal.type("exit\r")
        assert terminal.wait() == 1
