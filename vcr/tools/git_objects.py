"""Objects of a git repository, each checked against its name before it is believed.

git itself does not compare what it reads with the hash that it is asked for. The formats are
those of git-cat-file(1) and of "Git Internals - Git Objects"; only bytes come from git.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from vcr.errors import MismatchError, UsageError

MIB = 1 << 20
MAX_OBJECT = 64 * MIB  # bytes of a commit or of one directory
MAX_READ = 512 * MIB  # bytes of what is read at once
MAX_ENTRIES = 500_000  # files and directories of a commit
MAX_DEPTH = 200  # directories in one another
TREE, LINK, SUBMODULE = "40000", "120000", "160000"
_TREE_OF = re.compile(rb"tree ([0-9a-f]{40}|[0-9a-f]{64})\n")
_ENTRY = re.compile(rb"([0-7]{5,6}) ([^/\0]+)\0", re.DOTALL)

# Words for git, and what it gets on its standard input; what it answers.
type Asker = Callable[[tuple[str, ...], bytes], bytes]


@dataclass(frozen=True)
class Entry:
    """What a commit has at a path."""

    mode: str  # in octal, as in a tree object
    ident: str  # in hex: of a blob, a tree, or of a submodule's commit

    @property
    def is_blob(self) -> bool:
        """Return whether it is a file or a link."""
        return self.mode not in {TREE, SUBMODULE}

    @property
    def is_executable(self) -> bool:
        """Return whether it is a file that its owner may execute."""
        return self.mode.startswith("100") and bool(int(self.mode, 8) & 0o100)


@dataclass(frozen=True)
class Objects:
    """Reads objects, which git gives, and whose names are made by ALGORITHM."""

    ask: Asker
    algorithm: str  # sha1 or sha256

    def listing(self, commit: str, enters: Callable[[str], bool]) -> dict[str, Entry]:
        """Return by path what COMMIT has at its top and in directories that ENTERS tells.

        Raises MismatchError for an object that does not match its name, UsageError for
        one that is missing and for a commit of more than is read.
        """
        found: dict[str, Entry] = {}
        level = {"": self.tree_of(commit)}
        for _ in range(MAX_DEPTH):
            below: dict[str, str] = {}
            for path, entry in self._inside(level):
                found[path] = entry
                if len(found) > MAX_ENTRIES:
                    raise _too_large(commit, f"it has more than {MAX_ENTRIES} files")
                if entry.mode == TREE and enters(path):
                    below[path] = entry.ident
            if not below:
                return found
            level = below
        raise _too_large(commit, f"its directories are more than {MAX_DEPTH} deep")

    def size_of(self, entries: Iterable[Entry]) -> int:
        """Return the bytes of ENTRIES, blobs, together; raises UsageError when one is missing."""
        idents = [entry.ident for entry in entries]
        sizes = dict(self._sizes(set(idents), "blob"))
        return sum(sizes[ident] for ident in idents)

    def name_of(self, kind: str, data: bytes) -> str:
        """Return the name of the object of KIND that holds DATA."""
        digest = self.hash_of(kind, len(data))
        digest.update(data)
        return digest.hexdigest()

    def hash_of(self, kind: str, size: int) -> "hashlib._Hash":
        """Return a hash that takes the content, of SIZE bytes, of an object of KIND."""
        return hashlib.new(self.algorithm, f"{kind} {size}\0".encode(), usedforsecurity=False)

    def tree_of(self, commit: str) -> str:
        """Return the name of what is at the top of COMMIT; raises as `listing` does."""
        match = _TREE_OF.match(self.read({commit}, "commit")[commit])
        if match is None:
            raise MismatchError(f"the commit {commit} has no tree")
        return match[1].decode()

    def _inside(self, level: Mapping[str, str]) -> Iterator[tuple[str, Entry]]:
        """Yield by path what is in the directories of LEVEL, by path, too, that are trees."""
        trees = self.read(set(level.values()), "tree")
        for directory, ident in level.items():
            for name, entry in self._entries(trees[ident], ident):
                yield f"{directory}/{name}" if directory else name, entry

    def _entries(self, tree: bytes, ident: str) -> Iterator[tuple[str, Entry]]:
        at, size = 0, hashlib.new(self.algorithm, usedforsecurity=False).digest_size
        while at < len(tree):
            match = _ENTRY.match(tree, at)
            if match is None or len(tree) < match.end() + size:
                raise MismatchError(f"the tree {ident} is damaged")
            at = match.end() + size
            name = match[2].decode("utf-8", "surrogateescape")
            yield name, Entry(match[1].decode().lstrip("0"), tree[match.end() : at].hex())

    def _sizes(self, idents: set[str], kind: str) -> Iterator[tuple[str, int]]:
        wanted = sorted(idents)
        asked = "".join(f"{ident}\n" for ident in wanted).encode()
        lines = self.ask(("cat-file", "--batch-check", "--buffer"), asked).decode().splitlines()
        for ident, line in zip(wanted, lines, strict=True):
            match line.split():
                case [name, found, size] if (name, found) == (ident, kind):
                    yield ident, int(size)
                case _:
                    raise UsageError(
                        f"the repository has no {kind} {ident}",
                        why=f"git says: {line}",
                        fix="fetch all of the commit: git fetch --refetch, or --unshallow",
                    )

    def read(self, idents: set[str], kind: str) -> dict[str, bytes]:
        """Return what is in the objects IDENTS, which must be of KIND; raises as `listing` does."""
        sizes = dict(self._sizes(idents, kind))
        if max(sizes.values(), default=0) > MAX_OBJECT or sum(sizes.values()) > MAX_READ:
            raise UsageError(f"the repository has a {kind} that is too large to be read")
        wanted = sorted(idents)
        asked = "".join(f"{ident}\n" for ident in wanted).encode()
        answer = self.ask(("cat-file", "--batch", "--buffer"), asked)
        found, at = {}, 0
        for ident in wanted:
            begin = answer.index(b"\n", at) + 1
            found[ident] = answer[begin : begin + sizes[ident]]
            at = begin + sizes[ident] + 1
            if self.name_of(kind, found[ident]) != ident:
                raise MismatchError(
                    f"the {kind} {ident} does not match its name",
                    why="the repository is damaged or forged: git fsck shows more",
                )
        return found


def _too_large(commit: str, why: str) -> UsageError:
    return UsageError(f"the commit {commit} is too large", why=why)
