"""`vcr gdb`: a debugger for the machine as a whole, through QEMU's gdb stub."""

import shlex

import click

import vcr.app
from vcr.cli.context import App, Command, project_argument


@click.command(cls=Command)
@project_argument
@click.option("--print", "only_print", is_flag=True,
              help="Print the debugger's command instead of running it.")  # fmt: skip
@click.pass_context
def gdb(ctx: click.Context, *, only_print: bool) -> None:
    """Debug a machine: its kernel, or everything that runs in it.

    The machine must be up with the profile vm or prod-debug. It is stopped while the
    debugger is connected and answers nothing else; programs in it do not notice.
    """
    from vcr.process import foreground

    app: App = ctx.obj
    debugger = vcr.app.gdb(app.context)
    argv = list(debugger.argv)
    if only_print or not debugger.is_here:
        if not debugger.is_here:
            app.ui.note(
                f"no debugger of this host knows {debugger.arch}; Debian's is gdb-multiarch"
            )
        if app.ui.is_json:
            app.ui.json("gdb", {"argv": argv, "socket": str(debugger.socket)})
        else:
            app.ui.data(shlex.join(argv))
        return
    try:
        ctx.exit(foreground(argv))
    finally:
        debugger.close()
