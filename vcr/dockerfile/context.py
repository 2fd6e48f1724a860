"""The build context: which files a COPY or ADD takes from it.

Only what is named takes part, so that another file's change rebuilds nothing.
Nothing outside the context can be reached, neither by `..` nor through links.
"""

import os
import posixpath
import stat
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from pathlib import Path

from vcr.dockerfile.ignore import Ignore
from vcr.dockerfile.text import Position, mistake
from vcr.errors import UsageError
from vcr.formats.match import compile_pattern, fixed_part, has_wildcard, literal
from vcr.model.source import ContextSource

COMPARED, LONG_NAME = 5000, 200  # names, and characters of one
MAX_LINKS = 40  # that lead to one another, as path_resolution(7) has it
OUTSIDE = "only files of the build context can be copied"


@dataclass(frozen=True)
class Context:
    """The files below ROOT that IGNORE leaves.

    OWN are files of vcr, which take part only when they are named: each `vcr lock` changes
    the lock, and `COPY . .` would not be what it was.
    """

    root: Path
    ignore: Ignore
    own: frozenset[str] = frozenset()

    @cached_property
    def entries(self) -> dict[str, str]:
        """Return path → kind ("file", "dir", "link", "other") of everything, sorted."""
        return dict(sorted(self._walk().items()))

    @cached_property
    def _others(self) -> list[str]:
        return [entry for entry in self.entries if entry not in self.own]

    def select(
        self, pattern: str, at: Position, *, parents: bool = False
    ) -> tuple[ContextSource, ...]:
        """Return what PATTERN names, one source a match; raises UsageError.

        A pattern with a wildcard may match nothing: `COPY package.json yarn.lock* ./`. With
        PARENTS, `**` is any number of directories, and links are not followed.
        """
        path = self._inside(pattern, at)
        if not has_wildcard(path):
            return (self._kept(path, at) if parents else self._source(path, at),)
        above, rest = fixed_part(path)
        if above and not parents:
            real = self._source(above, at).path
            path = f"{literal(real)}/{rest}" if real != "." else rest
        try:
            regex = compile_pattern(path, double_star=parents)
        except ValueError as error:
            raise mistake(at, str(error)) from None
        source = self._kept if parents else self._source
        return tuple(source(name, at) for name in self._others if regex.match(name))

    def entry(self, path: str, at: Position) -> ContextSource:
        """Return what is at PATH, in which no character is a wildcard; raises UsageError."""
        return self._source(self._inside(path, at), at)

    def _inside(self, path: str, at: Position) -> str:
        """Return PATH without `.`, `..` and slashes that say nothing; raises UsageError."""
        parts: list[str] = []
        for part in path.split("/"):
            if part == ".." and not parts:
                raise mistake(
                    at,
                    f"{path} is outside the build context",
                    why=OUTSIDE,
                    fix="move it into the context, or widen context in vcr.toml",
                )
            if part == "..":
                parts.pop()
            elif part not in {"", "."}:
                parts.append(part)
        return "/".join(parts) or "."

    def _source(self, path: str, at: Position) -> ContextSource:
        real, links = self._resolve(path, at)
        name = posixpath.basename(path)
        if real == ".":
            everything = ContextSource(".", "", tuple(self._others), links=links)
            return self._checked(everything, at)
        for needed in (*links, real):
            if needed not in self.entries:
                raise self._missing(path, needed, at)
        return self._checked(ContextSource(real, name, self._with_content(real), links=links), at)

    def _kept(self, path: str, at: Position) -> ContextSource:
        """Return what is at PATH itself, a link as a link; raises UsageError."""
        if path == ".":
            return self._source(path, at)
        if path not in self.entries:
            raise self._missing(path, path, at)
        return self._checked(
            ContextSource(path, posixpath.basename(path), self._with_content(path)), at
        )

    def _with_content(self, path: str) -> tuple[str, ...]:
        if self.entries[path] != "dir":
            return (path,)
        return (path, *(entry for entry in self._others if entry.startswith(f"{path}/")))

    def _resolve(self, path: str, at: Position) -> tuple[str, tuple[str, ...]]:
        """Follow links in PATH and at its end; return where it leads, and the links.

        The context is the root of all of them, as a chroot is: an absolute link begins there,
        and nothing leads above it. Raises UsageError for links that lead to one another.
        """
        place: list[str] = []
        links: list[str] = []
        left = path.split("/")[::-1]
        while left:
            part = left.pop()
            if part == "..":
                del place[-1:]
            if part in {"", ".", ".."}:
                continue
            place.append(part)
            target = self._target("/".join(place))
            if target is None:
                continue
            links.append("/".join(place))
            if len(links) > MAX_LINKS:
                raise mistake(at, f"{path} leads through more than {MAX_LINKS} links")
            place = [] if target.startswith("/") else place[:-1]
            left += target.split("/")[::-1]
        return "/".join(place) or ".", tuple(links)

    def _target(self, path: str) -> str | None:
        """Return where the link PATH leads, None if it is not a link."""
        try:
            return os.fspath((self.root / path).readlink())
        except OSError:
            return None

    def _checked(self, source: ContextSource, at: Position) -> ContextSource:
        files = [file for file in source.files if self.entries[file] != "socket"]
        for file in files:
            if self.entries[file] == "other":
                raise mistake(
                    at,
                    f"{file} is a device or a pipe, which an image cannot hold",
                    fix="remove it or add it to .dockerignore",
                )
            try:
                file.encode()
            except UnicodeEncodeError:
                shown = file.encode(errors="backslashreplace").decode()
                raise mistake(
                    at,
                    f"the file name {shown} is not UTF-8",
                    fix="rename it or add it to .dockerignore",
                ) from None
        return replace(source, files=tuple(files))

    @property
    def _names(self) -> list[str]:
        """Return what a mistyped name is compared with, which takes long for many or long ones."""
        names = (name for name in self.entries if len(name) <= LONG_NAME)
        return list(islice(names, COMPARED))

    def _missing(self, path: str, real: str, at: Position) -> Exception:
        if os.path.lexists(self.root / real):
            return mistake(
                at,
                f"{real} is excluded from the build context",
                why="a pattern of .dockerignore matches it",
                fix=f"add `!{real}` to .dockerignore",
            )
        if path != real:
            return mistake(
                at,
                f"{path} is a link, and {real} is not in the build context",
                why="vcr follows a link only inside the context, whose root is /",
                fix="copy the file into the context instead of linking to it",
            )
        near = get_close_matches(path[:LONG_NAME], self._names, n=3, cutoff=0.6)
        return mistake(
            at,
            f"{path} is not in the build context",
            fix=f"did you mean {' or '.join(near)}?" if near else "check the path",
        )

    def _walk(self) -> dict[str, str]:
        """Read the whole context; raises UsageError for what cannot be read."""
        found: dict[str, str] = {}
        pending: list[tuple[str, frozenset[int]]] = [("", frozenset())]
        while pending:
            directory, above = pending.pop()
            for name, kind in self._list(directory):
                path = f"{directory}/{name}" if directory else name
                matched = self.ignore.matched(path, above)
                ignored = self.ignore.leaves_out(matched)
                if not ignored:
                    found[path] = kind
                    _add_parents(found, directory)
                if kind == "dir" and (not ignored or self.ignore.takes_back):
                    pending.append((path, matched))
        return found

    def _list(self, directory: str) -> list[tuple[str, str]]:
        try:
            with os.scandir(self.root / directory) as entries:
                return [(entry.name, _kind(entry)) for entry in entries]
        except OSError as error:
            raise UsageError(
                f"{directory or '.'}, in the build context, cannot be read",
                why=error.strerror or str(error),
                fix="make it readable, or exclude it in .dockerignore",
            ) from None


def _add_parents(found: dict[str, str], directory: str) -> None:
    """Add DIRECTORY to FOUND, and what it is in: a file that was taken back needs them."""
    while directory and directory not in found:
        found[directory] = "dir"
        directory = posixpath.dirname(directory)


def _kind(entry: "os.DirEntry[str]") -> str:
    if entry.is_symlink():
        return "link"
    mode = entry.stat(follow_symlinks=False).st_mode
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "other")
