"""What a stage of the Dockerfile is at one instruction: variables and image config."""

import posixpath
from dataclasses import dataclass, field
from typing import Any

from vcr.dockerfile.syntax import Instruction, Stage
from vcr.dockerfile.text import Position, mistake
from vcr.dockerfile.words import Expander, WordError
from vcr.model.arch import Arch

# What Docker gives an image that has no PATH.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")


@dataclass
class State:
    """One stage, as it is built up instruction by instruction."""

    stage: Stage
    arch: Arch
    escape: str
    config: dict[str, Any] = field(default_factory=dict)  # OCI image config, "config"
    layers: list[str] = field(default_factory=list)  # ids, bottom first
    args: dict[str, str] = field(default_factory=dict)  # ARGs declared so far
    has_own_cmd: bool = False  # CMD was set in this stage

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of the image."""
        return dict(entry.partition("=")[::2] for entry in self.config.get("Env", ()))

    @property
    def workdir(self) -> str:
        """Return the working directory, absolute."""
        return self.config.get("WorkingDir") or "/"

    @property
    def shell(self) -> tuple[str, ...]:
        """Return what the shell form is run with."""
        return tuple(self.config.get("Shell") or DEFAULT_SHELL)

    def expand(self, text: str, at: Position) -> str:
        """Expand TEXT with ARGs and ENV, which wins; raises UsageError at AT."""
        return expand(text, {**self.args, **self.env}, self.escape, at)

    def absolute(self, path: str) -> str:
        """Return PATH, in the image, absolute and without `.` and `..`."""
        return "/" + posixpath.normpath(posixpath.join(self.workdir, path)).lstrip("/")

    def command(self, instruction: Instruction) -> list[str]:
        """Return the words of CMD, ENTRYPOINT or RUN: exec form, or shell form in the shell."""
        words = instruction.json
        return list(words) if words is not None else [*self.shell, instruction.rest]


def expand(text: str, variables: dict[str, str], escape: str, at: Position) -> str:
    """Expand TEXT; raises UsageError about AT."""
    try:
        return Expander(variables, escape).word(text)
    except WordError as error:
        where = Position(at.file, at.line, at.column + error.offset)
        raise mistake(where, str(error), fix="close it, or escape the character") from None
