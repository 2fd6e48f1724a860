"""Builder of one layer as overlayfs takes it: `lower.squashfs`, and `skeleton.json`.

A layer of an image leaves out the directories on the way to what it changes, and says
with `.wh.` names what is gone. For overlayfs every directory is there with its owner
and mode, and whiteouts are devices: https://docs.kernel.org/filesystems/overlayfs.html
The skeleton holds the directories and links of this layer and all below it, which is
what the next layer needs to know.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vcr.formats.failure import guarded
from vcr.formats.job import read_job
from vcr.formats.tar import OPAQUE, WHITEOUT, entries, place, write
from vcr.formats.tree import Node, Tree, directory, parent
from vcr.sandbox.qemu.padding import pad

SQUASHFS = "lower.squashfs"
SKELETON = "skeleton.json"
OVERLAY_OPAQUE = "trusted.overlay.opaque"

# -noI...: not compressed, for the machine that reads it is emulated: what counts is how little
# work that is.
# -no-fragments: which files share one is a matter of timing, in spite of -reproducible.
SQUASHFS_OPTIONS = (
    "-tar", "-reproducible", "-no-fragments", "-noappend", "-no-progress", "-quiet",
    "-noI", "-noId", "-noD", "-noF", "-noX",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What nix/stages/image.nix gives."""

    layer: Path
    skeleton: str  # of the layer below, "" for none
    epoch: int
    mksquashfs: str


class Squashing(Protocol):
    """What `make_squashfs` takes of a job."""

    @property
    def mksquashfs(self) -> str:
        """Return the program."""

    @property
    def epoch(self) -> int:
        """Return every time in it, in seconds since 1970."""


def main(specification: str, out: str) -> None:
    """Convert the layer that the JSON file SPECIFICATION names into directory OUT."""
    guarded(lambda: _build(read_job(Job, specification), Path(out), Path("scratch").resolve()))


def _build(job: Job, out: Path, scratch: Path) -> None:
    tree = _read_skeleton(Path(job.skeleton)) if job.skeleton else Tree()
    nodes = overlay_nodes(tree, job.layer)
    out.mkdir(parents=True, exist_ok=True)
    (out / SKELETON).write_text(json.dumps(_skeleton(tree), separators=(",", ":")))
    make_squashfs(out / SQUASHFS, nodes, job, scratch)


def overlay_nodes(tree: Tree, layer: Path) -> list[tuple[str, Node]]:
    """Lay LAYER, a tar file, over TREE; return what overlayfs needs of it, in order.

    Raises Failure for an archive that is not a good one.
    """
    hidden: dict[str, Node] = {}
    opaque: set[str] = set()
    added = list(entries(layer))
    for name, _ in added:
        base, above = name.rpartition("/")[2], parent(name)
        if base == OPAQUE:
            where = tree.resolve(above)
            opaque.add(where)
            for below in tree.below(where):
                tree.nodes.pop(below, None)
        elif base.startswith(WHITEOUT):
            gone = base.removeprefix(WHITEOUT)
            where = tree.locate(f"{above}/{gone}" if above else gone)
            tree.remove(where)
            hidden[where] = Node("char", 0)
    written = {
        place(tree, name, node, layer.name)
        for name, node in added
        if not name.rpartition("/")[2].startswith(WHITEOUT)
    }
    found = {path: tree.nodes[path] for path in written if path in tree}
    # What is hidden below something that is not a directory in the end is gone with it: there
    # is no place for a whiteout, and a link in that place would lead it elsewhere.
    found |= {
        path: node
        for path, node in hidden.items()
        if path not in found and _is_directory(tree, parent(path))
    }
    found |= {path: _opaque(tree.nodes[path]) for path in opaque if _is_directory(tree, path)}
    for path in list(found):
        above = path
        while above:
            above = parent(above)
            found.setdefault(above, tree.get(above) or directory())
    return sorted(found.items(), key=lambda item: item[0].split("/"))


def _is_directory(tree: Tree, path: str) -> bool:
    node = tree.get(path)
    return node is not None and node.kind == "dir"


def make_squashfs(path: Path, nodes: list[tuple[str, Node]], job: Squashing, scratch: Path) -> None:
    """Write NODES to a squashfs at PATH as JOB says, of a size that can be mapped."""
    scratch.mkdir(parents=True, exist_ok=True)
    archive = scratch / "nodes.tar"
    root = dict(nodes).get("", directory())
    write(archive, [(name, node) for name, node in nodes if name], job.epoch)
    # Of a tar, mksquashfs takes everything but the root's owner and mode.
    owner = ("-root-mode", f"{root.mode:o}", "-root-uid", str(root.uid), "-root-gid", str(root.gid))
    argv = [job.mksquashfs, "-", str(path), *SQUASHFS_OPTIONS, *owner]
    with archive.open("rb") as source:
        subprocess.run(argv, stdin=source, check=True, env={})
    archive.unlink()
    pad(path)


def _opaque(node: Node) -> Node:
    xattrs = {**node.xattrs, OVERLAY_OPAQUE: "y"}
    return Node("dir", node.mode, node.uid, node.gid, xattrs=xattrs)


def _skeleton(tree: Tree) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for path, node in tree.nodes.items():
        if node.kind == "dir":
            rows.append([path, "dir", node.mode, node.uid, node.gid, node.xattrs])
        elif node.kind == "link":
            rows.append([path, "link", node.target])
    return sorted(rows, key=lambda row: str(row[0]).split("/"))


def _read_skeleton(path: Path) -> Tree:
    tree = Tree()
    for name, kind, *rest in json.loads(path.read_bytes()):
        if kind == "dir":
            mode, uid, gid, xattrs = rest
            tree.nodes[name] = Node("dir", mode, uid, gid, xattrs=xattrs)
        else:
            tree.nodes[name] = Node("link", 0o777, target=rest[0])
    return tree
