"""The command line: finds the verb, runs it, renders what went wrong, exits.

The only place that ends the process. Verbs are imported when they are used, so
that `vcr --help` stays fast; a new verb is one line in VERBS.
"""

import errno
import importlib
import io
import os
import signal
import sys
import traceback
from pathlib import Path

import click

from vcr import __version__
from vcr.cli.context import App, Command, Group, global_options
from vcr.errors import ExitCode, UsageError, VcrError
from vcr.private import UMASK
from vcr.settings import Settings
from vcr.signals import notice_ends_of_children
from vcr.ui import Ui

# verb → its module under vcr.cli
VERBS = {
    "intro": "building.intro",
    "create": "building.create",
    "lock": "building.lock",
    "build": "building.build",
    "inspect": "building.inspect",
    "run": "running.up",
    "up": "running.up",
    "down": "running.up",
    "logs": "running.logs",
    "ps": "running.logs",
    "exec": "running.exec",
    "shell": "running.exec",
    "cat": "running.exec",
    "cp": "running.exec",
    "ssh-config": "running.exec",
    "perf": "looking.perf",
    "gdb": "looking.gdb",
    "verify": "proving.verify",
    "attest": "proving.attest",
    "explain": "proving.explain",
    "export": "sharing.export",
    "push": "sharing.push",
    "pull": "sharing.push",
    "prune": "hosting.prune",
    "cache": "sharing.cache",
    "graph": "building.graph",
    "report": "building.report",
    "doctor": "hosting.doctor",
    "completion": "hosting.completion",
}
# What a name that is wrong ends in, and what this host does not let do.
FILE_ERRORS = {
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP), ExitCode.USAGE),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC), ExitCode.HOST),
}
HIDDEN = {"reference": "hosting.reference"}  # for vcr's own development


def _function(verb: str) -> str:
    return "exec_" if verb == "exec" else verb.replace("-", "_")  # exec is Python's own


def summaries() -> dict[str, str]:
    """Return each verb with the first line of its help.

    That is its docstring, read off the source, which is quicker than importing all verbs.
    """
    import ast  # only for the list of verbs

    found = {}
    for module in dict.fromkeys(VERBS.values()):
        source = Path(__file__).parent.joinpath(*module.split(".")).with_suffix(".py")
        for node in ast.parse(source.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                found[module, node.name] = (ast.get_docstring(node) or "").partition("\n")[0]
    return {verb: found[module, _function(verb)] for verb, module in VERBS.items()}


class _Verbs(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        known = VERBS | HIDDEN
        if name not in known:
            return None
        module = importlib.import_module(f"vcr.cli.{known[name]}")
        command = getattr(module, _function(name))
        assert isinstance(command, Command | Group)  # noqa: S101 -- a programming error, not input
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS | HIDDEN and not ctx.resilient_parsing:  # as completion parses
            from difflib import get_close_matches  # only for a mistyped verb

            near = get_close_matches(args[0], VERBS, n=1)
            raise UsageError(
                f"there is no verb {args[0]!r}",
                fix=f"did you mean `vcr {near[0]}`?" if near else "`vcr --help` lists the verbs",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(summaries().items()))


@click.command(
    cls=_Verbs,
    name="vcr",
    params=list(global_options()),
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "VCR"},
)
@click.version_option(__version__)
def vcr() -> None:
    """Turn an app with a Dockerfile into a machine a stranger can check, bit for bit."""


def _interrupt(_signal: int, _frame: object) -> None:
    """End as Ctrl-C does: what was begun is cleaned up."""
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> None:
    """Run vcr and end the process with its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    notice_ends_of_children()
    os.umask(UMASK)
    settings = Settings.load()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a locale of few letters shows the others escaped
            stream.reconfigure(errors="backslashreplace")
    ui = Ui(colour=settings.colour(sys.stderr.isatty()), ci=settings.ci)
    app = App(settings, ui, Path.cwd())
    sys.exit(run(app, argv))


def run(app: App, argv: list[str] | None = None) -> int:
    """Run one command line; every failure becomes a message and an exit code."""
    try:
        # A number where the verb ends with the exit code of something else, else None.
        code = vcr.main(args=argv, prog_name="vcr", obj=app, standalone_mode=False)
    except VcrError as error:
        return _report(app, error)
    except click.ClickException as error:
        app.ui.error(_usage(error))
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        app.ui.note("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # `vcr logs | head`
        sys.stdout = None  # nothing left to flush at exit
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001 -- the last resort: say it is our bug, not theirs
        return _report(app, _of_a_file(error) or _bug(error))
    return code or ExitCode.OK


def _of_a_file(error: Exception) -> VcrError | None:
    """Return the error about the file that ERROR is about, None when it is about none."""
    if not isinstance(error, OSError) or not isinstance(error.filename, str | bytes):
        return None
    code = FILE_ERRORS.get(error.errno or 0)
    if code is None:
        return None
    return VcrError(
        f"cannot use {os.fsdecode(error.filename)}", why=error.strerror or str(error), code=code
    )


def _usage(error: click.ClickException) -> VcrError:
    verb = ""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        verb = error.ctx.command_path
    return UsageError(
        error.format_message().rstrip(".").replace("\n", " "),
        fix=f"`{verb or 'vcr'} --help` shows how it is used",
    )


def _report(app: App, error: VcrError) -> ExitCode:
    """Show ERROR and return its exit code; where it came from only when that is asked for."""
    if app.ui.is_debug:
        for line in traceback.format_exc().splitlines():
            app.ui.note(line)
    app.ui.error(error)
    return error.code


def _bug(error: Exception) -> VcrError:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return VcrError(
        f"vcr failed in a way it should not: {type(error).__name__}: {error}",
        why=f"a bug in vcr, at {Path(where.filename).name}:{where.lineno}",
        fix="run it again with --debug and report what it prints",
        code=ExitCode.BUG,
    )
