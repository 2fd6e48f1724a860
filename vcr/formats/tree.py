"""A file system in memory: paths and nodes; file contents stay where they are.

Paths are relative, without `.`, `..` or empty parts; "" is the root. Everything
that follows symbolic links stays inside the tree, as in a chroot.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Literal

from vcr.formats.failure import Failure

CHUNK = 1 << 20
MAX_LINKS = 40  # as Linux: path_resolution(7)

type Kind = Literal["file", "dir", "link", "char", "block", "fifo"]


@dataclass(frozen=True)
class Content:
    """The bytes of a file: part of a file on disk, or in memory."""

    size: int
    path: Path | None = None
    offset: int = 0
    data: bytes = b""
    # Of a file that is not in one piece: where, how many bytes, and where in the file on disk;
    # the rest is zeros. None: all of it is there, from the offset on.
    pieces: tuple[tuple[int, int, int], ...] | None = None

    @classmethod
    def of_bytes(cls, data: bytes) -> "Content":
        """Hold DATA itself."""
        return cls(len(data), data=data)

    @classmethod
    def of_file(cls, path: Path) -> "Content":
        """Refer to the file at PATH."""
        return cls(path.stat().st_size, path)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes piece by piece."""
        if self.path is None:
            yield self.data
            return
        at = 0
        with self.path.open("rb") as file:
            for start, length, place in self._pieces:
                yield from _zeros(start - at)
                file.seek(place)
                yield from _some(file, length, self.path)
                at = start + length
        yield from _zeros(self.size - at)

    @property
    def _pieces(self) -> tuple[tuple[int, int, int], ...]:
        return ((0, self.size, self.offset),) if self.pieces is None else self.pieces

    def read(self) -> bytes:
        """Return all bytes."""
        return b"".join(self.chunks())


def _some(file: BinaryIO, left: int, path: Path) -> Iterator[bytes]:
    while left:
        piece = file.read(min(CHUNK, left))
        if not piece:
            raise Failure(f"{path.name} ends too early")
        left -= len(piece)
        yield piece


def _zeros(left: int) -> Iterator[bytes]:
    while left > 0:
        yield bytes(min(CHUNK, left))
        left -= CHUNK


@dataclass(frozen=True, eq=False)
class Node:
    """A file, directory, link or device; two paths with the same Node are hard links."""

    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    content: Content = Content(0)
    target: str = ""  # of a symbolic link
    device: tuple[int, int] = (0, 0)
    xattrs: dict[str, str] = field(default_factory=dict)

    def owned(self, uid: int, gid: int) -> "Node":
        """Return a copy with another owner."""
        return replace(self, uid=uid, gid=gid)


def directory(mode: int = 0o755, uid: int = 0, gid: int = 0) -> Node:
    """Return a new directory."""
    return Node("dir", mode, uid, gid)


def text_file(text: str, mode: int = 0o644) -> Node:
    """Return a new file with TEXT as UTF-8, owned by root."""
    return Node("file", mode, content=Content.of_bytes(text.encode()))


