"""The terminal of `vcr build --debug-shell`: a real one, joined with what answers as a machine."""

import io
import os
import pty
import signal
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from vcr.agent.terminal import size_of
from vcr.build.builder import Builder
from vcr.build.debug_shell import check_seat, open_shell
from vcr.build.shell_terminal import Seat, attached
from vcr.cli import run
from vcr.cli.context import App
from vcr.errors import ExitCode, FetchError, UsageError
from vcr.model.plan import Plan
from vcr.model.project import load_project
from vcr.progress import Progress
from vcr.settings import Settings
from vcr.ui import Ui


@dataclass(frozen=True)
class Pair:
    """Both ends of a terminal: where somebody sits, and what vcr has."""

    seat: int
    line: int

    @property
    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.line)[3] & termios.ICANON


@pytest.fixture
def terminal() -> Iterator[Pair]:
    seat, line = pty.openpty()
    termios.tcsetwinsize(line, (24, 80))
    yield Pair(seat, line)
    os.close(seat)
    os.close(line)


def frame(machine: socket.socket) -> tuple[bytes, bytes]:
    kind, length = struct.unpack(">cH", machine.recv(3, socket.MSG_WAITALL))
    return kind, machine.recv(length, socket.MSG_WAITALL)


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_typed_goes_to_the_machine_once_its_shell_is_there(
    terminal: Pair, tmp_path: Path
) -> None:
    before = termios.tcgetattr(terminal.line)
    with (
        socket.socket(socket.AF_UNIX) as machine,
        attached(Seat("xterm", terminal.line, terminal.line), tmp_path / "s"),
    ):
        machine.settimeout(20)
        machine.connect(str(tmp_path / "s"))
        assert frame(machine) == (b"r", struct.pack(">HH", 24, 80))
        assert not terminal.is_raw  # Ctrl-C is for vcr
        machine.sendall(b"$ ")
        eventually(lambda: terminal.is_raw)
        assert os.read(terminal.seat, 10) == b"$ "
        os.write(terminal.seat, b"\x03ls\r")
        kind, data = frame(machine)
        assert (kind, data) == (b"d", b"\x03ls\r")
        termios.tcsetwinsize(terminal.line, (40, 100))
        os.kill(os.getpid(), signal.SIGWINCH)
        assert frame(machine) == (b"r", struct.pack(">HH", 40, 100))
        machine.sendall(b"bye\n")
        machine.close()  # the machine ends; what it showed comes before
    assert os.read(terminal.seat, 10) == b"bye\n"
    assert termios.tcgetattr(terminal.line) == before


def test_a_machine_that_never_asks_for_the_terminal_is_not_waited_for(
    terminal: Pair, tmp_path: Path
) -> None:
    threads = threading.active_count()
    with attached(Seat("xterm", terminal.line, terminal.line), tmp_path / "s"):
        pass
    assert threading.active_count() == threads


def test_a_terminal_that_is_hung_up_ends_the_machine(tmp_path: Path) -> None:
    seat, line = pty.openpty()
    with (
        socket.socket(socket.AF_UNIX) as machine,
        attached(Seat("xterm", line, line), tmp_path / "s"),
    ):
        machine.settimeout(20)
        machine.connect(str(tmp_path / "s"))
        frame(machine)
        machine.sendall(b"$ ")
        os.read(seat, 10)
        os.close(seat)
        assert machine.recv(1) == b""
    os.close(line)


def test_a_shell_without_a_terminal_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    ui = Ui(out=io.StringIO(), err=io.StringIO())
    settings = Settings.load({"HOME": str(tmp_path), "PATH": "/none"})
    assert run(App(settings, ui, tmp_path), ["build", "--debug-shell"]) is ExitCode.USAGE
    assert isinstance(ui.err, io.StringIO)
    assert "--debug-shell needs a terminal" in ui.err.getvalue()


def test_a_shell_and_json_do_not_share_stderr(terminal: Pair) -> None:
    seat = Seat("xterm", terminal.line, terminal.line)
    assert size_of(seat.output) == (24, 80)
    check_seat(seat, Ui())
    with pytest.raises(UsageError, match="not JSON"):
        check_seat(seat, Ui(progress=Progress.JSON))


@pytest.mark.parametrize(
    "error",
    [FetchError("a pin cannot be fetched", why="offline"), OSError("AF_UNIX path too long")],
)
def test_what_keeps_a_shell_from_opening_is_no_other_error(
    terminal: Pair, error: Exception, tmp_path: Path
) -> None:
    class Broken(Builder):
        def build_layer(self, *_: object, **__: object) -> Path:
            raise error

    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    settings = Settings.load({"HOME": str(tmp_path)})
    ui = Ui(io.StringIO(), io.StringIO())
    builder = Broken(settings, ui, load_project(tmp_path))
    open_shell(builder, cast("Plan", None), "1.1.run", Seat("xterm", terminal.line, terminal.line))
    assert isinstance(ui.err, io.StringIO)
    assert f"warning: there was no shell: {error}" in ui.err.getvalue()


def test_a_shell_may_be_opened_by_a_thread(terminal: Pair, tmp_path: Path) -> None:
    failed: list[Exception] = []

    def sit() -> None:
        try:
            with attached(Seat("xterm", terminal.line, terminal.line), tmp_path / "socket"):
                pass
        except Exception as error:  # noqa: BLE001 -- of a thread nobody else sees it
            failed.append(error)

    thread = threading.Thread(target=sit)
    thread.start()
    thread.join()
    assert failed == []
