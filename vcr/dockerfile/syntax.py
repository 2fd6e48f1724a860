"""Instructions and stages: the syntax of a Dockerfile, checked, nothing expanded yet.

https://docs.docker.com/reference/dockerfile/
"""

import json
import re
from dataclasses import dataclass, field
from difflib import get_close_matches

from vcr.dockerfile.text import Heredoc, LogicalLine, Position, Reader, is_unfit, mistake
from vcr.dockerfile.words import flag_words, split_words
from vcr.errors import UsageError

# keyword → the flags it takes
FLAGS: dict[str, frozenset[str]] = {
    "ADD": frozenset({"chown", "chmod", "link", "checksum", "keep-git-dir", "exclude", "unpack"}),
    "ARG": frozenset(),
    "CMD": frozenset(),
    "COPY": frozenset({"from", "chown", "chmod", "link", "parents", "exclude"}),
    "ENTRYPOINT": frozenset(),
    "ENV": frozenset(),
    "EXPOSE": frozenset(),
    "FROM": frozenset({"platform"}),
    "HEALTHCHECK": frozenset({"interval", "timeout", "start-period", "start-interval", "retries"}),
    "LABEL": frozenset(),
    "MAINTAINER": frozenset(),
    "ONBUILD": frozenset(),
    "RUN": frozenset({"mount", "network", "security", "device"}),
    "SHELL": frozenset(),
    "STOPSIGNAL": frozenset(),
    "USER": frozenset(),
    "VOLUME": frozenset(),
    "WORKDIR": frozenset(),
}
# keyword → what it takes, for those that take something
FORMS = {
    "ADD": "SOURCE ... DESTINATION",
    "ARG": "NAME=DEFAULT",
    "COPY": "SOURCE ... DESTINATION",
    "ENV": "NAME=VALUE",
    "EXPOSE": "8000",
    "FROM": "IMAGE [AS NAME]",
    "HEALTHCHECK": "CMD COMMAND",
    "LABEL": "NAME=VALUE",
    "MAINTAINER": "NAME",
    "ONBUILD": "INSTRUCTION",
    "SHELL": '["/bin/bash", "-c"]',
    "STOPSIGNAL": "SIGTERM",
    "USER": "NAME",
    "VOLUME": "/PATH",
    "WORKDIR": "/PATH",
}
BARE = frozenset({"CMD", "ENTRYPOINT", "RUN"})  # without anything: the shell, with no command
SCRATCH = "scratch"
MAX_INSTRUCTIONS = 5000
REPEATABLE = frozenset({"exclude", "mount", "device"})
SWITCHES = frozenset({"link", "parents", "keep-git-dir", "unpack"})

_KEYWORD = re.compile(r"\S+")
_WORD = re.compile(r"\S+")
_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*")


@dataclass(frozen=True)
class Instruction:
    """One instruction: keyword, flags, and the rest of its text as written."""

    keyword: str
    line: LogicalLine
    flags: dict[str, tuple[str, ...]]
    rest: str
    offset: int  # of the rest in the line's text
    escape: str = "\\"

    @property
    def at(self) -> Position:
        """Return where the instruction starts."""
        return self.line.position(0)

    @property
    def heredocs(self) -> tuple[Heredoc, ...]:
        """Return its here-documents."""
        return self.line.heredocs

    @property
    def json(self) -> tuple[str, ...] | None:
        """Return the exec form's words, or None for the shell form; raises UsageError."""
        if not self.rest.startswith("["):
            return None
        try:
            words = json.loads(self.rest)
        except (ValueError, RecursionError):
            return None  # like Docker: what is not JSON is a shell command
        if not all(isinstance(word, str) for word in words):
            raise self.mistake(
                f"the list of {self.keyword} has something that is not a string",
                fix="write every word in double quotes",
            )
        if any(is_unfit(word) for word in words):
            raise self.mistake("a word cannot contain a NUL or half of a surrogate pair")
        return tuple(words)

    @property
    def trigger(self) -> str:
        """Return what an ONBUILD keeps: one instruction, with its here-documents."""
        bodies = (f"\n{doc.content}{doc.name}" for doc in self.heredocs)
        return "".join((self.rest, *bodies))

    def words(self) -> list[tuple[Position, str]]:
        """Return the words of the rest and where they are; quotes are kept."""
        return [
            (self.line.position(self.offset + start), word)
            for start, word in split_words(self.rest, self.escape)
        ]

    def operands(self) -> list[tuple[Position, str]]:
        """Return the words of the rest, of its exec form if it has one, and where they are.

        Outside of the exec form they end at any space: quotes do not join them.
        """
        exec_form = self.json
        if exec_form is not None:
            return [(self.at, word) for word in exec_form]
        if self.rest.startswith('["'):  # of words that begin so none could be a path
            raise mistake(
                self.line.position(self.offset),
                f"the list of {self.keyword} is not JSON",
                fix='write ["a", "b"]: double quotes, and no comma after the last word',
            )
        return [
            (self.line.position(self.offset + match.start()), match[0])
            for match in _WORD.finditer(self.rest)
        ]

    def flag(self, name: str) -> str | None:
        """Return the value of the flag NAME, or None."""
        values = self.flags.get(name)
        return values[-1] if values else None

    def switch(self, name: str) -> bool:
        """Return whether the boolean flag NAME is on; raises UsageError for another value."""
        value = self.flag(name)
        if value not in {None, "", "true", "false"}:
            raise mistake(self.at, f"--{name} is true or false, not {value!r}")
        return value in {"", "true"}

    def mistake(self, what: str, *, why: str = "", fix: str = "") -> UsageError:
        """Return an error about this instruction."""
        return mistake(self.at, what, why=why, fix=fix)


