"""Layers of an image as directories of this host, each unpacked once.

A directory is named by its chain: itself and all layers below it, as ChainID of the OCI
image specification 1.1. It has the form overlayfs takes, whiteouts included; where
overlayfs cannot be mounted, `merge` lays the same directories over one another.
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vcr.sandbox.lower import OVERLAY_OPAQUE, overlay_nodes
from vcr.sandbox.oci import Layout
from vcr.sandbox.tree import Node, Tree

FILES = "fs"
SKELETON = "skeleton.json"  # directories and links of the chain: what the next layer needs
USER_OPAQUE = "user.overlay.opaque"  # overlayfs' mount option userxattr: trusted.* is root's


def unpack(layout: Layout, store: Path, *, own: bool) -> tuple[Path, ...]:
    """Unpack the image in LAYOUT below STORE; return its directories, bottom first.

    OWN: give files the owners of the image, which takes root. Raises Failure.
    """
    index = json.loads((layout.root / "index.json").read_bytes())
    manifest = json.loads(layout.checked(index["manifests"][0]).read_bytes())
    chain, below, found = "", "", []
    for descriptor in manifest["layers"]:
        chain = hashlib.sha256(f"{chain} {descriptor['digest']}".encode()).hexdigest()[:32]
        target = store / chain
        if not target.is_dir():
            skeleton = store / below / SKELETON if below else None
            _unpack_layer(layout.checked(descriptor), skeleton, target, own=own)
        found.append(target / FILES)
        below = chain
    return tuple(found)


def merge(layers: Iterable[Path], target: Path) -> None:
    """Copy LAYERS, bottom first, over one another into the directory TARGET."""
    target.mkdir(parents=True, exist_ok=True)
    for layer in layers:
        modes: dict[Path, int] = {}
        for top, directories, files in os.walk(layer):
            here = target / Path(top).relative_to(layer)
            for name in [*directories, *files]:
                _copy(Path(top, name), here / name, modes)
        for path, mode in reversed(modes.items()):
            path.chmod(mode)


def remove_tree(root: Path) -> None:
    """Remove ROOT if it is there, also directories that refuse it; what cannot be stays."""
    with suppress(OSError):
        root.chmod(0o700)
        for directory, names, _ in root.walk():  # links are not among the names
            for name in names:
                (directory / name).chmod(0o700)
    shutil.rmtree(root, ignore_errors=True)


def _copy(source: Path, target: Path, modes: dict[Path, int]) -> None:
    status = source.lstat()
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFDIR or _is_opaque(source) or not target.is_dir() or target.is_symlink():
        _remove(target)
    if kind == stat.S_IFDIR:
        target.mkdir(mode=0o700, exist_ok=True)
        modes[target] = stat.S_IMODE(status.st_mode)
    elif kind == stat.S_IFCHR and status.st_rdev == 0:
        return
    elif kind == stat.S_IFREG:
        shutil.copy2(source, target)
    elif kind == stat.S_IFLNK:
        target.symlink_to(source.readlink())
    else:
        os.mknod(target, status.st_mode, status.st_rdev)
    if os.geteuid() == 0:
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
        if kind != stat.S_IFLNK:
            target.chmod(0o700 if kind == stat.S_IFDIR else stat.S_IMODE(status.st_mode))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_opaque(directory: Path) -> bool:
    try:
        return os.getxattr(directory, USER_OPAQUE) == b"y"
    except OSError:
        return False


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
    first: dict[int, Path] = {}
    root.mkdir(parents=True)
    for name, node in nodes:
        path = root / name
        if id(node) in first and node.kind == "file":
            path.hardlink_to(first[id(node)])
            continue
        first[id(node)] = path
        _make(path, node)
        if own:
            os.chown(path, node.uid, node.gid, follow_symlinks=False)
        if node.kind not in {"link", "dir"}:
            path.chmod(node.mode)
        for key, value in node.xattrs.items():
            _set_xattr(path, key, value)
    for name, node in reversed(nodes):  # last: a directory may refuse its own children
        if node.kind == "dir":
            (root / name).chmod(node.mode)


def _make(path: Path, node: Node) -> None:
    match node.kind:
        case "dir":
            path.mkdir(mode=0o700, exist_ok=True)
        case "link":
            path.symlink_to(node.target)
        case "file":
            with path.open("wb") as file:
                for chunk in node.content.chunks():
                    file.write(chunk)
        case "fifo":
            os.mkfifo(path)
        case "char" | "block":
            kind = stat.S_IFCHR if node.kind == "char" else stat.S_IFBLK
            # Whiteouts, 0:0, anyone may make since Linux 5.8; devices only root.
            os.mknod(path, kind, os.makedev(*node.device))


def _set_xattr(path: Path, key: str, value: str) -> None:
    key = USER_OPAQUE if key == OVERLAY_OPAQUE else key
    with suppress(PermissionError):  # of file capabilities, for who is not root
        os.setxattr(path, key, value.encode("utf-8", "surrogateescape"), follow_symlinks=False)


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
