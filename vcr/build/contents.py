"""What the files of the build context contain, by hash, so that Nix need not look at them.

A build with nothing to do reads no file of the context. CACHE/contexts has, for each context,
what every file was when it was last read: its content's hash, and what lstat(2) said of it.
While that stays the same, so does the content, by the rule that git has for its index: what
changed shortly before it was read is read again, since it may change again unseen.
https://git-scm.com/docs/racy-git
What is computed here only names a tree in the Nix store. Nix copies it and compares.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vcr.atomic import write_text
from vcr.errors import UsageError
from vcr.foreign import CHUNK, open_regular
from vcr.model.plan import Copy, Layer, Plan, Run
from vcr.model.source import ContextSource
from vcr.tools.nar import (
    DIRECTORY,
    EXECUTABLE,
    LINK,
    PLAIN,
    ChangedError,
    nar_sha256,
    with_parents,
)

SCHEMA = 1
# Seconds that a file has to be unchanged for when it is read, to be remembered. The coarsest
# times of a file system are FAT's, of two seconds; the rest is for clocks of servers.
SETTLED = 5.0
MAX_TREES = 100
ATTEMPTS = 3  # to read a file that does not change meanwhile


# A file or a link as it was read: its kind, the SHA-256 of its content or of where it leads,
# and the state that lstat(2) reported.
type Entry = list[Any]


@dataclass
class Contents:
    """The contents of the files below ROOT; FILE is where they are remembered."""

    root: Path
    file: Path
    read: list[str] = field(default_factory=list)  # the files that were read for their content
    _entries: dict[str, Entry] = field(default_factory=dict)
    _trees: dict[str, str] = field(default_factory=dict)  # digest of entries → NAR hash
    _used: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, Entry | None] = field(default_factory=dict)  # None: a directory
    _unsettled: set[str] = field(default_factory=set)  # files that may change again unseen
    _begun: float = field(default_factory=time.time)

    @classmethod
    def of(cls, root: Path, cache_dir: Path) -> "Contents":
        """Return what is known of the context ROOT."""
        name = hashlib.sha256(os.fsencode(root)).hexdigest()[:32]
        contents = cls(root, cache_dir / "contexts" / f"{name}.json")
        contents._load()
        return contents

    def nar(self, files: Iterable[str]) -> str:
        """Return the NAR hash of FILES, with all directories above them; raises UsageError."""
        names = sorted(files)
        try:
            key, found = self._tree(names)
        except (OSError, ChangedError) as error:
            raise changed(self.root, error) from None
        self._used[key] = found
        return found

    def _tree(self, names: list[str]) -> tuple[str, str]:
        """Return the key of the tree of NAMES, and its NAR hash; raises OSError, ChangedError.

        What is hashed for it has to be what was seen before: a change in between, or one that was
        missed, would be remembered as the hash of another tree.
        """
        for attempt in range(ATTEMPTS):
            try:
                entries = {name: self._look(name) for name in names}
                told = [(name, entry and entry[:2]) for name, entry in entries.items()]
                key = hashlib.sha256(json.dumps(told).encode()).hexdigest()
                return key, self._trees.get(key) or nar_sha256(
                    self.root, names, lambda *seen, at=entries: _compare(at, *seen)
                )
            except ChangedError:
                if attempt + 1 == ATTEMPTS:
                    raise
                for name in names:
                    self._entries.pop(name, None)
                    self._seen.pop(name, None)
        raise AssertionError

    def save(self) -> None:
        """Remember what was read, if anything was; raises HostError."""
        if not self.read and self._used.items() <= self._trees.items():
            return
        entries = {
            name: entry  # of this build, or of another target
            for name, entry in (self._entries | self._seen).items()
            if entry is not None
            and name not in self._unsettled
            and (name in self._seen or os.path.lexists(self.root / name))
        }
        trees = {k: v for k, v in self._trees.items() if k not in self._used} | self._used
        data = {
            "schema": SCHEMA,
            "files": entries,
            "trees": dict(list(trees.items())[-MAX_TREES:]),
        }
        write_text(self.file, json.dumps(data, separators=(",", ":")), mode=0o600)

    def forget(self) -> None:
        """Read every file again that is asked for."""
        self._entries, self._trees, self._used, self._seen = {}, {}, {}, {}

    def _load(self) -> None:
        try:
            data: dict[str, Any] = json.loads(self.file.read_bytes())
            if data["schema"] == SCHEMA:
                self._entries, self._trees = dict(data["files"]), dict(data["trees"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            self._entries, self._trees = {}, {}  # then everything is read

    def _look(self, name: str) -> Entry | None:
        """Return what NAME is, None if a directory; read it only if it may have changed."""
        if name in self._seen:
            return self._seen[name]
        path = f"{self.root}/{name}"  # a Path for each of many files takes three times as long
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            self._seen[name] = None
            return None
        known = self._entries.get(name)
        if known is None or known[2:] != _state(status):
            known = self._read(name, Path(path))
        self._seen[name] = known
        return known

    def _read(self, name: str, path: Path) -> Entry:
        self.read.append(name)
        for _ in range(ATTEMPTS):
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                kind = LINK
                sha256 = hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
            else:
                kind = EXECUTABLE if status.st_mode & stat.S_IXUSR else PLAIN
                sha256 = _sha256_of(path)
            if _state(path.lstat()) == _state(status):
                if max(status.st_mtime, status.st_ctime) > self._begun - SETTLED:
                    self._unsettled.add(name)
                return [kind, sha256, *_state(status)]
        raise ChangedError(name)


def _compare(entries: Mapping[str, Entry | None], name: str, kind: str, sha256: str) -> None:
    """Raise ChangedError if the file NAME, of such a KIND and hash, is not that of ENTRIES."""
    if name not in entries:  # a directory above
        return
    entry = entries[name]
    if (entry[:2] if entry else [DIRECTORY, ""]) != [kind, sha256]:
        raise ChangedError(name)


def with_contents(plan: Plan, contents: Contents) -> Plan:
    """Return PLAN with the hash of every tree that it takes from the context.

    Raises UsageError when files change meanwhile, or cannot be read.
    """
    layers = {ident: _filled(layer, contents) for ident, layer in plan.layers.items()}
    contents.save()
    return replace(plan, layers=layers)


def changed(root: Path, error: object) -> UsageError:
    """Return the error of a context at ROOT of which ERROR says what is different by now."""
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        why, fix = f"{error.filename}: {error.strerror}", "make it readable"
    else:
        name = error.filename if isinstance(error, OSError) else error
        why, fix = f"{name} changed", "run it again when nothing writes there"
    return UsageError(f"the build context {root} cannot be read", why=why, fix=fix)


def _filled(layer: Layer, contents: Contents) -> Layer:
    match layer:
        case Copy():
            sources = (
                _hashed(each, contents) if isinstance(each, ContextSource) else each
                for each in layer.sources
            )
            return replace(layer, sources=tuple(sources))
        case Run():
            mounts = (
                replace(each, source=_hashed(each.source, contents))
                if isinstance(each.source, ContextSource)
                else each
                for each in layer.mounts
            )
            return replace(layer, mounts=tuple(mounts))
    return layer


def _hashed(source: ContextSource, contents: Contents) -> ContextSource:
    """Return SOURCE as Nix is given it: with the directories above its files, and their hash."""
    files = tuple(sorted(with_parents(source.files)))
    return replace(source, files=files, nar=contents.nar(files))


def _sha256_of(path: Path) -> str:
    """Return the SHA-256 of the regular file at PATH; raises OSError."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _state(status: os.stat_result) -> list[int]:
    """Return what is different after a file was written to, replaced or made executable."""
    return [
        status.st_ino,
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]
