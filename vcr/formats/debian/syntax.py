"""The commands of a shell script, as they are written.

https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html
"""

from dataclasses import dataclass


class UnreadableError(ValueError):
    """The script has what this does not read."""


@dataclass(frozen=True)
class Part:
    """Of a word: TEXT itself, or what a parameter or a command in it gives.

    Kind is "text", "parameter" (TEXT its name, with perhaps an operator and its word),
    "command", or "unknown".
    """

    kind: str
    text: str = ""
    quoted: bool = False
    operator: str = ""
    word: "Word" = ()
    body: "Commands" = ()


type Word = tuple[Part, ...]
type Commands = tuple["Command", ...]


@dataclass(frozen=True)
class Simple:
    """Assignments, and perhaps a command with its arguments."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Chain:
    """Commands joined by && and ||; the first one has no operator."""

    links: tuple[tuple[str, "Command"], ...]


@dataclass(frozen=True)
class Not:
    """`! command`."""

    command: "Command"


@dataclass(frozen=True)
class Pipe:
    """Commands joined by |, each in a shell of its own; one alone is `( … )`."""

    commands: Commands


@dataclass(frozen=True)
class If:
    """Conditions with what to do, and the else."""

    arms: tuple[tuple[Commands, Commands], ...]
    other: Commands


@dataclass(frozen=True)
class For:
    """A loop over words; over the arguments without any."""

    name: str
    words: tuple[Word, ...] | None
    body: Commands


@dataclass(frozen=True)
class Loop:
    """`while`, and `until`."""

    condition: Commands
    body: Commands


@dataclass(frozen=True)
class Case:
    """A word, and patterns with what to do."""

    word: Word
    arms: tuple[tuple[tuple[Word, ...], Commands], ...]


@dataclass(frozen=True)
class Function:
    """A definition."""

    name: str
    body: Commands


@dataclass(frozen=True)
class Group:
    """`{ … }`."""

    body: Commands


type Command = Simple | Chain | Not | Pipe | If | For | Loop | Case | Function | Group
