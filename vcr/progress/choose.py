"""Which display shows progress."""

from collections.abc import Callable
from typing import IO

from vcr.progress.json_lines import JsonLines
from vcr.progress.live import Live
from vcr.progress.plain import Plain, Quiet
from vcr.progress.step import Display, Progress


def choose_display(
    mode: Progress, err: IO[str], *, ci: bool, verbose: bool, dim: Callable[[str], str] = str
) -> Display:
    """Pick the display for MODE; auto means live on a terminal that is not a CI log."""
    if mode is Progress.AUTO:
        mode = Progress.TTY if err.isatty() and not ci else Progress.PLAIN
    match mode:
        case Progress.TTY:
            return Live(err, verbose, dim)
        case Progress.JSON:
            return JsonLines(err)
        case Progress.QUIET:
            return Quiet(err)
        case _:
            return Plain(err, verbose=verbose)
