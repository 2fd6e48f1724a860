"""Errors of builders, printed so that vcr can show them as its own.

A builder that fails for a reason the user can do something about prints one line,
`vcr-error: {"what": ..., "why": ..., "fix": ..., "code": ...}`, and exits 1. The code is ""
or the name of one of vcr's exit codes. What the user should know of a build that succeeds is a line
`vcr-note: TEXT`.
"""

import json
import sys
from collections.abc import Callable

MARK = "vcr-error: "
NOTE = "vcr-note: "


class Failure(Exception):  # noqa: N818 -- it is not a programming error
    """What is wrong, why, and how to fix it."""

    def __init__(self, what: str, *, why: str = "", fix: str = "", code: str = "") -> None:
        """Keep the words."""
        super().__init__(what)
        self.report = {"what": what, "why": why, "fix": fix, "code": code}


def guarded(work: Callable[[], None]) -> None:
    """Do WORK; report a Failure on stderr and exit 1."""
    try:
        work()
    except Failure as failure:
        sys.stderr.write(MARK + json.dumps(failure.report, sort_keys=True) + "\n")
        raise SystemExit(1) from None


def note(text: str) -> None:
    """Let vcr show TEXT as a warning, one line, when this is built."""
    sys.stderr.write(f"{NOTE}{' '.join(text.splitlines())}\n")
