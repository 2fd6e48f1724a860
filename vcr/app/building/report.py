"""`report`: a build on one page of HTML."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from vcr.app.building.components import components_of
from vcr.app.building.graph import graph_of_plan
from vcr.app.context import Context, Variant
from vcr.app.proving.attestations import judge
from vcr.atomic import write_text
from vcr.attest.make import Maker
from vcr.build.builder import Builder, Built
from vcr.model.profile import PROFILES
from vcr.report.files import largest_files
from vcr.report.page import Attested, Milestone, Report, page
from vcr.tools.nix import Nix
from vcr.verify.milestones import milestones

LARGEST = 25  # files that are named
# What is told of machine.json, which both engines write.
FACTS = ("engine", "engine_version", "memory_mib", "instructions", "kernel_line")


def report(
    context: Context,
    output: Path,
    variant: Variant = Variant(),
    *,
    attestations: Sequence[Path] = (),
    keys: Sequence[Path] = (),
    registers: Mapping[int, bytes] | None = None,
) -> tuple[Attested, ...]:
    """Build the project, write a page about it to OUTPUT, return what ATTESTATIONS show.

    ATTESTATIONS are files of statements and evidence, verified with the public KEYS and, for an
    enclave, REGISTERS. Raises UsageError, and what a build raises. For an attestation that does not
    hold, the result says so, and a warning is shown.
    """
    project, plan = context.prepare(variant)
    builder = Builder(context.settings, context.ui, project)
    built = builder.build(plan, PROFILES[variant.profile].stages())
    judged = judge(attestations, keys, built.ladder, plan.terms, registers)
    write_text(output, page(_report(context, builder, built, judged)))
    for each in judged:
        if not each.holds and not each.is_kept:
            context.ui.warn(f"{each.file} is not verified: {each.words}")
    return judged


def _report(
    context: Context, builder: Builder, built: Built, judged: tuple[Attested, ...]
) -> Report:
    plan, nix = built.plan, Nix(context.settings)
    epoch = dt.datetime.fromtimestamp(plan.epoch, dt.UTC)
    return Report(
        title=f"{plan.name}, built by vcr",
        about=f"profile {plan.profile}, {plan.arch}, epoch {epoch:%Y-%m-%dT%H:%M:%SZ}",
        ladder=built.ladder,
        graph=graph_of_plan(context, builder.project, plan),
        stages=built.stages,
        sizes={stage.name: nix.sizes(stage.path) for stage in built.stages},
        machine=_machine(built),
        boot=_boot(built),
        components=components_of(Maker(builder, built)),
        attested=judged,
        files=largest_files(built.ladder[0].path, plan.image.layers, LARGEST),
    )


def _snapshot(built: Built) -> Path | None:
    return next((stage.path for stage in built.stages if stage.name == "snapshot"), None)


def _machine(built: Built) -> tuple[tuple[str, str], ...]:
    """Return facts about the snapshot, if the build has one."""
    snapshot = _snapshot(built)
    if snapshot is None:
        return ()
    made = json.loads((snapshot / "machine.json").read_bytes())
    return tuple((key.replace("_", " "), str(made[key])) for key in FACTS if key in made)


def _boot(built: Built) -> tuple[Milestone, ...]:
    snapshot = _snapshot(built)
    return () if snapshot is None else milestones(snapshot)
