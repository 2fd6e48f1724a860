"""COPY and ADD: what a Dockerfile's copy makes of a tree, as BuildKit does it.

https://docs.docker.com/reference/dockerfile/#copy. Files of the build context
have mode 0644 or 0755, by their owner's x bit, and belong to root: what Git
keeps, and what does not depend on a umask.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from vcr.formats.copy_flags import Exclusions, changed_mode, check_digest, octal_mode
from vcr.formats.failure import Failure
from vcr.formats.match import compile_pattern, fixed_part, has_wildcard, literal
from vcr.formats.packed import Damaged, uncompressed
from vcr.formats.tar import entries, is_archive, place, refuse_device, refuse_whiteout
from vcr.formats.tree import (
    Content,
    Node,
    Tree,
    directory,
    node_of_file,
    text_file,
    tree_of_directory,
)
from vcr.formats.users import find_owner

URL_MODE = 0o600  # Docker's for a file from an address


@dataclass(frozen=True)
class ContextSource:
    """A file or directory of the build context."""

    path: str  # in the context, "." for all of it
    name: str  # what it is called inside a directory
    context: Path  # as imported
    kind: Literal["context"] = "context"
    kept: str = ""  # --parents: the path that is kept below the destination


@dataclass(frozen=True)
class StageSource:
    """What a pattern matches in another stage."""

    pattern: str
    layers: tuple[Path, ...]  # of that stage, bottom first
    kind: Literal["stage"] = "stage"
    pivot: int = 0  # --parents: how many parts of a matched path are not kept


@dataclass(frozen=True)
class InlineSource:
    """A here-document."""

    name: str
    content: str
    kind: Literal["inline"] = "inline"


@dataclass(frozen=True)
class UrlSource:
    """A file that was fetched."""

    name: str
    file: Path
    kind: Literal["url"] = "url"
    unpack: bool = False
    checksum: str = ""  # ALGORITHM:HEX that it has to have, "" for any


@dataclass(frozen=True)
class GitSource:
    """What a commit of a git repository has."""

    tree: Path
    kind: Literal["git"] = "git"


@dataclass(frozen=True)
class Spec:
    """A COPY or ADD, as vcr.model.plan.Copy says."""

    sources: tuple[ContextSource | StageSource | InlineSource | UrlSource | GitSource, ...]
    dest: str
    chown: str = ""
    chmod: str = ""
    exclude: tuple[str, ...] = ()
    parents: bool = False
    link: bool = False  # then nothing is below
    extract: bool = False
    op: Literal["copy"] = "copy"


@dataclass
class Copy:
    """One copy into TREE; `written` collects the paths that make the new layer."""

    tree: Tree
    spec: Spec
    scratch: Path
    written: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Look up the owner in the image, as it is below this layer."""
        # root is 0 in any image, also in one without users: BuildKit's client/llb/fileop.go.
        chown = ":".join("0" if n == "root" else n for n in self.spec.chown.split(":", 1))
        self.owner = find_owner(self.tree, chown) if chown else None
        self._excluded = Exclusions(self.spec.exclude)
        self._copied: dict[int, tuple[Node, Node]] = {}  # id of a source → source, its copy
        mode = octal_mode(self.spec.chmod)
        self._made = self._directory(0o755 if mode is None else mode)

    def from_context(self, source: ContextSource) -> None:
        """Copy a file or directory of the build context."""
        path = source.context if source.path == "." else source.context / source.path
        if path.is_dir() and not path.is_symlink():
            self._copy_directory(tree_of_directory(path), "", source.kept)
            return
        if self.spec.extract and self._extract(path):
            return
        self._copy_file(node_of_file(path), source.name, source.kept)

    def from_stage(self, source: StageSource, stage: Tree) -> None:
        """Copy what a pattern matches in STAGE, another one; owners and modes are kept."""
        for path in list(self._matches(stage, source.pattern, source.pivot)):
            # --parents does not follow a link, nothing else leaves one.
            place = path if self.spec.parents and path in stage else stage.resolve(path)
            node = stage.nodes[place]
            kept = "/".join(path.split("/")[source.pivot :])
            if self.spec.parents:
                self._copy_parents(stage, path, kept)
            if node.kind == "dir":
                self._copy_directory(stage, place, kept)
            else:
                self._copy_file(node, posixpath.basename(path), kept)

    def _copy_parents(self, stage: Tree, path: str, kept: str) -> None:
        """Make the directories that are above KEPT, a part of PATH, as they are in STAGE."""
        parts = kept.split("/")
        before = path.removesuffix(kept)
        for count in range(1, len(parts)):
            above = "/".join(parts[:count])
            target = _below(self.spec.dest.strip("/"), above)
            if self.tree.resolve(target) not in self.tree:
                self._put(target, stage.nodes[stage.resolve(before + above)])

    def from_text(self, source: InlineSource) -> None:
        """Write a here-document."""
        self._copy_file(text_file(source.content), source.name)

    def from_url(self, source: UrlSource) -> None:
        """Copy a fetched file; it is unpacked only on request, as Docker has it."""
        if source.checksum:
            check_digest(source.file, source.checksum)
        if source.unpack and self._extract(source.file):
            return
        node = Node("file", URL_MODE, content=Content.of_file(source.file))
        self._copy_file(node, source.name)

    def from_repository(self, source: GitSource) -> None:
        """Copy what a repository has; only the x bit of modes is git's."""
        self._copy_directory(tree_of_directory(source.tree), "")

    def _matches(self, stage: Tree, pattern: str, pivot: int) -> Iterator[str]:
        name = pattern.strip("/")
        if not has_wildcard(name):
            if stage.resolve(name) not in stage:
                raise Failure(f"{pattern} is not in the stage it is copied from")
            yield name
            return
        before = "/".join(name.split("/")[:pivot])
        if before and not has_wildcard(before) and stage.resolve(before) not in stage:
            raise Failure(f"/{before} is not in the stage it is copied from")
        above, rest = fixed_part(name)
        if above and not self.spec.parents:
            real = stage.resolve(above)
            if real not in stage:
                raise Failure(f"/{above} is not in the stage it is copied from")
            name = f"{literal(real)}/{rest}" if real else rest
        regex = compile_pattern(name, double_star=self.spec.parents)
        yield from (path for path, _ in stage.walk() if regex.match(path))

    def _copy_file(self, node: Node, name: str, kept: str = "") -> None:
        """Write NODE, called NAME, at the destination; with --parents at KEPT below it."""
        if self._excluded.match(name):
            return
        dest = self.spec.dest.strip("/")
        if self.spec.parents:
            target = _below(dest, kept)
        elif self.spec.dest.endswith("/") or self._is_directory(dest):
            target = posixpath.join(dest, name)
        else:
            target = self.tree.resolve(dest)  # as BuildKit: a link there is written through
            self._check_new(target, node)
        self._put(target, node)

    def _check_new(self, target: str, node: Node) -> None:
        """Raise Failure when this copy wrote another file than NODE to TARGET.

        BuildKit keeps the last of them.
        """
        if target in self.written and self.tree.nodes[target].content != node.content:
            raise Failure(
                f"several files would be {self.spec.dest}",
                why="there is more than one, and this is not a directory",
                fix=f"write {self.spec.dest}/",
            )

    def _copy_directory(self, source: Tree, root: str, kept: str = "") -> None:
        """Copy the contents of ROOT in SOURCE; the destination becomes a directory."""
        dest = self.spec.dest.strip("/")
        if self.spec.parents:
            dest = _below(dest, kept)
        self.make_directory(dest)
        prefix = f"{root}/" if root else ""
        for path in source.below(root):
            relative = path[len(prefix) :]
            if not self._excluded.match(relative):
                self._put(posixpath.join(dest, relative), source.nodes[path])

    def _directory(self, mode: int) -> Node:
        return directory(mode, *(self.owner or (0, 0)))

    def make_directory(self, dest: str, mode: int | None = None) -> None:
        """Make DEST a directory of MODE, None for that of the copy, if there is none."""
        resolved = self.tree.resolve(dest)
        old = self.tree.get(resolved)
        if old is None:
            made = self._made if mode is None else self._directory(mode)
            self.written.update(self.tree.put(resolved, replace(made), parents=made))
        elif old.kind != "dir":
            raise Failure(f"/{dest} is not a directory, so no directory can be copied there")

    def _put(self, path: str, node: Node) -> None:
        """Write NODE at PATH, with the owner and mode asked for."""
        refuse_whiteout(path)
        where = self.tree.resolve(path) if node.kind == "dir" else self.tree.locate(path)
        old = self.tree.get(where)
        if old is not None and (old.kind == "dir") != (node.kind == "dir"):
            one, other = (
                ("a file", "a directory") if node.kind == "dir" else ("a directory", "a file")
            )
            raise Failure(f"/{where} is {one} and cannot be replaced by {other}")
        _, changed = self._copied.setdefault(id(node), (node, self._changed(node)))
        self.written.update(self.tree.put(where, changed, parents=self._made))

    def _changed(self, node: Node) -> Node:
        changed = node.owned(*self.owner) if self.owner else replace(node)
        if self.spec.chmod and node.kind != "link":
            changed = replace(changed, mode=changed_mode(node, self.spec.chmod))
        return changed

    def _extract(self, path: Path) -> bool:
        """Unpack PATH if it is a tar archive; return whether it was one.

        The destination is the root of all its links: none of them leads out of it.
        """
        plain = self._plain(path)
        if plain is None:
            return False
        dest = self.tree.resolve(self.spec.dest.strip("/"))
        self.make_directory(dest, 0o755)  # whatever --chmod says
        inside = self.tree.part(dest)
        written: list[str] = []
        for name, node in entries(plain):
            if not name or self._excluded.match(name):
                continue
            refuse_device(name, node, path.name)
            refuse_whiteout(name)
            written += inside.make_parents(inside.locate(name), directory())
            written.append(place(inside, name, self._mine(node), path.name))
        self.tree.replace_part(dest, inside)
        self.written.update(f"{dest}/{name}" if dest else name for name in written)
        return True

    def _plain(self, path: Path) -> Path | None:
        """Return PATH as an uncompressed archive, None when it is none: then it is a file."""
        if path.is_symlink() or not path.is_file():
            return None
        try:
            plain = uncompressed(path, self.scratch)
        except Damaged:
            return None
        return plain if is_archive(plain) else None

    def _mine(self, node: Node | str) -> Node | str:
        return node.owned(*self.owner) if self.owner and isinstance(node, Node) else node

    def _is_directory(self, path: str) -> bool:
        node = self.tree.get(self.tree.resolve(path))
        return node is not None and node.kind == "dir"


def _below(dest: str, kept: str) -> str:
    """Return the path KEPT in the directory DEST; either may be empty."""
    return "/".join(filter(None, (dest, kept)))
