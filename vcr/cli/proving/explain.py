"""`vcr explain`: where two builds differ, down to the file or the page, and why."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

import vcr.app
from vcr.cli.context import App, Command
from vcr.words import counted

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from collections.abc import Sequence

    from vcr.verify.explain import Difference

SHOWN = 10


@click.command(cls=Command)
@click.argument("first", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("second", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--diffoscope",
    "deep",
    is_flag=True,
    help="Let diffoscope compare a file that differs, with all programs that it knows.",
)
@click.pass_obj
def explain(app: App, first: Path, second: Path, *, deep: bool) -> None:
    """Compare two builds, and say where they differ and why.

    `vcr build --json` makes a ladder. The files that it names must be on this host: in
    the directory of the ladder, in the Nix store, or where --allow-outside allows it.
    """
    explanation = vcr.app.explain(app.context, first, second)
    if explanation.rung is None:
        app.ui.data("the ladders are the same")
        return
    _show(app, explanation.rung.name, explanation.differences, deep=deep)
    explanation.check()


def _show(app: App, rung: str, found: "Sequence[Difference]", *, deep: bool) -> None:
    if app.ui.is_json:
        rows = [{"where": d.where, "how": d.how, "cause": asdict(d.cause)} for d in found]
        app.ui.json("explain", {"rung": rung, "differences": rows})
        return
    app.ui.data(f"{rung}: {counted(len(found), 'difference')}")
    app.ui.table([(each.where, each.how) for each in found[:SHOWN]], indent="  ")
    if len(found) > SHOWN:
        app.ui.data(f"  and {len(found) - SHOWN} more")
    pair = next((each.pair for each in found if each.pair is not None), None)
    if deep and pair is not None:
        app.ui.document(vcr.app.diffoscope(*pair))
