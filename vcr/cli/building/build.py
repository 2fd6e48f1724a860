"""`vcr build`: build the stages of a project and print the digest ladder."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import vcr.app
from vcr.cli.context import App, Command, engine_option, plan_options, variant_of
from vcr.cli.ladder import print_ladder
from vcr.errors import UsageError
from vcr.model.duration import parse_duration
from vcr.model.profile import PROFILES
from vcr.model.stage import ALL_STAGES
from vcr.ui import human_size

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.build.builder import Built
    from vcr.build.shell_terminal import Seat


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[DIR] [STAGE]")
@plan_options
@engine_option
@click.option("--target", metavar="NAME", help="Stop at this stage of the Dockerfile.")
@click.option(
    "--timeout", metavar="TIME", default="0s", help="End a step that takes longer, such as 30m."
)
@click.option(
    "--debug-shell", is_flag=True, help="Open a shell in the build machine of a RUN that fails."
)
@click.pass_obj
def build(
    app: App,
    words: tuple[str, ...],
    *,
    profile: str,
    arch: str | None,
    engine: str | None,
    target: str | None,
    timeout: str,
    debug_shell: bool,
) -> None:
    """Build the stages up to STAGE and print the digest ladder.

    Stages are image, rootfs, squashfs, kernel and, with the profile prod, machine,
    snapshot and seal; vcr builds an enclave only on request.

    DIR is the project's directory; write ./image for a directory named like a stage.
    """
    last = _take_words(app, words)
    try:
        limit = parse_duration(timeout)
    except ValueError as error:
        raise UsageError(f"--timeout {timeout} is wrong", why=str(error)) from None
    variant = variant_of(profile, arch, engine, target)
    seat = _seat(app) if debug_shell else None
    built = vcr.app.build(app.context, variant, last=last, timeout=limit, debug_shell=seat)
    if app.ui.is_json:
        app.ui.json("build", _as_json(built))
        return
    sealed = PROFILES[profile].is_sealed
    print_ladder(app.ui, built.ladder, _engine_words(app, built) if sealed else "")
    if built.grown:
        freed = "`vcr prune` removes builds that are no longer needed"
        app.ui.note(f"the Nix store has grown by {human_size(built.grown)}; {freed}")


def _seat(app: App) -> "Seat":
    """Return the terminal of this process."""
    from vcr.build.shell_terminal import Seat

    return Seat(app.settings.terminal)


def _engine_words(app: App, built: "Built") -> str:
    """Name the engine, and the one of vcr.lock if --engine chose another."""
    machine, locked = built.plan.machine, app.context.load_project().config.machine.engine
    other = "" if machine.engine == locked else f", not {locked} as in vcr.lock"
    return f"{machine.engine} {machine.engine_version}{other}"


def _take_words(app: App, words: tuple[str, ...]) -> str | None:
    """Sort the positional words into a directory (kept in APP) and a stage."""
    stages = [word for word in words if word in ALL_STAGES]
    directories = [word for word in words if word not in ALL_STAGES]
    if len(stages) > 1 or len(directories) > 1:
        raise UsageError(
            f"too many arguments: {' '.join(words)}",
            why="`vcr build` takes at most one directory and one stage",
            fix=f"stages are {', '.join(ALL_STAGES)}",
        )
    if directories:
        app.directory = Path(directories[0])
        if not app.directory.is_dir():
            raise UsageError(
                f"{directories[0]!r} is neither a stage nor a directory",
                fix=f"stages are {', '.join(ALL_STAGES)}",
            )
    return stages[0] if stages else None


def _as_json(built: "Built") -> dict[str, Any]:
    return {
        **built.plan.terms,
        "ladder": [{**asdict(rung), "path": str(rung.path)} for rung in built.ladder],
        "stages": [{**asdict(stage), "path": str(stage.path)} for stage in built.stages],
    }
