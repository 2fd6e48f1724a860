"""`vcr inspect`: the plan, what is built of it, the ladder, sizes, and the configuration."""

import dataclasses
import datetime as dt
import json
import shutil
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

import vcr.app
from vcr.cli.context import App, Command, plan_options, project_argument, variant_of
from vcr.cli.ladder import print_ladder
from vcr.escape import visible
from vcr.ui import human_size

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.app.building.inspect import Inspection, PlannedStage

COLUMNS = 80  # where there is no terminal
MAX_KEY, MIN_VALUE = 32, 20  # columns
GAP = "  "


@click.command(cls=Command)
@project_argument
@click.option("--config", is_flag=True, help="Show effective values and where each was set.")
@plan_options
@click.pass_obj
def inspect(app: App, *, config: bool, profile: str, arch: str | None) -> None:
    """Show the plan, the ladder, sizes and configuration; build nothing."""
    if config:
        _show_config(app)
        return
    found = vcr.app.inspect(app.context, variant_of(profile, arch))
    if app.ui.is_json:
        app.ui.json("inspect", _as_json(found))
    else:
        _show(app, found)


def _as_json(found: "Inspection") -> dict[str, Any]:
    return {
        "plan": dataclasses.asdict(found.plan),
        "stages": [{**dataclasses.asdict(s), "path": str(s.path)} for s in found.stages],
        "ladder": [{**dataclasses.asdict(r), "path": str(r.path)} for r in found.ladder],
    }


def _show(app: App, found: "Inspection") -> None:
    from vcr.report.layer import layer_words

    plan = found.plan
    epoch = dt.datetime.fromtimestamp(plan.epoch, dt.UTC)
    app.ui.data(f"{plan.name}: {plan.profile} for {plan.arch}, epoch {epoch:%Y-%m-%dT%H:%M:%SZ}")
    app.ui.data("layers")
    layers = [(i, *layer_words(layer)) for i, layer in plan.layers.items()]
    app.ui.table(layers, indent="  ")
    app.ui.data("stages")
    app.ui.table([_stage_words(stage) for stage in found.stages], indent="  ")
    if found.ladder:
        app.ui.data("ladder")
        print_ladder(app.ui, found.ladder)


def _stage_words(stage: "PlannedStage") -> tuple[str, ...]:
    if not stage.built:
        return stage.name, "not built", "", ""
    closure = f"closure {human_size(stage.closure_size)}"
    return stage.name, human_size(stage.size), closure, str(stage.path)


def _show_config(app: App) -> None:
    found = vcr.app.configuration(app.context)
    if app.ui.is_json:
        values = [{"key": v.key, "value": v.value, "from": v.origin} for v in found.values]
        app.ui.json("config", {"name": found.name, "values": values})
        return
    columns = shutil.get_terminal_size((COLUMNS, 0)).columns
    rows = [(v.key, v.origin, _value_words(v.value)) for v in found.values]
    for line in _setting_lines(rows, columns):
        app.ui.data(line)


def _value_words(value: object) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)


def _setting_lines(rows: Sequence[tuple[str, str, str]], columns: int) -> Iterator[str]:
    """Yield lines of ROWS, of a key, an origin and a value, that fit into so many COLUMNS.

    A long key has a line of its own, and a long value several, below one another.
    """
    key_width = min(max(len(key) for key, _, _ in rows), MAX_KEY)
    origin_width = max(len(origin) for _, origin, _ in rows)
    place = key_width + origin_width + 2 * len(GAP)
    for key, origin, value in rows:
        first, *rest = _wrapped(visible(value), max(columns - place, MIN_VALUE))
        if len(key) > key_width:
            yield key
        shown = key if len(key) <= key_width else ""
        yield GAP.join((shown.ljust(key_width), origin.ljust(origin_width), first)).rstrip()
        yield from (" " * place + line for line in rest)


def _wrapped(text: str, columns: int) -> list[str]:
    return wrap(text, columns, break_on_hyphens=False) or [""]
