"""`vcr prune`: remove what vcr keeps that nothing needs any more."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Command
from vcr.errors import UsageError
from vcr.ui import human_size

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.build.gc_roots import Rule
    from vcr.runtime.record import Records


@dataclass(frozen=True)
class Row:
    """One thing that is removed, or would be."""

    kind: str
    name: str
    size: int  # bytes that are freed

    @property
    def words(self) -> tuple[str, str, str]:
        """Return it as a row of a table."""
        return (self.kind, human_size(self.size) if self.size else "-", self.name)


@click.command(cls=Command)
@click.option("--keep", type=click.IntRange(0), default=1, metavar="N",
              help="Keep the N newest builds of each project and profile (1).")  # fmt: skip
@click.option("--older-than", "age", metavar="TIME",
              help="Only builds that were not used for TIME, such as 720h.")  # fmt: skip
@click.option("--local", is_flag=True,
              help="Also what is on this host beside the store: unpacked layers, machines that"
              " are down with their logs, what a killed vcr left behind.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.pass_obj
def prune(app: App, *, keep: int, age: str | None, local: bool, dry_run: bool) -> None:
    """Remove what vcr keeps that nothing needs any more.

    That is what was built before the newest build of each project, builds of projects
    whose directory is gone, and old toolchains. What a running machine or a running build
    uses stays in any case.
    """
    from vcr.build.gc_roots import Rule
    from vcr.runtime.record import Records

    records = Records(app.settings)
    running = [record for record in records.all() if record.is_running]
    busy = {name for record in running for name in (record.key, record.key.partition("~")[0])}
    rule = Rule(keep, _seconds(age), frozenset(busy))
    rows = _prune_builds(app, rule, [Path(record.vm) for record in running], dry_run=dry_run)
    if local:
        rows += _prune_local(records, dry_run=dry_run)
    _tell(app, rows, dry_run=dry_run)


def _prune_builds(app: App, rule: "Rule", in_use: list[Path], *, dry_run: bool) -> list[Row]:
    """Remove roots and what they alone have kept in the store."""
    from vcr.build.gc_roots import Roots, layers_beside, locked, olds_of
    from vcr.tools.nix import Nix
    from vcr.tools.nix_store import NixStore, is_build

    roots, store = Roots(app.settings), NixStore(Nix(app.settings))
    with locked(roots.projects()) as projects:
        olds = [*roots.toolchains(rule), *(old for p in projects for old in olds_of(p, rule))]
        left = roots.drvs(olds)
        needed = store.needed_by([*left, *in_use])
        gone = {old.directory for old in olds}
        olds += [old for p in projects if p not in gone for old in layers_beside(p, needed)]
        # What is kept by roots that only would go is not dead.
        kept = filter(is_build, store.needed_by(roots.drvs() - left)) if dry_run else ()
        for old in () if dry_run else olds:
            old.remove()
        paths = sorted({*store.dead_builds(), *kept} - needed)
        sizes = dict(zip(paths, store.sizes(paths), strict=True))
        paths = paths if dry_run else store.delete(paths)
    rows = [Row("roots", old.name, 0) for old in olds]
    return [*rows, *(Row("store", str(path), sizes[path]) for path in paths)]


def _prune_local(records: "Records", *, dry_run: bool) -> list[Row]:
    """Remove what is on this host beside the store."""
    from vcr.runtime.prune import exclusive, find_leftovers

    with exclusive(records):
        found = [(each, each.size) for each in find_leftovers(records)]
        for each, _ in () if dry_run else found:
            each.remove()
    return [Row(each.kind, str(each.path), size) for each, size in found
            if dry_run or not each.path.exists()]  # fmt: skip


def _tell(app: App, rows: list[Row], *, dry_run: bool) -> None:
    size = sum(row.size for row in rows)
    if app.ui.is_json:
        told = [asdict(row) for row in rows]
        app.ui.json("prune", {"removed": told, "freed": size, "dry_run": dry_run})
        return
    app.ui.table([row.words for row in rows])
    app.ui.note(f"{human_size(size)} {'at most would be' if dry_run else 'are'} freed")


def _seconds(age: str | None) -> float:
    from vcr.model.duration import parse_duration

    try:
        return parse_duration(age) if age else 0.0
    except ValueError as error:
        raise UsageError(f"--older-than {age} is wrong", why=str(error)) from None
