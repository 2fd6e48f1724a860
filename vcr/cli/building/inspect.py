"""`vcr inspect`: the plan, what is built of it, the ladder, sizes, and the configuration."""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from vcr.cli.building.build import print_ladder
from vcr.cli.context import App, Command, arch_of, plan_options, project_argument
from vcr.model.profile import PROFILES
from vcr.ui import human_size

WORDS_LENGTH = 60  # characters of a command that are shown

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from pydantic import BaseModel

    from vcr.model.plan import Plan
    from vcr.model.project import Project
    from vcr.tools.nix import Nix, Target


@click.command(cls=Command)
@project_argument
@click.option("--config", is_flag=True, help="Show effective values and where each came from.")
@plan_options
@click.pass_obj
def inspect(app: App, *, config: bool, profile: str, arch: str | None) -> None:
    """Show the plan of a project and what is built of it; builds nothing."""
    if config:
        _show_config(app, app.load_project())
        return
    project, plan = app.prepare(arch=arch_of(arch, profile), profile=profile)
    _show_plan(app, project, plan)


def _show_plan(app: App, project: "Project", plan: "Plan") -> None:
    from vcr.build.builder import Builder
    from vcr.model.ladder import read_rungs
    from vcr.tools.nix import Nix

    stages = PROFILES[plan.profile].stages(arch=plan.arch)
    nix = Nix(app.settings)
    path = Builder(app.settings, app.ui, project).write_plan(plan)
    targets = nix.evaluate(stages, path).targets
    ladder = tuple(r for t in targets if t.is_built for r in read_rungs(t.out))
    stage_rows = [_stage_row(nix, target) for target in targets]
    if app.ui.is_json:
        content = {
            "plan": dataclasses.asdict(plan),
            "stages": stage_rows,
            "ladder": [{**dataclasses.asdict(r), "path": str(r.path)} for r in ladder],
        }
        app.ui.json("inspect", content)
        return
    epoch = dt.datetime.fromtimestamp(plan.epoch, dt.UTC)
    app.ui.data(f"{plan.name}: {plan.profile} for {plan.arch}, epoch {epoch:%Y-%m-%dT%H:%M:%SZ}")
    app.ui.data("layers")
    app.ui.table([(ident, *layer_words(layer)) for ident, layer in _layers(plan)], indent="  ")
    app.ui.data("stages")
    app.ui.table([_stage_words(row) for row in stage_rows], indent="  ")
    if ladder:
        app.ui.data("ladder")
        print_ladder(app.ui, ladder)


def _layers(plan: "Plan") -> Iterator[tuple[str, dict[str, Any]]]:
    for ident, layer in plan.layers.items():
        yield ident, dataclasses.asdict(layer)


def layer_words(layer: dict[str, Any]) -> tuple[str, str]:
    """Say in a few words what a layer does, and which line asked for it."""
    match layer["op"]:
        case "debs":
            size = human_size(sum(deb["size"] for deb in layer["debs"]))
            count = len(layer["debs"])
            return f"{count} Debian package{'s' * (count != 1)}, {size}", ""
        case "oci":
            return f"OCI image {layer['manifest'][:19]}", ""
        case "copy":
            sources = ", ".join(_source_words(source) for source in layer["sources"])
            return f"copy {sources} to {layer['dest']}", layer["origin"]
        case "workdir":
            return f"make {layer['path']}", layer["origin"]
        case "run" if not layer["origin"]:
            return "configure its packages", ""
        case _:
            return f"run {_first_line(layer['argv'])}", layer["origin"]


def _first_line(argv: tuple[str, ...]) -> str:
    """Return the beginning of a command, as one reads it in the Dockerfile."""
    words = argv[2:] if argv[:2] == ("/bin/sh", "-c") else argv
    first, more, _ = " ".join(words).partition("\n")
    return first[:WORDS_LENGTH] + ("…" if more or len(first) > WORDS_LENGTH else "")


def _source_words(source: dict[str, Any]) -> str:
    match source["kind"]:
        case "context":
            return str(source["path"])
        case "stage":
            return f"{source['pattern']} of another stage"
        case "inline":
            return "a here-document"
        case _:
            return str(source["file"]["url"])


def _stage_row(nix: "Nix", target: "Target") -> dict[str, Any]:
    size, closure = nix.sizes(target.out) if target.is_built else (0, 0)
    return {
        "name": target.attr,
        "path": str(target.out),
        "built": target.is_built,
        "size": size,
        "closure_size": closure,
    }


def _stage_words(row: dict[str, Any]) -> tuple[str, ...]:
    if not row["built"]:
        return row["name"], "not built", "", ""
    size, closure = human_size(row["size"]), human_size(row["closure_size"])
    return row["name"], size, f"closure {closure}", row["path"]


def _show_config(app: App, project: "Project") -> None:
    rows = list(_values(project.config))
    if app.ui.is_json:
        values = [{"key": key, "value": value, "from": origin} for key, value, origin in rows]
        app.ui.json("config", {"name": project.name, "values": values})
        return
    app.ui.table(
        [(key, "-" if value is None else str(value), origin) for key, value, origin in rows]
    )


def _values(model: "BaseModel", prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield (dotted key, value, origin) of every setting, defaults included."""
    from pydantic import BaseModel

    for name in sorted(type(model).model_fields):
        value = getattr(model, name)
        origin = "vcr.toml" if name in model.model_fields_set else "default"
        if isinstance(value, BaseModel):
            yield from _values(value, f"{prefix}{name}.")
        elif isinstance(value, dict) and any(isinstance(v, BaseModel) for v in value.values()):
            for key in sorted(value):
                yield from _values(value[key], f"{prefix}{name}.{key}.")
        else:
            yield f"{prefix}{name}", _plain(value), origin


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
