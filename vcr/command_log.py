"""What --debug shows of every command that vcr runs: argv to copy, directory, time, exit code.

vcr.process notes each command here. While nobody asks (`shown_to`) nothing is done. No
secret is shown: what `hiding` hides, what a URL has before its @ or in a query that says
so, and what follows an option, a variable or a header whose name says that it is one.
"""

import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from vcr.escape import visible

LONG_SECONDS = 5.0  # a command that takes longer is shown while it runs, too
HIDDEN = "***"
# A name that says so is looked through once: a stranger's may be long, and say so all along.
_SAYS_SO = (
    r"(?<![\w.-])(?=[\w.-]*?(?:password|passwd|passphrase|secret|token|credential|creds"
    r"|api[_-]?key|access[_-]?key|signature|authorization))[\w.-]++"
)
# A name that ends so says where a secret is, and not what it is.
_PLACE = re.compile(r"(?:file|path|dir|fd|name|id|public)s?$", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_GIVEN = re.compile(rf"(?P<name>{_SAYS_SO})(?P<is> ?= ?|: ?)[^&\s][^&]*", re.IGNORECASE)
_OPTION = re.compile(rf"(?=--?){_SAYS_SO}", re.IGNORECASE)


class Event(StrEnum):
    """What happened to a command."""

    STARTED = "started"  # it is left running
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True)
class Command:
    """One command, without secrets."""

    argv: tuple[str, ...]
    event: Event
    cwd: str = ""  # "" for the directory that vcr itself works in
    seconds: float = 0.0
    code: int | None = None  # the exit code, minus the signal's number; None: it has none

    @property
    def line(self) -> str:
        """Return a line that a shell takes: the command, and a comment of what came of it."""
        where = f", in {_quoted(self.cwd)}" if self.cwd else ""
        return f"{' '.join(map(_quoted, self.argv))}  # {self._outcome}{where}"

    @property
    def _outcome(self) -> str:
        if self.event is Event.STARTED:
            return "started"
        took = f"{self.seconds:.2f} s"
        if self.event is Event.RUNNING:
            return f"still running after {took}"
        return f"{took}, exit code {self.code}" if self.code is not None else f"{took}, no exit"


type Sink = Callable[[Command], None]
type Hide = Callable[[str], str]


@dataclass
class Note:
    """What is to be known of a command that runs."""

    code: int | None = None


@dataclass
class _Log:
    """Who is shown commands, and what hides secrets; of the whole process, as --debug is."""

    sink: Sink | None = None
    hide: list[Hide] = field(default_factory=list)


_log = _Log()


@contextmanager
def shown_to(sink: Sink) -> Iterator[None]:
    """Give SINK each command that ends, is left running or takes long, while the block runs."""
    before, _log.sink = _log.sink, sink
    try:
        yield
    finally:
        _log.sink = before


@contextmanager
def hiding(hide: Hide) -> Iterator[None]:
    """Show of a command what HIDE leaves of each word, while the block runs."""
    _log.hide.append(hide)
    try:
        yield
    finally:
        _log.hide.remove(hide)


@contextmanager
def noted(argv: Sequence[str], cwd: Path | None = None) -> Iterator[Note]:
    """Show the command ARGV, which the block runs in CWD; the block notes its exit code."""
    note, sink = Note(), _log.sink
    if sink is None:
        yield note
        return
    begun = time.monotonic()
    command = _command(argv, cwd, Event.DONE)

    def still() -> None:
        sink(replace(command, event=Event.RUNNING, seconds=time.monotonic() - begun))

    timer = threading.Timer(LONG_SECONDS, still)
    timer.daemon = True
    timer.start()
    try:
        yield note
    finally:
        timer.cancel()
        sink(replace(command, seconds=time.monotonic() - begun, code=note.code))


def note_started(argv: Sequence[str], cwd: Path | None = None) -> None:
    """Show the command ARGV, which was started in CWD and is left running."""
    if _log.sink is not None:
        _log.sink(_command(argv, cwd, Event.STARTED))


def without_secrets(argv: Sequence[str]) -> tuple[str, ...]:
    """Return ARGV with HIDDEN in the place of each secret."""
    shown = []
    is_next = False  # of an option that has its value in a word of its own
    for word in argv:
        shown.append(HIDDEN if is_next and not word.startswith("-") else _hidden(word))
        is_next = bool(_OPTION.fullmatch(word)) and not _PLACE.search(word)
    return tuple(shown)


def _command(argv: Sequence[str], cwd: Path | None, event: Event) -> Command:
    return Command(without_secrets(argv), event, "" if cwd is None else str(cwd))


def _hidden(word: str) -> str:
    for hide in _log.hide:
        word = hide(word)
    word = _USER.sub(HIDDEN, word)
    return _GIVEN.sub(
        lambda found: found[0] if _PLACE.search(found["name"]) else
        f"{found['name']}{found['is']}{HIDDEN}",
        word,
    )  # fmt: skip


def _quoted(word: str) -> str:
    """Return WORD as a shell takes it, with all that is not seen written out: $'...' of bash."""
    shown = visible(word)
    if shown == word:
        return shlex.quote(word)
    escaped = visible(word.replace("\\", "\\\\").replace("'", "\\'"))
    return f"$'{escaped}'"
