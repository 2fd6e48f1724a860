"""`vcr exec|shell|cat|cp`: commands, a shell and files inside what is up."""

import os
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Command, project_argument
from vcr.errors import UsageError

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.agent.debug import Request
    from vcr.engines.exec import Inside

COMMAND = "vcr.command"  # what stands behind "--", in the context of `vcr exec`
SYSTEM_SHELL = ("sh",)
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
@click.option("-i", "--interactive", is_flag=True, help="Pass stdin on to the command.")
@click.option("-t", "--tty", is_flag=True, help="Give the command a terminal; implies -i.")
@click.pass_context
def exec_(ctx: click.Context, *, system: bool, interactive: bool, tty: bool) -> None:
    """Run a command in the app's container.

    It must be up: with the profile vm, prod-debug or dev. vcr ends with the command's
    exit code.
    """
    from vcr.agent.debug import Request

    app, argv = ctx.obj, ctx.meta[COMMAND]
    if not argv:
        raise UsageError("there is no command", fix="vcr exec [DIR] -- COMMAND [ARGUMENT]...")
    if tty and not os.isatty(0):
        raise UsageError("stdin is no terminal", fix="leave -t out; -i passes stdin on")
    if tty and app.ui.is_json:
        raise UsageError("what a terminal shows is no JSON", fix="leave -t or --json out")
    terminal = app.settings.terminal if tty else ""
    request = Request(argv, system=system, has_input=interactive or tty, terminal=terminal)
    ctx.exit(_carry_out(app, _inside(app), request))


@click.command(cls=Command)
@project_argument
@system_option
@click.pass_context
def shell(ctx: click.Context, *, system: bool) -> None:
    """Open a shell in the app's container: bash if the image has it, else sh.

    It must be up: with the profile vm, prod-debug or dev. What comes on stdin that is no
    terminal is carried out as a script. vcr ends with the shell's exit code.
    """
    from vcr.agent.debug import Request
    from vcr.runtime.exec import check_system, find_shell

    app: App = ctx.obj
    inside = _inside(app)
    check_system(inside, system=system)
    argv = SYSTEM_SHELL if system else find_shell(inside)
    terminal = app.settings.terminal if os.isatty(0) and os.isatty(1) else ""
    request = Request(argv, system=system, has_input=True, terminal=terminal)
    ctx.exit(_carry_out(app, inside, request))


@click.command(cls=Command)
@click.argument("words", nargs=-1, required=True, metavar="[DIR] PATH")
@system_option
@click.pass_context
def cat(ctx: click.Context, *, words: tuple[str, ...], system: bool) -> None:
    """Print the file PATH of the app's container.

    It must be up: with the profile vm, prod-debug or dev.
    """
    from vcr.agent.debug import Request

    if len(words) > 2:
        raise UsageError("too many arguments", fix="vcr cat [DIR] PATH")
    app: App = ctx.obj
    _choose_directory(app, words[:-1])
    ctx.exit(_carry_out(app, _inside(app), Request(path=words[-1], system=system)))


@click.command(cls=Command)
@click.argument("words", nargs=-1, required=True, metavar="[DIR] SOURCE TARGET")
@system_option
@click.pass_obj
def cp(app: App, *, words: tuple[str, ...], system: bool) -> None:
    """Copy a file or a directory out of the app's container or into it.

    The side that is inside is written as :PATH or app:PATH. A TARGET that is a directory
    gets the copy into it. It must be up: with the profile vm, prod-debug or dev.
    """
    from pathlib import Path

    from vcr.runtime.exec import copy_in, copy_out

    usage = "vcr cp [DIR] :PATH TARGET, or vcr cp [DIR] SOURCE :PATH"
    if len(words) not in {2, 3}:
        raise UsageError("a copy has a source and a target", fix=usage)
    _choose_directory(app, words[:-2])
    source, target = words[-2:]
    if source.startswith(INSIDE) is target.startswith(INSIDE):
        raise UsageError("one side of a copy is inside, the other one here", fix=usage)

    def left_out(text: str) -> None:
        app.ui.warn(f"left out: {text}")

    inside = _inside(app)
    if source.startswith(INSIDE):
        path = source.partition(":")[2] or "/"
        place = copy_out(inside, path, target, left_out, system=system)
        app.ui.note(f"copied to {place}")
    else:
        copy_in(inside, Path(source), target.partition(":")[2] or "/", left_out, system=system)
    if app.ui.is_json:
        app.ui.json("cp", {"source": source, "target": target})


@click.command("ssh-config", cls=Command)
@project_argument
@click.pass_obj
def ssh_config(app: App) -> None:
    """Print a block for ssh's configuration, with which it reaches the machine.

    The machine must be up with the profile vm or prod-debug. `vcr ssh-config > FILE`, then
    `ssh -F FILE vcr-NAME`. It opens no port, and holds for machines that come later, too.
    """
    from vcr.runtime.ssh import Access, way_in

    access = Access(app.started_project(), app.settings)
    inside = way_in(access)
    access.prepare()
    access.introduce(inside)
    if app.ui.is_json:
        app.ui.json("ssh-config", {"host": access.host, "config": access.config()})
    else:
        app.ui.document(access.config().rstrip("\n"))


def _choose_directory(app: App, words: tuple[str, ...]) -> None:
    from pathlib import Path

    for word in words:
        app.directory = Path(word)


def _inside(app: App) -> "Inside":
    """Return the way into what the project has up; raises UsageError when there is none."""
    from vcr.runtime.exec import inside_of
    from vcr.runtime.record import Records

    project, records = app.started_project(), Records(app.settings)
    return inside_of(project, records, lambda: app.ui.note("waiting: all its ports are in use"))


def _carry_out(app: App, inside: "Inside", request: "Request") -> int:
    """Carry REQUEST out with the streams of this process, and return its exit code."""
    from vcr.agent.session import Streams
    from vcr.runtime.exec import answer, carry_out

    if not app.ui.is_json:
        return carry_out(inside, request, Streams())
    told = answer(inside, request, 0)
    words = [data.decode("utf-8", "replace") for data in (told.out, told.err)]
    app.ui.json("exec", {"code": told.code, "stdout": words[0], "stderr": words[1]})
    return told.code
