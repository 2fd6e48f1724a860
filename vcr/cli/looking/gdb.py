"""`vcr gdb`: a debugger for the machine as a whole, through QEMU's gdb stub."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Command, project_argument

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.perf.target import Target


@click.command(cls=Command)
@project_argument
@click.option("--print", "only_print", is_flag=True,
              help="Print the debugger's command instead of running it.")  # fmt: skip
@click.pass_context
def gdb(ctx: click.Context, *, only_print: bool) -> None:
    """Debug a machine: its kernel, or all that runs on it.

    It must be up, of the profile vm or prod-debug. It stands still while the debugger
    is connected and says nothing else; what runs in it cannot tell.
    """
    from vcr.perf.target import Target
    from vcr.process import foreground
    from vcr.tools.gdb import Stub, command_line, find_program

    app: App = ctx.obj
    target = Target.of(app.started_project(), app.settings)
    stub = Stub(target.channels.monitor, target.channels.agent.with_name("gdb"))
    program = find_program()
    argv = command_line(program or "gdb-multiarch", stub.path, _symbols(target))
    stub.open()
    if only_print or program is None:
        if program is None:
            app.ui.note("no debugger of this host knows riscv64; Debian's is gdb-multiarch")
        _tell(app, argv, stub.path)
        return
    try:
        ctx.exit(foreground(argv))
    finally:
        stub.close()


def _symbols(target: "Target") -> Path | None:
    symbols = target.symbols / "symbols" if target.symbols else None
    return symbols if symbols is not None and symbols.exists() else None


def _tell(app: App, argv: list[str], socket: Path) -> None:
    if app.ui.is_json:
        app.ui.json("gdb", {"argv": argv, "socket": str(socket)})
    else:
        app.ui.data(shlex.join(argv))
