"""`vcr exec|cat`: commands and files inside a machine of a debug profile."""

from typing import TYPE_CHECKING

import click

from vcr.cli.app import App, Command, project_argument
from vcr.errors import UsageError, VcrError
from vcr.stages import DEBUG_PROFILES

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from pathlib import Path

    from vcr.engines.debug import Request

COMMAND = "vcr.command"  # what stands behind "--", in the context of `vcr exec`


class _Exec(Command):
    """Takes all that stands behind "--" as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[COMMAND] = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "--", "COMMAND", "[ARGUMENT]..."]


profile_option = click.option(
    "--profile", type=click.Choice(DEBUG_PROFILES), default=DEBUG_PROFILES[0],
    help="Of the machine that is up.",
)  # fmt: skip
system_option = click.option(
    "--system", is_flag=True, help="In the machine itself, as root, not in the app's container."
)


@click.command("exec", cls=_Exec)
@project_argument
@profile_option
@system_option
@click.pass_context
def exec_(ctx: click.Context, *, profile: str, system: bool) -> None:
    """Run a command in the app's container.

    The machine must be up with --profile prod-debug. vcr ends with the command's exit code.
    """
    from vcr.engines.debug import Request  # noqa: PLC0415

    argv = ctx.meta[COMMAND]
    if not argv:
        raise UsageError("there is no command", fix="vcr exec [DIR] -- COMMAND [ARGUMENT]...")
    ctx.exit(_carry_out(ctx.obj, profile, Request(argv=argv, system=system)))


@click.command(cls=Command)
@click.argument("words", nargs=-1, required=True, metavar="[DIR] PATH")
@profile_option
@system_option
@click.pass_context
def cat(ctx: click.Context, *, words: tuple[str, ...], profile: str, system: bool) -> None:
    """Print the file PATH of the app's container.

    The machine must be up with --profile prod-debug.
    """
    from pathlib import Path  # noqa: PLC0415

    from vcr.engines.debug import Request  # noqa: PLC0415

    if len(words) > 2:
        raise UsageError("too many arguments", fix="vcr cat [DIR] PATH")
    app: App = ctx.obj
    if len(words) == 2:
        app.directory = Path(words[0])
    ctx.exit(_carry_out(app, profile, Request(path=words[-1], system=system)))


def _carry_out(app: App, profile: str, request: "Request") -> int:
    """Pass on what the answer to REQUEST says, and return its exit code."""
    from vcr.engines.agent import NoAnswerError  # noqa: PLC0415
    from vcr.engines.debug import ask  # noqa: PLC0415

    told = {"out": bytearray(), "err": bytearray()}
    code = 0
    try:
        for piece in ask(_channel(app, profile), request):
            if piece.kind == "exit":
                code = piece.code
            elif app.ui.is_json:
                told[piece.kind] += piece.data
            else:
                app.ui.raw(piece.data, is_error=piece.kind == "err")
    except NoAnswerError as error:
        raise VcrError("the machine does not answer", why=str(error)) from None
    if app.ui.is_json:
        words = {name: bytes(data).decode("utf-8", "replace") for name, data in told.items()}
        app.ui.json("exec", {"code": code, "stdout": words["out"], "stderr": words["err"]})
    return code


def _channel(app: App, profile: str) -> "Path":
    """Return the socket of the machine that is up; raises UsageError when it has none."""
    from pathlib import Path  # noqa: PLC0415

    from vcr.engines.machine import read_vm  # noqa: PLC0415
    from vcr.model.project import load_project  # noqa: PLC0415
    from vcr.runtime.record import Records  # noqa: PLC0415

    records, project = Records(app.settings), load_project(app.directory)
    record = records.load(project.key)
    fix = f"`vcr up --profile {profile}` starts one"
    if record is None or not record.is_running:
        raise UsageError(f"{project.name} is not up", fix=fix)
    if not read_vm(Path(record.vm)).get("debug", False):
        raise UsageError(
            "the machine takes no commands",
            why="it is of a profile that has no way to give it any",
            fix=fix,
        )
    return records.channels(project.key).debug
