"""GDB, and the end of QEMU that it talks to.

https://www.qemu.org/docs/master/system/gdb.html
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.errors import VcrError
from vcr.formats.failure import Failure
from vcr.formats.qmp import Monitor
from vcr.model.board import Board
from vcr.sandbox.build_machine import option


@dataclass(frozen=True)
class Stub:
    """The stub of the QEMU whose monitor is at MONITOR; it listens at the socket PATH."""

    monitor: Path
    path: Path

    def open(self) -> None:
        """Let it listen; raises VcrError. A debugger that is connected already stays so."""
        if self.path.is_socket():
            return
        # In quotes of the monitor, in which a backslash escapes, an option of QEMU.
        place = option(self.path).replace("\\", "\\\\").replace('"', '\\"')
        said = self._command(f'gdbserver "unix:{place},server=on,wait=off"')
        if not self.path.is_socket():
            raise VcrError("QEMU does not listen to a debugger", why=said.strip())

    def close(self) -> None:
        """Stop listening, and let the machine continue."""
        with suppress(VcrError):  # it may have ended
            self._command("gdbserver none")
            self._command("cont")
        self.path.unlink(missing_ok=True)

    def _command(self, line: str) -> str:
        """Run LINE of the monitor for humans, which alone can start the stub."""
        try:
            with Monitor(self.monitor) as monitor:
                return str(monitor.command("human-monitor-command", **{"command-line": line}))
        except Failure as failure:
            raise VcrError(failure.report["what"], why=failure.report["why"]) from None


def programs(board: Board) -> tuple[str, ...]:
    """Return programs that may know the architecture of BOARD, the more likely first."""
    bare = f"{board.triplet.partition('-')[0]}-unknown-elf-gdb"
    return "gdb-multiarch", bare, f"{board.triplet}-gdb", "gdb"


def find_program(board: Board) -> str | None:
    """Return a debugger of this host that knows the architecture of BOARD."""
    here = filter(None, map(shutil.which, programs(board)))
    return next((program for program in here if _knows(program, board)), None)


def _knows(program: str, board: Board) -> bool:
    argv = [program, "-nx", "-batch", "-ex", f"set architecture {board.debugger}"]
    return "ndefined" not in process.run(argv, ok=None).stderr


def command_line(program: str, board: Board, socket: Path, symbols: Path | None) -> list[str]:
    """Return the argv that debugs the machine of BOARD whose stub listens at SOCKET."""
    return [
        program,
        "-q",
        *("-ex", f"set architecture {board.debugger}"),
        *((str(symbols),) if symbols else ()),
        *("-ex", f"target remote {socket}"),
    ]
