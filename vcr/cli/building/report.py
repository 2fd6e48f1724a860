"""`vcr report`: a build on one page of HTML."""

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Command, arch_of, engine_option, profile_option, project_argument

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.build.builder import Builder, Built
    from vcr.report.page import Attested, Milestone, Report

LARGEST = 25  # files that are named
# What is told of machine.json, which both engines write.
FACTS = ("engine", "engine_version", "memory_mib", "instructions", "kernel_line")

a_file = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command(cls=Command)
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@project_argument
@profile_option
@engine_option
@click.option(
    "--attestation",
    "attestations",
    type=a_file,
    multiple=True,
    metavar="FILE",
    help="Verify this statement or evidence and tell of it; may be repeated.",
)
@click.option(
    "--trusted-key",
    "keys",
    type=a_file,
    multiple=True,
    metavar="FILE",
    help="A public key whose signature counts; may be repeated.",
)
@click.option(
    "--pcrs",
    type=a_file,
    metavar="FILE",
    help="What registers documents of an enclave must have, as nitro-cli prints them.",
)
@click.pass_obj
def report(
    app: App,
    output: Path,
    *,
    profile: str,
    engine: str | None,
    attestations: tuple[Path, ...],
    keys: tuple[Path, ...],
    pcrs: Path | None,
) -> None:
    """Build the project and tell about it on one page, OUTPUT.

    The ladder, what is built of what, how long it took, how a prod machine came up, what it
    is made of, and whether attestations hold: one file without scripts, to keep beside a
    release.
    """
    from vcr.app.proving.attestations import judge
    from vcr.app.proving.inputs import read_registers
    from vcr.atomic import write_text
    from vcr.build.builder import Builder
    from vcr.model.profile import PROFILES
    from vcr.report.page import page

    project, plan = app.prepare(arch=arch_of(None, profile), profile=profile, engine=engine)
    builder = Builder(app.settings, app.ui, project)
    built = builder.build(plan, PROFILES[profile].stages())
    registers = read_registers((), pcrs)
    judged = judge(attestations, keys, built.ladder, plan.terms, registers)
    write_text(output, page(_report(app, builder, built, judged)))
    for each in judged:
        if not each.holds and not each.is_kept:
            app.ui.warn(f"{each.file} is not verified: {each.words}")
    if app.ui.is_json:
        told = [
            {"file": a.file, "holds": a.holds, "state": a.state, "words": a.words} for a in judged
        ]
        app.ui.json("report", {"path": str(output.resolve()), "attestations": told})


def _report(
    app: App, builder: "Builder", built: "Built", judged: "tuple[Attested, ...]"
) -> "Report":
    from vcr.app.building.components import components_of
    from vcr.app.building.graph import graph_of_plan
    from vcr.attest.make import Maker
    from vcr.report.files import largest_files
    from vcr.report.page import Report
    from vcr.tools.nix import Nix

    plan, nix = built.plan, Nix(app.settings)
    epoch = dt.datetime.fromtimestamp(plan.epoch, dt.UTC)
    return Report(
        title=f"{plan.name}, built by vcr",
        about=f"profile {plan.profile}, {plan.arch}, epoch {epoch:%Y-%m-%dT%H:%M:%SZ}",
        ladder=built.ladder,
        graph=graph_of_plan(app.context, builder.project, plan),
        stages=built.stages,
        sizes={stage.name: nix.sizes(stage.path) for stage in built.stages},
        machine=_machine(built),
        boot=_boot(built),
        components=components_of(Maker(builder, built)),
        attested=judged,
        files=largest_files(built.ladder[0].path, plan.image.layers, LARGEST),
    )


def _snapshot(built: "Built") -> Path | None:
    return next((stage.path for stage in built.stages if stage.name == "snapshot"), None)


def _machine(built: "Built") -> tuple[tuple[str, str], ...]:
    """Return facts about the snapshot, if the build has one."""
    snapshot = _snapshot(built)
    if snapshot is None:
        return ()
    made = json.loads((snapshot / "machine.json").read_bytes())
    return tuple((key.replace("_", " "), str(made[key])) for key in FACTS if key in made)


def _boot(built: "Built") -> "tuple[Milestone, ...]":
    from vcr.verify.milestones import milestones

    snapshot = _snapshot(built)
    return () if snapshot is None else milestones(snapshot)
