"""Builder of one layer over others: COPY, ADD, WORKDIR. Writes `layer.tar`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vcr.formats.failure import Failure, guarded
from vcr.formats.job import read_job
from vcr.formats.tar import LAYER_FILE, apply_layer, write
from vcr.formats.tree import Node, Tree, directory, parent
from vcr.formats.users import find_account
from vcr.sandbox.copy import ContextSource, Copy, GitSource, InlineSource, Spec, StageSource


@dataclass(frozen=True)
class Workdir:
    """A WORKDIR, as vcr.model.plan.Workdir says."""

    path: str
    owner: str
    op: Literal["workdir"] = "workdir"


@dataclass(frozen=True)
class Job:
    """What nix/stages/image.nix gives."""

    spec: Spec | Workdir
    lower: tuple[Path, ...]  # tar files of the layers below, bottom first
    epoch: int


def main(specification: str, out: str) -> None:
    """Build the layer that the JSON file SPECIFICATION describes into directory OUT."""
    guarded(lambda: _build(read_job(Job, specification), Path(out), Path("scratch").resolve()))


def flatten(layers: Sequence[Path]) -> Tree:
    """Return the file system of LAYERS, tar files, bottom first."""
    tree = Tree()
    for layer in layers:
        apply_layer(tree, layer)
    return tree


def _build(job: Job, out: Path, scratch: Path) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    tree = flatten(job.lower)
    if isinstance(job.spec, Spec):
        written = _copy(tree, job.spec, scratch)
    else:
        written = _workdir(tree, job.spec)
    out.mkdir(parents=True, exist_ok=True)
    write(out / LAYER_FILE, _changes(tree, written), job.epoch)


def _copy(tree: Tree, spec: Spec, scratch: Path) -> set[str]:
    """Do COPY or ADD."""
    copy = Copy(tree, spec, scratch)
    if spec.parents:
        copy.make_directory(spec.dest.strip("/"))  # also for sources that match nothing
    for source in spec.sources:
        if isinstance(source, ContextSource):
            copy.from_context(source)
        elif isinstance(source, StageSource):
            copy.from_stage(source, flatten(source.layers))
        elif isinstance(source, InlineSource):
            copy.from_text(source)
        elif isinstance(source, GitSource):
            copy.from_repository(source)
        else:
            copy.from_url(source)
    return copy.written


def _workdir(tree: Tree, spec: Workdir) -> set[str]:
    path = tree.resolve(spec.path.strip("/"))
    if path in tree:
        if tree.nodes[path].kind == "dir":
            return set()
        raise Failure(f"/{path} is a file, not a directory")
    account = find_account(tree, spec.owner)
    made = directory(0o755, account.uid, account.gid)
    return set(tree.put(path, made, parents=made))


def _changes(tree: Tree, written: set[str]) -> list[tuple[str, Node]]:
    """Return what the layer holds: what was written and is still there, in order."""
    return [(path, node) for path, node in tree.walk() if path in written and parent(path) in tree]
