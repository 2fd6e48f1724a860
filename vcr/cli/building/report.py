"""`vcr report`: a build on one page of HTML."""

from pathlib import Path

import click

import vcr.app
from vcr.cli.context import (
    App,
    Command,
    engine_option,
    plan_options,
    project_argument,
    variant_of,
)

a_file = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command(cls=Command)
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@project_argument
@plan_options
@engine_option
@click.option(
    "--attestation",
    "attestations",
    type=a_file,
    multiple=True,
    metavar="FILE",
    help="Verify this statement or evidence and show the result; may be repeated.",
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
    help="The registers that documents of an enclave must have, as nitro-cli prints them.",
)
@click.pass_obj
def report(
    app: App,
    output: Path,
    *,
    profile: str,
    arch: str | None,
    engine: str | None,
    attestations: tuple[Path, ...],
    keys: tuple[Path, ...],
    pcrs: Path | None,
) -> None:
    """Build the project and describe it on one page of HTML, OUTPUT.

    The page has the ladder, what was built from what, how long it took, how a prod
    machine started, its components, and whether attestations hold. It is one file
    without scripts, to keep beside a release.
    """
    from vcr.app.proving.inputs import read_registers

    judged = vcr.app.report(
        app.context,
        output,
        variant_of(profile, arch, engine),
        attestations=attestations,
        keys=keys,
        registers=read_registers((), pcrs),
    )
    if app.ui.is_json:
        told = [
            {"file": a.file, "holds": a.holds, "state": a.state, "words": a.words} for a in judged
        ]
        app.ui.json("report", {"path": str(output.resolve()), "attestations": told})
