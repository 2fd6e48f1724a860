"""Builder of one layer over others: COPY, ADD, WORKDIR. Writes `layer.tar`.

The specification is JSON: a layer of vcr.model.plan as `spec`, the tar files of
the layers below as `lower`, where its sources are as `inputs`, `epoch`, `arch`.
"""

import json
from pathlib import Path
from typing import Any

from vcr.formats.failure import Failure, guarded
from vcr.formats.tar import LAYER_FILE, apply_layer, write
from vcr.formats.tree import Node, Tree, directory, parent
from vcr.formats.users import find_account
from vcr.sandbox.copy import Copy


def main(specification: str, out: str) -> None:
    """Build the layer that the JSON file SPECIFICATION describes into directory OUT."""
    job = json.loads(Path(specification).read_bytes())
    guarded(lambda: _build(job, Path(out), Path("scratch").resolve()), _origin(job["spec"]))


def _origin(spec: dict[str, Any]) -> str:
    """Say which instruction it is; a line number would make every later line matter."""
    match spec["op"]:
        case "copy":
            names = [source.get("pattern") or source["name"] or "." for source in spec["sources"]]
            return f"{'ADD' if spec['extract'] else 'COPY'} {' '.join(names)} {spec['dest']}"
        case "workdir":
            return f"WORKDIR {spec['path']}"
        case _:
            return ""


def flatten(layers: list[str]) -> Tree:
    """Return the file system of LAYERS, paths of tar files, bottom first."""
    tree = Tree()
    for layer in layers:
        apply_layer(tree, Path(layer))
    return tree


def _build(job: dict[str, Any], out: Path, scratch: Path) -> None:
    spec = job["spec"]
    scratch.mkdir(parents=True, exist_ok=True)
    tree = flatten(job["lower"])
    match spec["op"]:
        case "copy":
            written = _copy(job, tree, scratch)
        case "workdir":
            written = _workdir(tree, spec)
        case _:
            raise ValueError(f"unknown layer operation {spec['op']!r}")
    out.mkdir(parents=True, exist_ok=True)
    write(out / LAYER_FILE, _changes(tree, written), job["epoch"])


def _copy(job: dict[str, Any], tree: Tree, scratch: Path) -> set[str]:
    """Carry out COPY or ADD; INPUTS has one entry a source."""
    copy = Copy(tree, job["spec"], scratch)
    for source, given in zip(job["spec"]["sources"], job["inputs"], strict=True):
        match source["kind"]:
            case "context":
                copy.from_context(source, Path(given))
            case "stage":
                copy.from_stage(source, flatten(given))
            case "inline":
                copy.from_text(source)
            case _:
                copy.from_url(source, Path(given))
    return copy.written


def _workdir(tree: Tree, spec: dict[str, Any]) -> set[str]:
    path = tree.resolve(spec["path"].strip("/"))
    if path in tree:
        if tree.nodes[path].kind == "dir":
            return set()
        raise Failure(f"/{path} is a file, not a directory")
    account = find_account(tree, spec["owner"])
    made = directory(0o755, account.uid, account.gid)
    return set(tree.put(path, made, parents=made))


def _changes(tree: Tree, written: set[str]) -> list[tuple[str, Node]]:
    """Return what the layer holds: what was written and is still there, in order."""
    return [(path, node) for path, node in tree.walk() if path in written and parent(path) in tree]
