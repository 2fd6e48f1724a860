"""What decides each RUN, as a digest: the lock says which inputs its answers were recorded for.

The command with its environment, user, directory, arguments and mounts (of a secret, its id);
the base and all layers below, with the files of the context; layers of other stages that they
take. Not what the network answered, and not lines of the Dockerfile.
"""

import dataclasses
import hashlib
import json
from typing import Any

from vcr.model.plan import OciBase, Plan, Run
from vcr.model.source import Fetched

ANSWERS = frozenset({"exchanges", "bodies"})  # of a Run
PLACES = frozenset({"origin"})  # of the Dockerfile
LAYERS = frozenset({"lower", "layers", "carried_from"})  # names of other layers


def step_inputs(plan: Plan) -> dict[str, str]:
    """Return the digest, 64 hex digits, of what decides each RUN of PLAN, by the layer's id.

    PLAN has the hashes of what it takes from the context (vcr.build.contents).
    """
    found: dict[str, str] = {}
    for ident, layer in plan.layers.items():  # in build order: what one is made of comes before it
        told = json.dumps([plan.build.normalize, _told(layer, found)], sort_keys=True)
        found[ident] = hashlib.sha256(told.encode()).hexdigest()
    return {ident: found[ident] for ident in _runs(plan)}


def runs_below(plan: Plan) -> dict[str, frozenset[str]]:
    """Return which RUNs have to be there before each RUN of PLAN."""
    runs, found = _runs(plan), dict[str, frozenset[str]]()
    for ident, layer in plan.layers.items():
        named = _names(layer)
        found[ident] = frozenset(named & runs.keys()).union(*(found[name] for name in named))
    return {ident: found[ident] for ident in runs}


def _runs(plan: Plan) -> dict[str, Run]:
    return {ident: layer for ident, layer in plan.layers.items() if isinstance(layer, Run)}


def _told(value: Any, known: dict[str, str]) -> Any:
    """Return VALUE, a part of a layer, as JSON has it; of other layers, what is KNOWN of them."""
    if isinstance(value, Fetched):
        return [value.sha256, value.name]  # wherever it is from
    if isinstance(value, OciBase):
        return [value.op, value.manifest, value.arch]
    if dataclasses.is_dataclass(value):
        fields = {field.name for field in dataclasses.fields(value)} - ANSWERS - PLACES
        return {
            name: _known(getattr(value, name), known)
            if name in LAYERS
            else _told(getattr(value, name), known)
            for name in fields
        }
    if isinstance(value, list | tuple):
        return [_told(part, known) for part in value]
    return value


def _known(names: str | tuple[str, ...], known: dict[str, str]) -> list[str]:
    return [known[name] for name in _listed(names)]


def _listed(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return ((names,) if names else ()) if isinstance(names, str) else names


def _names(value: Any) -> set[str]:
    """Return the layers that VALUE, a layer or a part of one, names."""
    if isinstance(value, list | tuple):
        return set().union(*map(_names, value))
    if not dataclasses.is_dataclass(value):
        return set()
    found: set[str] = set()
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        found |= set(_listed(part)) if field.name in LAYERS else _names(part)
    return found
