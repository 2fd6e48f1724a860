"""What can go wrong, said once: exit codes and the error every layer raises.

An error carries what is wrong, why, and how to fix it. It is raised low and
rendered once, by `vcr.cli`. This module imports nothing of vcr.
"""

import enum
from collections.abc import Sequence
from typing import Self


@enum.unique
class ExitCode(enum.IntEnum):
    """The process exit codes, and what each means: docs/reference/exit-codes.md."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """Make a member, a number that has a meaning."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    OK = 0, "ok"
    FAILED = 1, "a build or a tool failed"
    USAGE = 2, "usage or configuration is wrong"
    MISMATCH = 3, "verification found a difference"
    LOCK = 4, "`vcr.lock` is missing or stale"
    HOST = 5, "this host lacks something"
    UNHEALTHY = 6, "the app never became healthy"
    FETCH = 7, "a fetch failed; trying again may help"
    BUG = 70, "a bug in vcr"  # EX_SOFTWARE of BSD's sysexits
    INTERRUPTED = 130, "interrupted"  # 128 + SIGINT


class VcrError(Exception):
    """An error meant for the user: what is wrong, why, and how to fix it."""

    code = ExitCode.FAILED

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        details: Sequence[tuple[str, str]] = (),
        tail: Sequence[str] = (),
        code: ExitCode | None = None,
    ) -> None:
        """Details are (label, value) rows; tail is the last output of whatever failed."""
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.details = tuple(details)
        self.tail = tuple(tail)
        if code is not None:
            self.code = code


class UsageError(VcrError):
    """The command line, vcr.toml or the Dockerfile is wrong."""

    code = ExitCode.USAGE


class MismatchError(VcrError):
    """Verification found bytes that differ from what was promised."""

    code = ExitCode.MISMATCH


class LockError(VcrError):
    """vcr.lock is missing or stale."""

    code = ExitCode.LOCK


class HostError(VcrError):
    """The host lacks something vcr needs."""

    code = ExitCode.HOST


class UnhealthyError(VcrError):
    """The guest never became healthy."""

    code = ExitCode.UNHEALTHY


class FetchError(VcrError):
    """Bytes could not be fetched; trying again may help."""

    code = ExitCode.FETCH
