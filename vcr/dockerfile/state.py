"""What a stage of the Dockerfile is at one instruction: variables and image config."""

import posixpath
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from vcr.dockerfile.syntax import Instruction, Stage
from vcr.dockerfile.text import Position, mistake
from vcr.dockerfile.words import Expander, WordError
from vcr.model.arch import Arch

# What Docker gives an image that has no PATH.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")
# Characters that all variables of a stage may have, together. Each RUN is given them, and
# what Linux passes to a program has an end, too: execve(2).
MAX_VARIABLES = 256 << 10
MAX_EXPANDED = 64 << 20  # characters that a Dockerfile may expand to


@dataclass
class Budget:
    """What all stages of a Dockerfile may still expand to, in characters."""

    left: int = MAX_EXPANDED

    def take(self, size: int, at: Position) -> None:
        """Take SIZE off; raises UsageError at AT when nothing is left."""
        self.left -= size
        if self.left < 0:
            raise mistake(at, f"all variables so far expand to more than {MAX_EXPANDED} characters")


@dataclass
class State:
    """One stage, as it is built up instruction by instruction."""

    stage: Stage
    arch: Arch
    escape: str
    budget: Budget
    config: dict[str, Any] = field(default_factory=dict)  # OCI image config, "config"
    layers: list[str] = field(default_factory=list)  # ids, bottom first
    author: str = ""  # OCI image config, "author"
    has_own_cmd: bool = False  # CMD was set in this stage
    _size: int = 0  # of the variables, in characters; those of the base do not count
    args: dict[str, str] = field(default_factory=dict)  # declared so far; see set_arg

    def continue_from(self, below: "State") -> None:
        """Begin as the stage BELOW ended: its image, and its ARGs, which are in force still."""
        self.arch = below.arch
        self.config, self.layers = deepcopy(below.config), list(below.layers)
        self.author, self.args = below.author, dict(below.args)
        self.variables = dict(below.variables)

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of the image."""
        return dict(entry.partition("=")[::2] for entry in self.config.get("Env") or ())

    @cached_property
    def variables(self) -> dict[str, str]:
        """Return what words are expanded with, and a RUN is given: what was set last.

        An ARG after an ENV of its name wins, as in BuildKit, but not in the image.
        """
        return {**self.args, **self.env}

    @cached_property
    def _places(self) -> dict[str, int]:
        """Return where in the config's Env each variable is."""
        entries = enumerate(self.config.get("Env") or ())
        return {entry.partition("=")[0]: place for place, entry in entries}

    def set_env(self, name: str, value: str, at: Position) -> None:
        """Set NAME in place, or append it: the order of Env is part of the image."""
        entries = self.section("Env", [])
        place = self._places.setdefault(name, len(entries))
        entries[place : place + 1] = [f"{name}={value}"]
        self._set(name, value, at)

    def set_arg(self, name: str, value: str, at: Position) -> None:
        """Declare the ARG NAME."""
        self.args[name] = value
        self._set(name, value, at)

    def _set(self, name: str, value: str, at: Position) -> None:
        self._size += len(name) + len(value) - len(self.variables.get(name, ""))
        self.variables[name] = value
        if self._size > MAX_VARIABLES:
            raise mistake(
                at,
                f"the variables have more than {MAX_VARIABLES} characters",
                why="a program with more cannot be started",
            )

    def section(self, key: str, empty: Any) -> Any:
        """Return what the config has under KEY, EMPTY if that is nothing or null."""
        if self.config.get(key) is None:
            self.config[key] = empty
        return self.config[key]

    @property
    def workdir(self) -> str:
        """Return the working directory, absolute."""
        return self.config.get("WorkingDir") or "/"

    @property
    def shell(self) -> tuple[str, ...]:
        """Return what the shell form is run with."""
        return tuple(self.config.get("Shell") or DEFAULT_SHELL)

    def expand(self, text: str, at: Position) -> str:
        """Expand TEXT with ARGs and ENV; raises UsageError at AT."""
        found = expand(text, self.variables, self.escape, at)
        self.budget.take(len(found), at)
        return found

    def expand_heredoc(self, text: str, at: Position) -> str:
        """Expand the here-document TEXT, its quotes kept; raises UsageError at AT."""
        try:
            found = Expander(self.variables, self.escape).unquoted(text)
        except WordError as error:
            raise self.stage.start.mistake(f"{at}: {error}") from None
        self.budget.take(len(found), at)
        return found

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
        raise mistake(where, str(error), fix=error.fix) from None
