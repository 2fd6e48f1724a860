"""`explain`: where two builds differ, down to the file or the page, and why."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.app.context import Context
from vcr.atomic import scratch_directory
from vcr.errors import HostError, MismatchError, UsageError
from vcr.limits import Limits
from vcr.model.ladder import ENGINE_RUNGS
from vcr.verify.causes import UNKNOWN
from vcr.verify.explain import Difference
from vcr.verify.explain import explain as explain_rungs
from vcr.verify.ladders import Claim, Compared, compare, first_difference, read_claim
from vcr.verify.material import Material

DIFFOSCOPE_LINES = 60
SECONDS = 600.0
LIMITS = Limits(file_bytes=4 << 30, memory_bytes=8 << 30)


@dataclass(frozen=True)
class Explanation:
    """The first difference of two ladders, and its details."""

    rung: Compared | None  # the first one that differs; None: the ladders are the same
    differences: tuple[Difference, ...]
    engines: tuple[str, str]  # and their versions
    why: str  # the reason if nothing of the rung could be compared, else ""

    def check(self) -> None:
        """Raise MismatchError, with the likeliest cause, unless the ladders are the same."""
        if self.rung is None:
            return
        what = f"the rung {self.rung.name} differs"
        if self.engines[0] != self.engines[1] and self.rung.name in ENGINE_RUNGS:
            raise MismatchError(
                what,
                details=(("first", self.engines[0]), ("second", self.engines[1])),
                why="machines of different engines have nothing in common",
            )
        first, second = self.rung.expected, self.rung.got
        known = (each for each in self.differences if each.cause is not UNKNOWN)
        top = next(known, self.differences[0] if self.differences else None)
        raise MismatchError(
            what,
            details=(("first", first or "no such rung"), ("second", second or "no such rung")),
            why=f"{top.where}: {top.cause.why}" if top else self.why,
            fix=top.cause.fix if top else "",
        )


def explain(context: Context, first: Path, second: Path) -> Explanation:
    """Compare the ladders in the files FIRST and SECOND, and the files of their first difference.

    Files are looked for in the directory of their ladder, in the Nix store, and in what the context
    allows outside. Raises UsageError and MismatchError for what is not a ladder.
    """
    left, right = read_claim(first), read_claim(second)
    row = first_difference(compare(left.ladder, right.ladder))
    found: list[Difference] = []
    why = "the files could not be compared"
    if row is not None and row.expected and row.got:
        within = (Material.of(first, context.outside), Material.of(second, context.outside))
        rungs = [next(r for r in claim.ladder if r.name == row.name) for claim in (left, right)]
        try:
            found = explain_rungs(*rungs, within=within, ladder=left.ladder)
        except UsageError as error:  # the ladders differ all the same
            why = f"{error.what}; {error.why}"
    return Explanation(row, tuple(found), (_engine(left), _engine(right)), why)


def _engine(claim: Claim) -> str:
    return f"{claim.engine} {claim.engine_version}"


def diffoscope(left: bytes, right: bytes) -> str:
    """Return the first lines of diffoscope about two files; raises HostError, VcrError.

    It starts programs that read a file of that kind, such as R, whose files are programs.
    """
    if shutil.which("diffoscope") is None:
        raise HostError("diffoscope is not on this host", fix="leave --diffoscope out")
    with scratch_directory() as scratch:
        paths = [scratch / "first", scratch / "second"]
        for path, data in zip(paths, (left, right), strict=True):
            path.write_bytes(data)
        argv: list[process.Arg] = ["diffoscope", "--text", "-", *paths]
        report = process.run(LIMITS.on(argv), ok=(0, 1), timeout=SECONDS).text
    return "\n".join(report.splitlines()[:DIFFOSCOPE_LINES])
