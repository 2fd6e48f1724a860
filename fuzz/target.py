"""What is fuzzed: a reader, its valid inputs, and what it may say no with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from vcr.errors import ExitCode, VcrError
from vcr.formats.failure import Failure

MAX_INPUT = (64 << 10) - 1  # bytes; the promise is about what is shorter than 64 KiB

type Read = Callable[[bytes, Path], object]  # the input, and a directory of its own
type Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Target:
    """A reader. `read` gets an input and a directory that it may fill; it is emptied at times."""

    name: str
    read: Read
    seeds: Callable[[], Iterable[bytes]]  # valid inputs, made by the project's own writers
    form: str = "bytes"  # text, json, cbor, toml: how an input is changed
    may_raise: tuple[type[Exception], ...] = ()  # beside what every reader may
    modules: tuple[ModuleType, ...] = ()  # whose constants are words to try
    words: tuple[bytes, ...] = ()  # more of them
    mend: Change | None = None  # makes sums and lengths right again, so that more is reached
    make: Callable[[], bytes] | None = None  # a new input, by a grammar
    most: int = field(default=MAX_INPUT)  # bytes of an input


def is_allowed(target: Target, error: BaseException) -> bool:
    """Tell whether the reader of TARGET may say no with ERROR."""
    if isinstance(error, VcrError):
        return error.code != ExitCode.BUG
    return isinstance(error, (Failure, *target.may_raise)) and not isinstance(
        error, (RecursionError, MemoryError)
    )