def clean(name: str) -> str:
    """Return NAME as a path of the tree; raises Failure if it leads out of it."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in name:
        raise Failure(
            f"the archive entry {name!r} leads out of the image",
            why="its name has a `..` or a NUL in it",
            fix="do not use this archive",
        )
    return "/".join(parts)


def parent(path: str) -> str:
    """Return the directory part of PATH, "" at the top."""
    return path.rpartition("/")[0]


class Tree:
    """Paths and nodes. Parents of every path are directories of the tree."""

    def __init__(self) -> None:
        """Start with an empty root directory."""
        self.nodes: dict[str, Node] = {"": directory()}

    def __contains__(self, path: str) -> bool:
        return path in self.nodes

    def get(self, path: str) -> Node | None:
        """Return the node at PATH itself, links not followed."""
        return self.nodes.get(path)

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Yield (path, node) without the root, parents first, sorted by path components."""
        for path in sorted(self.nodes, key=lambda path: path.split("/")):
            if path:
                yield path, self.nodes[path]

    def below(self, path: str) -> list[str]:
        """Return the paths under directory PATH, sorted like `walk`."""
        prefix = f"{path}/" if path else ""
        found = (name for name in self.nodes if name and name.startswith(prefix))
        return sorted(found, key=lambda name: name.split("/"))

    def resolve(self, path: str) -> str:
        """Follow every link in PATH, also the last; raises Failure on a loop."""
        done: list[str] = []
        todo = [part for part in reversed(path.split("/")) if part]
        links = 0
        while todo:
            part = todo.pop()
            if part in {".", ""}:
                continue
            if part == "..":
                del done[-1:]
                continue
            node = self.nodes.get("/".join([*done, part]))
            if node is None or node.kind != "link":
                done.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise Failure(f"/{path} is a loop of symbolic links")
            if node.target.startswith("/"):
                done.clear()
            todo += [piece for piece in reversed(node.target.split("/")) if piece]
        return "/".join(done)

    def locate(self, path: str) -> str:
        """Follow the links in the directory part of PATH only."""
        above = self.resolve(parent(path))
        name = path.rpartition("/")[2]
        return f"{above}/{name}" if above else name

    def put(self, path: str, node: Node, *, parents: Node | None = None) -> list[str]:
        """Put NODE at PATH, replacing what is there; return the paths that were written.

        Missing parents become directories like PARENTS (default: 0755, root).
        Raises Failure when a parent is not a directory.
        """
        made = self.make_parents(path, parents or directory())
        old = self.nodes.get(path)
        if old is not None and old.kind == "dir" and node.kind != "dir":
            self.remove(path)
        self.nodes[path] = node
        return [*made, path]

    def make_parents(self, path: str, like: Node) -> list[str]:
        """Make the missing parents of PATH; return their paths."""
        made: list[str] = []
        above = parent(path)
        while above not in self.nodes:
            made.append(above)
            above = parent(above)
        if self.nodes[above].kind != "dir":
            raise Failure(f"/{path} cannot be made", why=f"/{above} is not a directory")
        for name in reversed(made):
            self.nodes[name] = replace(like)
        return made[::-1]

    def part(self, path: str) -> "Tree":
        """Return what is below the directory PATH as a tree whose root it is."""
        part = Tree()
        part.nodes[""] = self.nodes[path]
        prefix = f"{path}/" if path else ""
        part.nodes |= {name.removeprefix(prefix): self.nodes[name] for name in self.below(path)}
        return part

    def replace_part(self, path: str, part: "Tree") -> None:
        """Let what is below the directory PATH be PART."""
        prefix = f"{path}/" if path else ""
        for name in self.below(path):
            del self.nodes[name]
        self.nodes |= {prefix + name: node for name, node in part.nodes.items() if name}

    def remove(self, path: str) -> None:
        """Remove PATH and all below it, if it is there."""
        node = self.nodes.get(path)
        if node is not None and node.kind == "dir":
            for name in self.below(path):
                del self.nodes[name]
        self.nodes.pop(path, None)


def tree_of_directory(root: Path) -> Tree:
    """Read a tree from disk as the Nix store keeps it: only the x bit of modes counts."""
    tree = Tree()
    pending = [(root, "")]
    while pending:
        where, at = pending.pop()
        for entry in sorted(where.iterdir()):
            path = f"{at}/{entry.name}" if at else entry.name
            tree.nodes[path] = _node_of(entry)
            if tree.nodes[path].kind == "dir":
                pending.append((entry, path))
    return tree


def node_of_file(path: Path) -> Node:
    """Return the node for the file at PATH, as `tree_of_directory` would."""
    return _node_of(path)


def _node_of(path: Path) -> Node:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return Node("link", 0o777, target=str(path.readlink()))
    if stat.S_ISDIR(status.st_mode):
        return directory()
    mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    return Node("file", mode, content=Content.of_file(path))
