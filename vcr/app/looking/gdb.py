"""`gdb`: a debugger for the machine as a whole, through QEMU's gdb stub."""

from dataclasses import dataclass
from pathlib import Path

from vcr.app.context import Context
from vcr.model.board import BOARDS
from vcr.perf.target import Target
from vcr.tools.gdb import Stub, command_line, find_program

DEBIANS = "gdb-multiarch"


@dataclass(frozen=True)
class Debugger:
    """What debugs a machine, which stands still while it is connected."""

    argv: tuple[str, ...]
    socket: Path  # where the stub listens
    arch: str  # that the debugger has to know
    is_here: bool  # this host has the program; else ARGV names Debian's
    stub: Stub

    def close(self) -> None:
        """Stop listening, and let the machine continue."""
        self.stub.close()


def gdb(context: Context) -> Debugger:
    """Let the machine that is up listen to a debugger, and return how to connect.

    Raises UsageError when no machine is up that can be looked into, VcrError when QEMU does not
    listen.
    """
    target = Target.of(context.started_project(), context.settings)
    stub = Stub(target.channels.monitor, target.channels.agent.with_name("gdb"))
    board = BOARDS[target.arch]
    program = find_program(board)
    argv = command_line(program or DEBIANS, board, stub.path, _symbols(target))
    stub.open()
    return Debugger(tuple(argv), stub.path, target.arch, program is not None, stub)


def _symbols(target: Target) -> Path | None:
    symbols = target.symbols / "symbols" if target.symbols else None
    return symbols if symbols is not None and symbols.exists() else None
