"""Layers of an image as directories of this host, each unpacked once.

A directory is named by its chain: itself and all layers below it, as ChainID of the OCI
image specification 1.1. It has the form overlayfs takes, whiteouts included; where
overlayfs cannot be mounted, `merge` lays the same directories over one another. Images are
strangers': all is made through `Below`, and no device but a whiteout is.
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vcr.beneath import Below
from vcr.formats.oci import Layout, rows
from vcr.formats.tree import Node, Tree
from vcr.sandbox.lower import OVERLAY_OPAQUE, overlay_nodes

FORM = "2"  # of what is unpacked; what has another one is unpacked anew
FILES = "fs"
SKELETON = "skeleton.json"  # directories and links of the chain: what the next layer needs
WHITEOUT = stat.S_IFCHR  # with the device 0:0; anyone may make it since Linux 5.8
USER_OPAQUE = "user.overlay.opaque"  # overlayfs' mount option userxattr: trusted.* is root's


def unpack(layout: Layout, store: Path, *, own: bool) -> tuple[Path, ...]:
    """Unpack the image in LAYOUT below STORE; return its directories, bottom first.

    OWN: give files the owners of the image, which takes root. Raises Failure.
    """
    _, manifest = next(layout.manifests(), (None, {}))
    chain, below, found = FORM, "", []
    for descriptor in rows(manifest, "layers"):
        chain = hashlib.sha256(f"{chain} {descriptor.get('digest')}".encode()).hexdigest()[:32]
        target = store / chain
        if not target.is_dir():
            skeleton = store / below / SKELETON if below else None
            _unpack_layer(layout.checked(descriptor), skeleton, target, own=own)
        found.append(target / FILES)
        below = chain
    return tuple(found)


def directories(layers: Sequence[Path]) -> Tree:
    """Return directories and links, with their owners, of the image that `unpack` made LAYERS of.

    Raises OSError.
    """
    return _read_skeleton(layers[-1].parent / SKELETON) if layers else Tree()


def merge(layers: Iterable[Path], target: Path) -> None:
    """Copy LAYERS, bottom first, over one another into the directory TARGET."""
    target.mkdir(parents=True, exist_ok=True)
    with Below(target) as below:
        for layer in layers:
            _lay(layer, below)


def _lay(layer: Path, below: Below) -> None:
    """Copy LAYER over what is BELOW."""
    modes: list[tuple[list[str], int]] = []
    for source, names in _walk(layer):
        status = source.lstat()
        _copy(source, status, below, names)
        if stat.S_ISDIR(status.st_mode):
            modes.append((names, stat.S_IMODE(status.st_mode)))
    for names, mode in reversed(modes):  # last: a directory may refuse its own children
        below.set_mode(names, mode)


def _walk(layer: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield what is in the unpacked LAYER and its names below, a directory before its own."""
    for top, directories, files in os.walk(layer):
        above = list(Path(top).relative_to(layer).parts)
        for name in (*directories, *files):
            yield Path(top, name), [*above, name]


def _copy(source: Path, status: os.stat_result, below: Below, names: list[str]) -> None:
    """Lay SOURCE, of which is known STATUS, over what is at NAMES."""
    kind, was = stat.S_IFMT(status.st_mode), below.kind(names)
    stays = kind == was == stat.S_IFDIR and not _is_opaque(source)
    if not stays:
        below.remove(names)
    if kind == stat.S_IFDIR and not stays:
        below.make_directory(names)
    elif kind == stat.S_IFREG:
        with os.fdopen(below.create(names), "wb") as file, source.open("rb") as content:
            shutil.copyfileobj(content, file, 1 << 20)
            file.flush()
            os.utime(file.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
    elif kind == stat.S_IFLNK:
        below.link(names, str(source.readlink()))
    elif kind == stat.S_IFIFO:
        below.make_node(names, stat.S_IFIFO)
    elif kind != stat.S_IFDIR:  # a whiteout, or what no layer of ours has
        return
    if os.geteuid() == 0:
        below.give(names, status.st_uid, status.st_gid)
    below.set_mode(names, 0o700 if kind == stat.S_IFDIR else stat.S_IMODE(status.st_mode))
    for key in os.listxattr(source) if kind == stat.S_IFREG else ():
        with suppress(PermissionError):
            below.set_xattr(names, key, os.getxattr(source, key))


def remove_tree(root: Path) -> None:
    """Remove ROOT if it is there, also directories that refuse it; what cannot be stays."""
    with suppress(OSError):
        root.chmod(0o700)
        for directory, names, _ in root.walk():  # links are not among the names
            for name in names:
                (directory / name).chmod(0o700)
    shutil.rmtree(root, ignore_errors=True)


def _unpack_layer(layer: Path, skeleton: Path | None, target: Path, *, own: bool) -> None:
    """Unpack the file LAYER into TARGET, which appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    tree = _read_skeleton(skeleton) if skeleton else Tree()
    nodes = overlay_nodes(tree, layer)
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=".new-"))
    try:
        _write(scratch / FILES, nodes, own=own)
        (scratch / SKELETON).write_text(json.dumps(_skeleton(tree)))
        try:
            scratch.rename(target)
        except OSError:
            if not target.is_dir():  # no other vcr was as fast
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(root: Path, nodes: Sequence[tuple[str, Node]], *, own: bool) -> None:
    first: dict[int, list[str]] = {}
    root.mkdir(parents=True)
    with Below(root) as below:
        for path, node in nodes:
            names = path.split("/") if path else ["."]
            if id(node) in first and node.kind == "file":
                below.hard_link(names, first[id(node)])
                continue
            first[id(node)] = names
            _make(below, names, node)
            if own:
                below.give(names, node.uid, node.gid)
            below.set_mode(names, 0o700 if node.kind == "dir" else node.mode)
            for key, value in node.xattrs.items():
                _set_xattr(below, names, key, value)
        for path, node in reversed(nodes):  # last: a directory may refuse its own children
            if node.kind == "dir":
                below.set_mode(path.split("/") if path else ["."], node.mode)


def _make(below: Below, names: list[str], node: Node) -> None:
    match node.kind:
        case "dir" if names != ["."]:
            below.make_directory(names)
        case "link":
            below.link(names, node.target)
        case "file":
            with os.fdopen(below.create(names), "wb") as file:
                for chunk in node.content.chunks():
                    file.write(chunk)
        case "fifo":
            below.make_node(names, stat.S_IFIFO)
        case "char" | "block":
            # Devices of this host are not an image's to name: it hides what was there.
            below.make_node(names, WHITEOUT)


def _set_xattr(below: Below, names: list[str], key: str, value: str) -> None:
    key = USER_OPAQUE if key == OVERLAY_OPAQUE else key
    with suppress(PermissionError):  # of file capabilities, for who is not root
        below.set_xattr(names, key, value.encode("utf-8", "surrogateescape"))


def _is_opaque(directory: Path) -> bool:
    try:
        return os.getxattr(directory, USER_OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def _skeleton(tree: Tree) -> list[list[Any]]:
    return [
        [path, node.kind, node.mode, node.uid, node.gid, node.target]
        for path, node in tree.nodes.items()
        if node.kind in {"dir", "link"}
    ]


def _read_skeleton(path: Path) -> Tree:
    tree = Tree()
    for name, kind, mode, uid, gid, target in json.loads(path.read_bytes()):
        tree.nodes[name] = Node(kind, mode, uid, gid, target=target)
    return tree
