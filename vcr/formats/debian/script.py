"""Follows a postinst script, as data: what it would have update-alternatives do.

`SCRIPT configure ""` is followed as far as its text and the files of the base decide. What other
programs decide, such as a condition or a word, is not known; what depends on it is doubtful.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from vcr.formats.debian import syntax
from vcr.formats.debian.budget import Budget
from vcr.formats.debian.condition import System, both, either, opposite
from vcr.formats.debian.expand import Expander
from vcr.formats.debian.parser import parse, script_text
from vcr.formats.debian.syntax import Command, Commands, UnreadableError, Word

MAX_CALLS = 20  # of functions in functions, and of files in files
# It starts the script again, under a program that asks questions: debconf-devel(7).
CONFMODULE = "/usr/share/debconf/confmodule"
PROGRAM = "update-alternatives"


class _Leave(Exception):  # noqa: N818 -- control flow
    """`exit`, `return`, `break` and `continue`, by their names."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass
class Script:
    """What is known while a script of a package is followed.

    CALL gets the arguments of each update-alternatives, and whether it is certain.
    """

    system: System
    variables: dict[str, str | None]
    call: Callable[[list[str | None], bool], None]
    missed: list[str] = field(default_factory=list)  # files with more, which cannot be read
    _arguments: list[str | None] = field(default_factory=lambda: ["configure", ""])
    _functions: dict[str, Commands] = field(default_factory=dict)
    _doubt: int = 0
    _budget: Budget = field(default_factory=Budget)
    _calls: int = 0
    _output: list[str | None] | None = None

    def follow(self, text: str) -> None:
        """Follow the script TEXT to its end; raises UnreadableError."""
        try:
            self._all(parse(text))
        except _Leave:
            return
        except RecursionError:
            raise UnreadableError("its commands are too deep in one another") from None

    # Commands

    def _all(self, commands: Commands) -> bool | None:
        status: bool | None = True
        for command in commands:
            status = self._one(command)
        return status

    def _one(self, command: Command) -> bool | None:  # noqa: PLR0911 -- one a kind
        self._budget.step()
        match command:
            case syntax.Simple():
                return self._simple(command)
            case syntax.Chain():
                return self._chain(command)
            case syntax.Not():
                return opposite(self._one(command.command))
            case syntax.Pipe():
                return self._pipe(command)
            case syntax.Group():
                return self._all(command.body)
            case syntax.Function():
                self._functions[command.name] = command.body
                return True
            case syntax.If():
                return self._if(command)
            case syntax.Case():
                return self._case(command)
            case syntax.For():
                return self._for(command)
            case syntax.Loop():
                return self._loop(command)

    def _pipe(self, pipe: syntax.Pipe) -> bool | None:
        """Follow commands in shells of their own: what they set and leave is theirs."""
        for command in pipe.commands:
            self._output_of((command,))
        self._write(None)
        return None

    def _chain(self, chain: syntax.Chain) -> bool | None:
        status: bool | None = None
        for operator, command in chain.links:
            if not operator:
                status = self._one(command)
                continue
            joined = both if operator == "&&" else either
            status = joined(status, self._later(status, command))
        return status

    def _later(self, before: bool | None, command: Command) -> Callable[[], bool | None]:  # noqa: FBT001
        """Return what carries COMMAND out: doubtful when what stands BEFORE is not known."""

        def status() -> bool | None:
            if before is not None:
                return self._one(command)
            with self._doubtful():
                return self._one(command)

        return status

    def _if(self, command: syntax.If) -> bool | None:
        known = True
        for condition, body in command.arms:
            status = self._within(condition, known=known)
            if status is True:
                return self._within(body, known=known)
            if status is None:
                known = False
                self._within(body, known=False)
        return self._within(command.other, known=known)

    def _within(self, body: Commands, *, known: bool) -> bool | None:
        if known:
            return self._all(body)
        with self._doubtful():
            self._all(body)
        return None

    def _case(self, command: syntax.Case) -> bool | None:
        value, known = self._expander.text(command.word), True
        for patterns, body in command.arms:
            shapes = [self._expander.pattern(pattern) for pattern in patterns]
            certain = value is not None and None not in shapes
            self._budget.spend(
                len(value or "") * sum(len(shape.pattern) for shape in shapes if shape)
            )
            if value is not None and any(shape and shape.match(value) for shape in shapes):
                return self._within(body, known=known)
            if not certain:
                known = False
                self._within(body, known=False)
        return True if known else None

    def _for(self, command: syntax.For) -> bool | None:
        words = command.words
        values = self._arguments if words is None else self._fields(words)
        for value in list(values):
            self._budget.step()
            self._set(command.name, value)
            try:
                self._within(command.body, known=value is not None)
            except _Leave as leave:
                if leave.kind == "break":
                    break
                if leave.kind != "continue":
                    raise
        return True

    def _loop(self, command: syntax.Loop) -> bool | None:
        """Follow a loop once, since how often it is carried out is not known."""
        with self._doubtful():
            self._all(command.condition)
            self._all(command.body)
        return None

    def _simple(self, command: syntax.Simple) -> bool | None:
        words = self._fields(command.words)
        if not words:
            for variable, word in command.assignments:
                self._set(variable, self._expander.text(word))
            return True
        name = words[0]
        if name == "eval" and PROGRAM in "".join(p.text for word in command.words for p in word):
            self.call([None], False)  # noqa: FBT003 -- it is not certain
        if name in self._functions:
            return self._call(self._functions[name], words[1:])
        if name is not None and name.rpartition("/")[2] != PROGRAM:
            return self._builtin(name, words)
        if name or "--install" in words:
            self.call(words[1:], bool(name) and not self._doubt)
        self._write(None)
        return True if name and "--install" in words else None

    def _builtin(self, name: str, words: list[str | None]) -> bool | None:
        match name:
            case "exit" | "return" | "break" | "continue":
                self._leave(name, words[1:])
            case "export" | "local" | "readonly" | "unset" | "read":
                self._declare(name, words[1:])
            case "shift":
                del self._arguments[:1]
            case "set" if "--" in words:
                self._arguments = words[words.index("--") + 1 :]
            case ".":
                self._source(words[1] if len(words) > 1 else None)
            case _:
                self._write(self.system.output(words))
                return self.system.status(words)
        return True

    def _leave(self, kind: str, words: list[str | None]) -> None:
        if not self._doubt:
            raise _Leave(kind)
        # Where it fails, there is no base at all; otherwise all that follows is doubtful.
        if kind != "exit" or words[:1] in ([], ["0"]):
            self._doubt += 1

    def _declare(self, name: str, words: list[str | None]) -> None:
        for word in words:
            if word is None:
                continue
            variable, equals, value = word.partition("=")
            if name == "read" or equals:
                self._set(variable, None if name == "read" else value)
            elif name == "unset" or (name == "local" and variable not in self.variables):
                self._set(variable, "")

    def _call(self, body: Commands, arguments: list[str | None]) -> bool | None:
        if self._calls == MAX_CALLS:
            raise UnreadableError(f"its functions call one another more than {MAX_CALLS} deep")
        before, self._arguments = self._arguments, list(arguments)
        self._calls += 1
        try:
            return self._all(body)
        except _Leave as leave:
            if leave.kind != "return":
                raise
            return None
        finally:
            self._arguments = before
            self._calls -= 1

    def _source(self, path: str | None) -> None:
        """Follow the file at PATH, if a package has it."""
        node = self.system.node(path.strip("/")) if path else None
        if path == CONFMODULE or node is None or self._calls == MAX_CALLS:
            return
        self._calls += 1
        text = script_text(node)
        try:
            self._all(parse(text))
        except UnreadableError:
            if PROGRAM in text:
                self.missed.append(str(path))
        finally:
            self._calls -= 1

    # Words

    @property
    def _expander(self) -> Expander:
        return Expander(
            self.variables, lambda: self._arguments, self._output_of, self._budget.spend
        )

    def _fields(self, words: tuple[Word, ...]) -> list[str | None]:
        return [field for word in words for field in self._expander.fields(word)]

    def _output_of(self, body: Commands) -> str | None:
        """Follow BODY in a shell of its own: what it sets is its own; return what it writes."""
        self._budget.spend(len(self.variables))
        variables, arguments = dict(self.variables), list(self._arguments)
        before, self._output = self._output, []
        try:
            self._all(body)
        except _Leave:
            pass  # of the subshell only
        finally:
            written, self._output = self._output, before
            self.variables.clear()
            self.variables.update(variables)
            self._arguments = arguments
        known = [text for text in written if text is not None]
        return "".join(known) if len(known) == len(written) else None

    def _write(self, text: str | None) -> None:
        if self._output is not None:
            self._output.append(None if self._doubt else text)

    def _set(self, name: str, value: str | None) -> None:
        self.variables[name] = None if self._doubt else value

    @contextmanager
    def _doubtful(self) -> Iterator[None]:
        self._doubt += 1
        try:
            yield
        finally:
            self._doubt -= 1
