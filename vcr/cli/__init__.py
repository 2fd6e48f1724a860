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
from vcr.ui import Ui

# verb → (module under vcr.cli, one line for `vcr --help`)
VERBS = {
    "intro": ("building.intro", "Say what vcr is, and what to do next here."),
    "create": ("building.create", "Make a new project from a template."),
    "lock": ("building.lock", "Resolve every input and write vcr.lock."),
    "build": ("building.build", "Build the stages and print the digest ladder."),
    "inspect": (
        "building.inspect",
        "Show the plan, the ladder, sizes and effective configuration.",
    ),
    "run": ("running.up", "Run the app in a VM in the foreground."),
    "up": ("running.up", "Start the app in a VM and return when it is healthy."),
    "down": ("running.up", "Stop the VM."),
    "logs": ("running.logs", "Show what the app printed."),
    "ps": ("running.logs", "List VMs and their health."),
    "exec": ("running.exec", "Run a command in the app's container, or in the machine."),
    "shell": ("running.exec", "Open a shell there."),
    "cat": ("running.exec", "Print a file of it."),
    "cp": ("running.exec", "Copy files out of it or into it."),
    "ssh-config": ("running.exec", "Print how ssh reaches the machine."),
    "perf": ("looking.perf", "Find out where the time of a machine goes."),
    "gdb": ("looking.gdb", "Debug a machine: its kernel, or all that runs on it."),
    "verify": ("proving.verify", "Rebuild and compare with what somebody else built."),
    "attest": ("proving.attest", "State what a build is, signed; verify what others state."),
    "explain": ("proving.explain", "Say where two builds part, and why."),
    "export": ("sharing.export", "Write all that a deployment needs, or serve the drive over NBD."),
    "push": ("sharing.push", "Put the image and the sealed drive into a registry."),
    "pull": ("sharing.push", "Get from a registry what was pushed, and check it."),
    "prune": ("hosting.prune", "Remove what vcr keeps that nothing needs any more."),
    "cache": ("sharing.cache", "Share what was built through a signed binary cache."),
    "graph": ("building.graph", "Draw what is built of what."),
    "report": ("building.report", "Tell about a build on one page of HTML."),
    "doctor": ("hosting.doctor", "Check this host and say how to get what is missing."),
    "completion": ("hosting.completion", "Print a script that completes vcr's words in a shell."),
}
# What a name that is wrong ends in, and what this host does not let do.
FILE_ERRORS = {
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP), ExitCode.USAGE),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC), ExitCode.HOST),
}
HIDDEN = {"reference": ("hosting.reference", "Write the reference.")}  # for vcr's own development


class _Verbs(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        known = VERBS | HIDDEN
        if name not in known:
            return None
        # exec is Python's own
        attribute = "exec_" if name == "exec" else name.replace("-", "_")
        command = getattr(importlib.import_module(f"vcr.cli.{known[name][0]}"), attribute)
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
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


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
