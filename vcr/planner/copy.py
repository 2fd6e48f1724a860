"""Plans COPY and ADD: sources, destination, ownership."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from vcr.dockerfile.context import Context
from vcr.dockerfile.git_address import GitAddress, is_git
from vcr.dockerfile.mounts import refuse_variable
from vcr.dockerfile.remote import RemoteFile, remote_of
from vcr.dockerfile.state import State
from vcr.dockerfile.syntax import Instruction
from vcr.dockerfile.text import Position, mistake
from vcr.formats.match import has_wildcard
from vcr.model.file_name import last_part, store_name
from vcr.model.lockfile import Lock
from vcr.model.plan import Copy
from vcr.model.source import Fetched, GitSource, InlineSource, Source, StageSource, UrlSource
from vcr.model.url import BEGINNINGS

_NUMBER = re.compile(r"[+-]?[0-9]+")  # as vcr.formats.users has it


@dataclass(frozen=True)
class Copier:
    """Plans the copies of one Dockerfile."""

    context: Context
    lock: Lock
    # the layers of what `--from` names, bottom first
    layers_of: Callable[[str, State, Instruction], tuple[str, ...]]

    def plan(self, state: State, instruction: Instruction) -> Copy:
        """Plan one COPY or ADD; raises UsageError."""
        words = self._words(instruction)
        sources_text, (dest_at, dest_text) = words[:-1], words[-1]
        dest = self._destination(state, state.expand(dest_text, dest_at))
        sources: list[Source] = []
        heredocs = {doc.token: doc for doc in instruction.heredocs}
        for at, word in sources_text:
            if word in heredocs:
                doc = heredocs[word]
                content = state.expand_heredoc(doc.content, at) if doc.expand else doc.content
                sources.append(InlineSource(doc.name, content))
            else:
                sources += self._source(state, instruction, at, state.expand(word, at))
        self._check(instruction, sources, dest)
        chown = state.expand(instruction.flag("chown") or "", instruction.at)
        if instruction.switch("link"):
            _check_numbers(instruction, chown)
        return Copy(
            sources=tuple(sources),
            dest=dest,
            lower=() if instruction.switch("link") else tuple(state.layers),
            chown=chown,
            chmod=state.expand(instruction.flag("chmod") or "", instruction.at),
            exclude=tuple(
                state.expand(pattern, instruction.at)
                for pattern in instruction.flags.get("exclude", ())
            ),
            parents=instruction.switch("parents"),
            link=instruction.switch("link"),
            extract=instruction.keyword == "ADD" and _unpacks(instruction, default=True),
            origin=instruction.at.origin,
        )

    def _check(self, instruction: Instruction, sources: list[Source], dest: str) -> None:
        """Raise UsageError when one of SOURCES has no name to be in DEST."""
        unnamed = [s for s in sources if isinstance(s, UrlSource) and not s.name]
        if unnamed and dest.endswith("/"):
            raise instruction.mistake(
                f"{unnamed[0].file.url} does not name a file",
                why=f"a file that is copied into the directory {dest} gets its name from the"
                " address",
                fix=f"write a name: {dest}NAME",
            )

    def _words(self, instruction: Instruction) -> list[tuple[Position, str]]:
        words = instruction.operands()
        if len(words) < 2:
            raise instruction.mistake(
                f"{instruction.keyword} needs a source and a destination",
                fix=f"{instruction.keyword} SOURCE ... DESTINATION",
            )
        return words

    def _destination(self, state: State, dest: str) -> str:
        """Make DEST absolute; a slash at its end (or `.`) says it is a directory."""
        is_directory = dest.endswith(("/", "/.")) or dest in {".", ""}
        absolute = state.absolute(dest)
        return f"{absolute.rstrip('/')}/" if is_directory else absolute

    def _source(
        self, state: State, instruction: Instruction, at: Position, text: str
    ) -> list[Source]:
        stage = instruction.flag("from")
        if stage is not None:
            return [self._stage_source(state, instruction, stage, text)]
        if instruction.keyword == "ADD":
            remote = remote_of(state, instruction, at, text)
            if isinstance(remote, GitAddress):
                return [self._git_source(instruction, remote)]
            if remote is not None:
                return [self._url_source(instruction, remote)]
        elif is_git(text) or text.startswith(BEGINNINGS):
            raise mistake(at, f"COPY cannot take {text}", fix="use ADD for what is elsewhere")
        if instruction.switch("parents"):
            return self._with_parents(text, at)
        return list(self.context.select(text, at))

    def _with_parents(self, text: str, at: Position) -> list[Source]:
        """Return what TEXT matches, and what of its path is kept: all, or what is behind `/./`."""
        pivot, before = _pivot(text), text.partition("/./")[0]
        if pivot and not has_wildcard(before):
            self.context.entry(before, at)  # has to be there, whatever is behind it
        found = self.context.select(text, at, parents=True)
        paths = (source.path.split("/") if source.path != "." else [] for source in found)
        return [replace(s, kept="/".join(p[pivot:])) for s, p in zip(found, paths, strict=True)]

    def _stage_source(
        self, state: State, instruction: Instruction, stage: str, text: str
    ) -> StageSource:
        refuse_variable(instruction, f"--from={stage}", stage)
        pivot = _pivot(text) if instruction.switch("parents") else 0
        return StageSource(stage_path(text), self.layers_of(stage, state, instruction), pivot=pivot)

    def _url_source(self, instruction: Instruction, remote: RemoteFile) -> UrlSource:
        name, unpack = last_part(remote.url), _unpacks(instruction, default=False)
        if remote.is_closed:
            # The Dockerfile closes it; the size is not known and not needed.
            digits = remote.checksum.partition(":")[2]
            fetched = Fetched(remote.url, digits, 0, store_name(name) or "download")
            return UrlSource(fetched, name, unpack=unpack)
        locked = self.lock.urls.get(remote.url)
        if locked is None:
            raise instruction.mistake(
                f"{remote.url} is not locked",
                why="a build uses only files with a known hash from the network",
                fix="run `vcr lock`, or write --checksum=sha256:...",
            )
        return UrlSource(locked.fetched(), name, unpack=unpack, checksum=remote.checksum)

    def _git_source(self, instruction: Instruction, address: GitAddress) -> GitSource:
        locked = self.lock.repositories.get(address.text)
        if locked is None:
            raise instruction.mistake(
                f"{address.text} is not locked",
                why="a build uses only commits with a known hash",
                fix="run `vcr lock`",
            )
        return locked.planned()


def _unpacks(instruction: Instruction, *, default: bool) -> bool:
    """Return whether ADD unpacks archives: as --unpack says, else by DEFAULT."""
    return default if instruction.flag("unpack") is None else instruction.switch("unpack")


def _check_numbers(instruction: Instruction, chown: str) -> None:
    """Raise UsageError for a name in CHOWN, which could only be looked up in the image."""
    names = [name for name in chown.split(":", 1) if name and name != "root"]
    if any(_NUMBER.fullmatch(name) is None for name in names):
        raise instruction.mistake(
            f"--link does not go with --chown={chown}",
            why="names are looked up in the layers below, at which --link does not look",
            fix="use numbers, or leave --link out",
        )


def _pivot(text: str) -> int:
    """Return how many parts of a path that TEXT matches are before its `/./`."""
    before, is_there, _ = text.partition("/./")
    return len([part for part in before.split("/") if part not in {"", "."}]) if is_there else 0


def stage_path(text: str) -> str:
    """Return the path TEXT in another stage: absolute, never above its root."""
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)