@dataclass(frozen=True)
class Stage:
    """FROM and what follows it."""

    index: int
    name: str  # "" without AS
    start: Instruction  # the FROM
    image: str  # as written
    platform: str  # as written, "" without --platform
    instructions: list[Instruction] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Return its name, or its number when it has none."""
        return self.name or str(self.index)


@dataclass(frozen=True)
class Dockerfile:
    """A whole Dockerfile."""

    file: str
    escape: str
    directives: dict[str, str]
    global_args: tuple[Instruction, ...]  # ARG before the first FROM
    stages: tuple[Stage, ...]


def parse(text: str, file: str = "Dockerfile") -> Dockerfile:
    """Parse the TEXT of a Dockerfile that messages call FILE; raises UsageError."""
    reader = Reader(text, file)
    global_args: list[Instruction] = []
    stages: list[Stage] = []
    for number, line in enumerate(reader.lines(), 1):
        if number > MAX_INSTRUCTIONS:
            raise mistake(line.position(), f"there are more than {MAX_INSTRUCTIONS} instructions")
        instruction = parse_instruction(line, reader.escape)
        if instruction.keyword == "FROM":
            stages.append(_stage(instruction, stages))
        elif stages:
            stages[-1].instructions.append(instruction)
        elif instruction.keyword == "ARG":
            global_args.append(instruction)
        else:
            raise instruction.mistake(
                f"{instruction.keyword} comes before the first FROM",
                why="only ARG may come there",
                fix="start the Dockerfile with FROM",
            )
    if not stages:
        raise mistake(Position(file, 1, 1), "there is no FROM", fix="start with FROM")
    return Dockerfile(file, reader.escape, reader.directives, tuple(global_args), tuple(stages))


def parse_trigger(text: str, file: str, escape: str) -> list[Instruction]:
    """Parse TEXT, an ONBUILD of an image that messages call FILE; raises UsageError."""
    found = [parse_instruction(line, escape) for line in Reader(text, file, escape).lines()]
    if not found:
        raise mistake(Position(file, 1, 1), "there is no instruction")
    return found


def parse_instruction(line: LogicalLine, escape: str) -> Instruction:
    """Parse one logical LINE; raises UsageError."""
    match = _KEYWORD.match(line.text)
    if match is None:  # of ONBUILD
        raise mistake(line.position(0), "there is no instruction")
    keyword = match[0].upper()
    if keyword not in FLAGS:
        near = get_close_matches(keyword, FLAGS, n=1, cutoff=0.6)
        raise mistake(
            line.position(0),
            f"unknown instruction {match[0]!r}",
            fix=f"did you mean {near[0]}?" if near else "see the Dockerfile reference",
        )
    flags, offset = _flags(line, keyword, match.end(), escape)
    rest = line.text[offset:]
    instruction = Instruction(keyword, line, flags, rest, offset, escape)
    if not rest and keyword not in BARE:
        fix = f"write {keyword} {FORMS[keyword]}"
        raise mistake(line.position(offset), f"{keyword} needs an argument", fix=fix)
    return instruction


def _flags(
    line: LogicalLine, keyword: str, at: int, escape: str
) -> tuple[dict[str, tuple[str, ...]], int]:
    """Read the --flags after a keyword; return them and where the rest starts."""
    found: dict[str, tuple[str, ...]] = {}
    end = at
    for start, word, behind in flag_words(line.text[at:], escape):
        end = at + behind
        if word == "--":  # ends the flags
            break
        name, equals, value = word[2:].partition("=")
        where = line.position(at + start)
        _check_flag(where, keyword, name, has_value=bool(equals))
        if name in found and name not in REPEATABLE:
            raise mistake(where, f"--{name} is given twice")
        found[name] = (*found.get(name, ()), value)
    return found, len(line.text) - len(line.text[end:].lstrip())


def _check_flag(at: Position, keyword: str, name: str, *, has_value: bool) -> None:
    known = FLAGS[keyword]
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        fix = f"did you mean --{near[0]}?" if near else _all_flags(known)
        raise mistake(at, f"{keyword} has no flag --{name}", fix=fix)
    if not has_value and name not in SWITCHES:
        raise mistake(at, f"--{name} needs a value", fix=f"write --{name}=...")


def _all_flags(names: frozenset[str]) -> str:
    if not names:
        return "it takes no flags"
    return "it takes " + ", ".join(f"--{name}" for name in sorted(names))


def _stage(start: Instruction, earlier: list[Stage]) -> Stage:
    words = start.words()
    texts = [word for _, word in words]
    if len(texts) == 1:
        name = ""
    elif len(texts) == 3 and texts[1].upper() == "AS":
        name = texts[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise mistake(
                words[2][0],
                f"{texts[2]!r} cannot be the name of a stage",
                why="a variable is not expanded there"
                if "$" in name
                else "names are letters, digits and -_. and start with a letter",
                fix="write FROM IMAGE AS NAME, such as build, in lower case",
            )
    else:
        raise start.mistake("FROM takes an image, and a name after AS", fix="FROM IMAGE [AS NAME]")
    return Stage(len(earlier), name, start, texts[0], start.flag("platform") or "")
