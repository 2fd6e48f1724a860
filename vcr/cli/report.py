"""`vcr report`: a build on one page of HTML."""

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.app import App, Command, arch_of, engine_option, profile_option, project_argument
from vcr.cli.graph import read_graph

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.stages.build import Built

LARGEST = 25  # files that are named
# What is told of machine.json, which both engines write.
FACTS = ("engine", "engine_version", "memory_mib", "instructions", "kernel_line")


@click.command(cls=Command)
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@project_argument
@profile_option
@engine_option
@click.pass_obj
def report(app: App, output: Path, *, profile: str, engine: str | None) -> None:
    """Build the project and tell about it on one page, OUTPUT.

    The ladder, what is built of what, how long it took, what is in the image: one file
    without scripts, to keep beside a release.
    """
    from vcr.atomic import write_text  # noqa: PLC0415
    from vcr.stages import stages_of  # noqa: PLC0415
    from vcr.stages.build import Builder  # noqa: PLC0415
    from vcr.stages.contents import largest_files, packages_of  # noqa: PLC0415
    from vcr.stages.page import Report, page  # noqa: PLC0415
    from vcr.stages.prepare import prepare  # noqa: PLC0415
    from vcr.tools.nix import Nix  # noqa: PLC0415

    project, plan = prepare(
        app.directory, arch=arch_of(None, profile), profile=profile, engine=engine
    )
    built = Builder(app.settings, app.ui, project).build(plan, stages_of(profile))
    nix = Nix(app.settings)
    epoch = dt.datetime.fromtimestamp(plan.epoch, dt.UTC)
    told = Report(
        title=f"{plan.name}, built by vcr",
        about=f"profile {profile}, {plan.arch}, epoch {epoch:%Y-%m-%dT%H:%M:%SZ}",
        ladder=built.ladder,
        graph=read_graph(app, project, plan),
        stages=built.stages,
        sizes={stage.name: nix.sizes(stage.path) for stage in built.stages},
        machine=_machine(built),
        packages=packages_of(plan.layers),
        files=largest_files(built.ladder[0].path, plan.image.layers, LARGEST),
    )
    write_text(output, page(told))


def _machine(built: "Built") -> tuple[tuple[str, str], ...]:
    """Return facts about the snapshot, if the build has one."""
    found = [stage.path for stage in built.stages if stage.name == "snapshot"]
    if not found:
        return ()
    made = json.loads((found[0] / "machine.json").read_bytes())
    return tuple((key.replace("_", " "), str(made[key])) for key in FACTS if key in made)
