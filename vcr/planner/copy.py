"""Plans COPY and ADD: sources, destination, ownership."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from vcr.dockerfile.context import Context
from vcr.dockerfile.inputs import URL_PREFIXES, checked_address
from vcr.dockerfile.state import State
from vcr.dockerfile.syntax import Instruction
from vcr.dockerfile.text import Position
from vcr.formats.match import has_wildcard
from vcr.model.file_name import last_part, store_name
from vcr.model.lockfile import Lock
from vcr.model.plan import Copy, Fetched, InlineSource, Source, StageSource, UrlSource

GIT_FORMS = ("git@", "git://", "ssh://")
CHECKSUM = "sha256:"
SHA256 = re.compile(r"[0-9a-f]{64}")


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
        return Copy(
            sources=tuple(sources),
            dest=dest,
            lower=() if instruction.switch("link") else tuple(state.layers),
            chown=state.expand(instruction.flag("chown") or "", instruction.at),
            chmod=state.expand(instruction.flag("chmod") or "", instruction.at),
            exclude=tuple(
                state.expand(pattern, instruction.at)
                for pattern in instruction.flags.get("exclude", ())
            ),
            parents=instruction.switch("parents"),
            link=instruction.switch("link"),
            extract=instruction.keyword == "ADD",
            origin=instruction.at.origin,
        )

    def _check(self, instruction: Instruction, sources: list[Source], dest: str) -> None:
        """Raise UsageError when SOURCES cannot all be in DEST."""
        if len(sources) > 1 and not dest.endswith("/"):
            raise instruction.mistake(
                f"{instruction.keyword} has several sources, so {dest} must be a directory",
                fix=f"write {dest}/",
            )
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
        if instruction.keyword == "ADD" and text.startswith(URL_PREFIXES):
            if text.endswith(".git") or "#" in text:
                raise self._no_git(instruction, text)
            return [self._url_source(instruction, checked_address(at, text))]
        if instruction.keyword == "ADD" and text.startswith(GIT_FORMS):
            raise self._no_git(instruction, text)
        return list(self.context.select(text, at))

    def _stage_source(
        self, state: State, instruction: Instruction, stage: str, text: str
    ) -> StageSource:
        if "$" in stage:
            raise instruction.mistake(
                f"--from={stage} has a variable",
                why="Docker does not expand --from",
                fix=f"write `FROM {stage} AS name` and --from=name",
            )
        pattern = "/" + text.lstrip("/") if has_wildcard(text) else stage_path(text)
        return StageSource(pattern, self.layers_of(stage, state, instruction))

    def _url_source(self, instruction: Instruction, url: str) -> UrlSource:
        name = last_part(url)
        checksum = instruction.flag("checksum")
        if checksum is not None:
            digits = checksum.removeprefix(CHECKSUM)
            if not checksum.startswith(CHECKSUM) or not SHA256.fullmatch(digits):
                raise instruction.mistake(
                    f"--checksum={checksum} is not a SHA-256 digest",
                    fix="write --checksum=sha256: and 64 hex digits",
                )
            # The Dockerfile closes it; the size is not known and not needed.
            return UrlSource(Fetched(url, digits, 0, store_name(name) or "download"), name)
        locked = self.lock.urls.get(url)
        if locked is None:
            raise instruction.mistake(
                f"{url} is not locked",
                why="a build uses only files with a known hash from the network",
                fix="run `vcr lock`, or write --checksum=sha256:...",
            )
        return UrlSource(locked.fetched(), name)

    def _no_git(self, instruction: Instruction, url: str) -> Exception:
        return instruction.mistake(
            f"ADD cannot take the git repository {url}",
            why="the address of a repository does not determine its bytes",
            fix="add a release archive with --checksum, or keep the source in the context",
        )


def stage_path(text: str) -> str:
    """Return the path TEXT in another stage: absolute, never above its root."""
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)
