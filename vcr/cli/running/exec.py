"""`vcr exec|shell|cat|cp`: commands, a shell and files inside what is up."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

import vcr.app
from vcr.cli.context import App, Command, project_argument
from vcr.errors import UsageError

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.agent.debug import Request

COMMAND = "vcr.command"  # what stands behind "--", in the context of `vcr exec`
# Sides of a copy that are inside: ":PATH", "app:PATH".
INSIDE = (":", "app:")


class _Exec(Command):
    """Takes all that stands behind "--" as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[COMMAND] = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "--", "COMMAND", "[ARGUMENT]..."]


system_option = click.option(
    "--system", is_flag=True, help="In the machine itself, as root, not in the app's container."
)


@click.command("exec", cls=_Exec)
@project_argument
@system_option
@click.option("-i", "--interactive", is_flag=True, help="Pass stdin to the command.")
@click.option("-t", "--tty", is_flag=True, help="Give the command a terminal; implies -i.")
@click.pass_context
def exec_(ctx: click.Context, *, system: bool, interactive: bool, tty: bool) -> None:
    """Run a command in the app's container, or in the machine.

    The app must be up with the profile vm, prod-debug or dev. vcr ends with the
    command's exit code.
    """
    from vcr.agent.debug import Request

    app, argv = ctx.obj, ctx.meta[COMMAND]
    if not argv:
        raise UsageError("there is no command", fix="vcr exec [DIR] -- COMMAND [ARGUMENT]...")
    if tty and not os.isatty(0):
        raise UsageError("stdin is not a terminal", fix="leave -t out; -i passes stdin")
    if tty and app.ui.is_json:
        raise UsageError("the output of a terminal is not JSON", fix="leave -t or --json out")
    terminal = app.settings.terminal if tty else ""
    request = Request(argv, system=system, has_input=interactive or tty, terminal=terminal)
    ctx.exit(_carry_out(app, request))


@click.command(cls=Command)
@project_argument
@system_option
@click.pass_context
def shell(ctx: click.Context, *, system: bool) -> None:
    """Open a shell in the app's container, or in the machine.

    The app must be up with the profile vm, prod-debug or dev. The shell is bash if the
    image has it, else sh. If stdin is not a terminal, it is run as a script. vcr ends
    with the shell's exit code.
    """
    app: App = ctx.obj
    terminal = app.settings.terminal if os.isatty(0) and os.isatty(1) else ""
    request = vcr.app.shell_request(app.context, system=system, terminal=terminal)
    ctx.exit(_carry_out(app, request))


@click.command(cls=Command)
@click.argument("words", nargs=-1, required=True, metavar="[DIR] PATH")
@system_option
@click.pass_context
def cat(ctx: click.Context, *, words: tuple[str, ...], system: bool) -> None:
    """Print the file PATH of the app's container, or of the machine.

    The app must be up with the profile vm, prod-debug or dev.
    """
    from vcr.agent.debug import Request

    if len(words) > 2:
        raise UsageError("too many arguments", fix="vcr cat [DIR] PATH")
    app: App = ctx.obj
    _choose_directory(app, words[:-1])
    ctx.exit(_carry_out(app, Request(path=words[-1], system=system)))


@click.command(cls=Command)
@click.argument("words", nargs=-1, required=True, metavar="[DIR] SOURCE TARGET")
@system_option
@click.pass_obj
def cp(app: App, *, words: tuple[str, ...], system: bool) -> None:
    """Copy files out of the app's container, or into it.

    The path inside is written as :PATH or app:PATH. If TARGET is a directory, the copy
    is put into it. The app must be up with the profile vm, prod-debug or dev.
    """
    usage = "vcr cp [DIR] :PATH TARGET, or vcr cp [DIR] SOURCE :PATH"
    if len(words) not in {2, 3}:
        raise UsageError("a copy has a source and a target", fix=usage)
    _choose_directory(app, words[:-2])
    source, target = words[-2:]
    if source.startswith(INSIDE) is target.startswith(INSIDE):
        raise UsageError("one side of a copy is inside, the other one on this host", fix=usage)

    if source.startswith(INSIDE):
        path = source.partition(":")[2] or "/"
        place = vcr.app.copy_out(app.context, path, target, system=system)
        app.ui.note(f"copied to {place}")
    else:
        path = target.partition(":")[2] or "/"
        vcr.app.copy_in(app.context, Path(source), path, system=system)
    if app.ui.is_json:
        app.ui.json("cp", {"source": source, "target": target})


@click.command("ssh-config", cls=Command)
@project_argument
@click.pass_obj
def ssh_config(app: App) -> None:
    """Print a configuration with which ssh reaches the machine.

    The machine must be up with the profile vm or prod-debug. Run `vcr ssh-config >
    FILE`, then `ssh -F FILE vcr-NAME`. It opens no port, and stays valid for later
    machines.
    """
    config = vcr.app.ssh_config(app.context)
    if app.ui.is_json:
        app.ui.json("ssh-config", {"host": config.host, "config": config.block})
    else:
        app.ui.document(config.block.rstrip("\n"))


def _choose_directory(app: App, words: tuple[str, ...]) -> None:
    for word in words:
        app.directory = Path(word)


def _carry_out(app: App, request: "Request") -> int:
    """Run REQUEST with the streams of this process, and return its exit code."""
    if not app.ui.is_json:
        return vcr.app.attach(app.context, request)
    done = vcr.app.ask(app.context, request, 0)
    out, err = (data.decode("utf-8", "replace") for data in (done.out, done.err))
    app.ui.json("exec", {"code": done.code, "stdout": out, "stderr": err})
    return done.code
