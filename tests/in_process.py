"""Carries out a Dockerfile without Nix and without a machine: its plan, and what copies.

A RUN is not executed; what it would be given is told instead. Bases have no files.
"""

import dataclasses
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vcr.errors import VcrError
from vcr.formats.failure import Failure
from vcr.formats.job import as_record
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock, LockedDebian
from vcr.model.plan import Copy, Debs, Plan, Run, Workdir
from vcr.model.project import load_project
from vcr.model.source import ContextSource, GitSource, InlineSource, Source, StageSource
from vcr.planner.project import make_plan
from vcr.sandbox.layer import Job, _build

NO_FILES = LockedDebian(suite="s", snapshot="20260101T000000Z", archs=dict.fromkeys(Arch, ()))
LOCK = Lock(epoch=7, inputs={}, bases={"base": NO_FILES}, urls={})
PLAIN = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}


def told(project: Path, scratch: Path) -> str:
    """Return what the Dockerfile of PROJECT makes, a line each, or why it is refused."""
    try:
        plan = make_plan(load_project(project), LOCK, arch=Arch.RISCV64, profile="vm")
        return "".join(f"{line}\n" for line in _lines(plan, project, scratch))
    except VcrError as error:
        return f"refused {error.what}\n"
    except Failure as failure:
        return f"refused {failure.report['what']}\n"


def _lines(plan: Plan, context: Path, scratch: Path) -> Iterator[str]:
    layers: dict[str, Path] = {}
    for number, (ident, layer) in enumerate(plan.layers.items()):
        out = scratch / f"layer{number}"
        if isinstance(layer, Run):
            yield _run(layer)
        elif isinstance(layer, Copy | Workdir):
            spec = _copy(layer, context, out, layers) if isinstance(layer, Copy) else _plain(layer)
            lower = [str(layers[each]) for each in layer.lower if each in layers]
            job = {"spec": spec, "lower": lower, "epoch": plan.epoch}
            _build(as_record(Job, job), out, scratch / "scratch")
            layers[ident] = out / "layer.tar"
        else:
            assert isinstance(layer, Debs)
    config = {key: value for key, value in plan.image.config.items() if value != PLAIN.get(key)}
    for key, value in sorted(config.items()):
        yield f"{key} {json.dumps(value, sort_keys=True)}"
    if plan.image.author:
        yield f"author {plan.image.author}"
    for ident in plan.image.layers:
        if ident in layers:
            yield from _entries(layers[ident])


def _plain(layer: Workdir) -> dict[str, Any]:
    return {"op": layer.op, "path": layer.path, "owner": layer.owner}


def _copy(layer: Copy, context: Path, out: Path, layers: dict[str, Path]) -> dict[str, Any]:
    names = ("op", "dest", "chown", "chmod", "exclude", "parents", "link", "extract")
    spec = {name: getattr(layer, name) for name in names}
    sources = [
        _source(source, context, out.with_name(f"{out.name}-{number}"), layers)
        for number, source in enumerate(layer.sources)
    ]
    return {**spec, "exclude": list(layer.exclude), "sources": sources}


def _source(source: Source, context: Path, place: Path, layers: dict[str, Path]) -> dict[str, Any]:
    match source:
        case ContextSource():
            keys = {name: getattr(source, name) for name in ("kind", "kept", "name", "path")}
            return {**keys, "context": str(_imported(source, context, place))}
        case StageSource():
            known = [str(layers[each]) for each in source.layers if each in layers]
            return {**dataclasses.asdict(source), "layers": known}
        case InlineSource():
            return dataclasses.asdict(source)
    raise AssertionError(f"{'a repository' if isinstance(source, GitSource) else 'a file'}")


def _imported(source: ContextSource, context: Path, place: Path) -> Path:
    """Copy what SOURCE takes of CONTEXT to PLACE, as Nix does: nix/stages/image.nix."""
    place.mkdir(parents=True)
    for file in source.files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        if (context / file).is_dir() and not (context / file).is_symlink():
            (place / file).mkdir(exist_ok=True)
        else:
            shutil.copy2(context / file, place / file, follow_symlinks=False)
    return place


def _run(layer: Run) -> str:
    env = [entry for entry in layer.env if entry not in {*PLAIN["Env"], "SOURCE_DATE_EPOCH=7"}]
    words = f"run {layer.arch} {json.dumps(layer.argv)} env {json.dumps(env)}"
    words += f" user {layer.user}" if layer.user else ""
    words += f" in {layer.workdir}" if layer.workdir != "/" else ""
    return words + "".join(f" mount {m.kind} {m.target}" for m in layer.mounts)


def _entries(layer: Path) -> Iterator[str]:
    with tarfile.open(layer) as archive:
        for entry in archive:
            kind = "d" if entry.isdir() else "l" if entry.issym() else "f"
            line = f"{kind} {entry.mode:04o} {entry.uid}:{entry.gid} {entry.name}"
            if entry.issym():
                line += f" -> {entry.linkname}"
            elif content := archive.extractfile(entry):
                data = content.read()
                is_text = data.isascii() and b"\0" not in data
                line += f" {json.dumps(data.decode())}" if is_text else f" ({len(data)} bytes)"
            yield line
