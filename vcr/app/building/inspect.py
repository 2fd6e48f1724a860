"""`inspect`: the plan of a project, what is built of it, and its effective configuration."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vcr.app.context import Context, Variant
from vcr.build.builder import Builder
from vcr.model.ladder import Rung, read_rungs
from vcr.model.plan import Plan
from vcr.model.profile import PROFILES
from vcr.tools.nix import Nix, Target


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a plan, and whether its output exists."""

    name: str
    path: Path  # where it is in the store, or would be
    built: bool
    size: int  # bytes, as closure_size; 0 when it is not built
    closure_size: int  # with all that it refers to


@dataclass(frozen=True)
class Inspection:
    """The plan of a project, and what is built of it."""

    plan: Plan
    stages: tuple[PlannedStage, ...]
    ladder: tuple[Rung, ...]  # of what is built


@dataclass(frozen=True)
class Value:
    """The effective value of a key of vcr.toml."""

    key: str  # dotted
    value: Any
    origin: str  # "vcr.toml" or "default"


@dataclass(frozen=True)
class Configuration:
    """The effective configuration of a project, defaults included."""

    name: str
    values: tuple[Value, ...]


def inspect(context: Context, variant: Variant = Variant()) -> Inspection:
    """Return the plan of the project and what is built of it; builds nothing.

    Raises UsageError, LockError, HostError.
    """
    project, plan = context.prepare(variant)
    nix = Nix(context.settings)
    path = Builder(context.settings, context.ui, project).write_plan(plan)
    targets = nix.evaluate(PROFILES[plan.profile].stages(arch=plan.arch), path).targets
    ladder = tuple(rung for t in targets if t.is_built for rung in read_rungs(t.out))
    return Inspection(plan, tuple(_stage(nix, target) for target in targets), ladder)


def configuration(context: Context) -> Configuration:
    """Return the effective configuration of the project; raises UsageError."""
    project = context.load_project()
    return Configuration(project.name, tuple(_values(project.config)))


def _stage(nix: Nix, target: Target) -> PlannedStage:
    size, closure = nix.sizes(target.out) if target.is_built else (0, 0)
    return PlannedStage(target.attr, target.out, target.is_built, size, closure)


def _values(model: BaseModel, prefix: str = "") -> Iterator[Value]:
    for name in sorted(type(model).model_fields):
        value = getattr(model, name)
        origin = "vcr.toml" if name in model.model_fields_set else "default"
        if isinstance(value, BaseModel):
            yield from _values(value, f"{prefix}{name}.")
        elif isinstance(value, dict) and any(isinstance(v, BaseModel) for v in value.values()):
            for key in sorted(value):
                yield from _values(value[key], f"{prefix}{name}.{key}.")
        else:
            plain = list(value) if isinstance(value, tuple) else value
            yield Value(f"{prefix}{name}", plain, origin)
