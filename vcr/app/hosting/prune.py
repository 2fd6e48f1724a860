"""`prune`: removes builds and files that are no longer needed."""

from dataclasses import dataclass
from pathlib import Path

from vcr.app.context import Context
from vcr.build.gc_roots import Roots, Rule, layers_beside, locked, olds_of
from vcr.runtime.prune import exclusive, find_leftovers
from vcr.runtime.record import Records
from vcr.tools.nix import Nix
from vcr.tools.nix_store import NixStore, is_build


@dataclass(frozen=True)
class Removed:
    """One thing that is removed, or would be."""

    kind: str  # "roots", "store", or what of this host it is
    name: str
    size: int  # bytes that are freed


@dataclass(frozen=True)
class Pruned:
    """What is removed, or would be."""

    removed: tuple[Removed, ...]

    @property
    def freed(self) -> int:
        """Return the bytes that are freed."""
        return sum(each.size for each in self.removed)


def prune(
    context: Context,
    *,
    keep: int = 1,
    older_than: float = 0,
    local: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Remove what is no longer needed, and return what that was.

    KEEP builds of each project and profile stay, and those used in the last OLDER_THAN seconds.
    LOCAL also removes files of this host outside the store. DRY_RUN removes nothing. What a running
    machine or a running build uses always stays. Raises HostError.
    """
    records = Records(context.settings)
    running = [record for record in records.all() if record.is_running]
    busy = {name for record in running for name in (record.key, record.key.partition("~")[0])}
    rule = Rule(keep, older_than, frozenset(busy))
    in_use = [Path(record.vm) for record in running]
    removed = _prune_builds(context, rule, in_use, dry_run=dry_run)
    if local:
        removed += prune_local(records, dry_run=dry_run)
    return Pruned(tuple(removed))


def prune_local(records: Records, *, dry_run: bool) -> list[Removed]:
    """Remove what is on this host beside the store, and return it."""
    with exclusive(records):
        found = [(each, each.size) for each in find_leftovers(records)]
        for each, _ in () if dry_run else found:
            each.remove()
    return [
        Removed(each.kind, str(each.path), size)
        for each, size in found
        if dry_run or not each.path.exists()
    ]


def _prune_builds(
    context: Context, rule: Rule, in_use: list[Path], *, dry_run: bool
) -> list[Removed]:
    """Remove roots and what they alone have kept in the store."""
    roots, store = Roots(context.settings), NixStore(Nix(context.settings))
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
    rows = [Removed("roots", old.name, 0) for old in olds]
    return [*rows, *(Removed("store", str(path), sizes[path]) for path in paths)]
