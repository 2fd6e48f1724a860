"""`vcr explain`: where two builds part, down to the file or the page, and why."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Command
from vcr.errors import HostError, MismatchError, UsageError
from vcr.limits import Limits
from vcr.model.ladder import ENGINE_RUNGS

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.verify.explain import Difference

SHOWN = 10
DIFFOSCOPE_LINES = 60
SECONDS = 600.0
LIMITS = Limits(file_bytes=4 << 30, memory_bytes=8 << 30)


@click.command(cls=Command)
@click.argument("first", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("second", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--diffoscope",
    "deep",
    is_flag=True,
    help="Have diffoscope compare a file that differs, by all programs that it knows.",
)
@click.pass_obj
def explain(app: App, first: Path, second: Path, *, deep: bool) -> None:
    """Compare two ladders, which `vcr build --json` made, and say why they part.

    The files they name must be on this host: in the directory of their ladder, in the Nix
    store, or what --allow-outside names.
    """
    from vcr.verify.causes import UNKNOWN
    from vcr.verify.explain import explain as explain_rungs
    from vcr.verify.ladders import compare, first_difference, read_claim
    from vcr.verify.material import Material

    left, right = read_claim(first), read_claim(second)
    row = first_difference(compare(left.ladder, right.ladder))
    if row is None:
        app.ui.data("the ladders are the same")
        return
    found, why = list["Difference"](), "nothing of it could be compared"
    if row.expected and row.got:
        within = (Material.of(first, app.outside), Material.of(second, app.outside))
        rungs = [next(r for r in claim.ladder if r.name == row.name) for claim in (left, right)]
        try:
            found = explain_rungs(*rungs, within=within, ladder=left.ladder)
        except UsageError as error:  # the ladders differ all the same
            why = f"{error.what}; {error.why}"
    _show(app, row.name, found, deep=deep)
    known = (each for each in found if each.cause is not UNKNOWN)
    top = next(known, found[0] if found else None)
    engines = [f"{claim.engine} {claim.engine_version}" for claim in (left, right)]
    if engines[0] != engines[1] and row.name in ENGINE_RUNGS:
        raise MismatchError(
            f"the rung {row.name} differs",
            details=(("first", engines[0]), ("second", engines[1])),
            why="machines of different engines have nothing in common",
        )
    raise MismatchError(
        f"the rung {row.name} differs",
        details=(("first", row.expected or "no such rung"), ("second", row.got or "no such rung")),
        why=f"{top.where}: {top.cause.why}" if top else why,
        fix=top.cause.fix if top else "",
    )


def _show(app: App, rung: str, found: "list[Difference]", *, deep: bool) -> None:
    if app.ui.is_json:
        rows = [{"where": d.where, "how": d.how, "cause": asdict(d.cause)} for d in found]
        app.ui.json("explain", {"rung": rung, "differences": rows})
        return
    app.ui.data(f"{rung}: {len(found)} differences")
    app.ui.table([(each.where, each.how) for each in found[:SHOWN]], indent="  ")
    if len(found) > SHOWN:
        app.ui.data(f"  and {len(found) - SHOWN} more")
    pair = next((each.pair for each in found if each.pair is not None), None)
    # It starts what reads a file of that kind, such as R, whose files are programs.
    if deep and pair is not None:
        app.ui.document(_diffoscope(*pair))


def _diffoscope(left: bytes, right: bytes) -> str:
    from vcr import process
    from vcr.atomic import scratch_directory

    if shutil.which("diffoscope") is None:
        raise HostError("diffoscope is not on this host", fix="leave --diffoscope out")
    with scratch_directory() as scratch:
        paths = [scratch / "first", scratch / "second"]
        for path, data in zip(paths, (left, right), strict=True):
            path.write_bytes(data)
        argv: list[process.Arg] = ["diffoscope", "--text", "-", *paths]
        said = process.run(LIMITS.on(argv), ok=(0, 1), timeout=SECONDS).text
    return "\n".join(said.splitlines()[:DIFFOSCOPE_LINES])
