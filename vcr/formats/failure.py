"""Errors of builders, told so that vcr can show them as its own.

A builder that fails for a reason the user can do something about prints one line,
`vcr-error: {"what": ..., "why": ..., "fix": ..., "origin": ..., "code": ...}`, and
exits 1. The code is "" or the name of one of vcr's exit codes.
"""

import json
import sys
from collections.abc import Callable

MARK = "vcr-error: "


class Failure(Exception):  # noqa: N818 -- it is not a programming error
    """What is wrong, why, how to fix it, and which line of the Dockerfile is about it."""

    def __init__(
        self, what: str, *, why: str = "", fix: str = "", origin: str = "", code: str = ""
    ) -> None:
        """Keep the words."""
        super().__init__(what)
        self.report = {"what": what, "why": why, "fix": fix, "origin": origin, "code": code}


def guarded(work: Callable[[], None], origin: str = "") -> None:
    """Do WORK; report a Failure on stderr and exit 1."""
    try:
        work()
    except Failure as failure:
        report = {**failure.report, "origin": failure.report["origin"] or origin}
        sys.stderr.write(MARK + json.dumps(report, sort_keys=True) + "\n")
        raise SystemExit(1) from None
