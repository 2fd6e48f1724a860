"""`vcr lock`: resolves what changed, keeps what did not, decides the epoch.

What is kept was resolved by this host, or is compared with its source before: a lock from
elsewhere may have anything in it.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from vcr.errors import FetchError, HostError, MismatchError
from vcr.lock.added import AddLocker
from vcr.lock.bases import BaseLocker, of_base, packages_of
from vcr.lock.consistent import epoch_of
from vcr.lock.engine import current_engine
from vcr.lock.git import GitStore
from vcr.lock.inputs import wanted_inputs
from vcr.lock.known import Known
from vcr.lock.suggestions import naming
from vcr.model.lockfile import Lock, LockedBase
from vcr.model.project import Project
from vcr.model.sections.base import Base

SHOWN = 20  # differences in an error


@dataclass(frozen=True)
class Locker:
    """Makes locks."""

    bases: BaseLocker
    known: Known
    show: Callable[[str], None]
    warn: Callable[[str], None]
    repositories: Callable[[], GitStore]

    def lock(self, project: Project, old: Lock | None, *, update: bool = False) -> Lock:
        """Return a lock of PROJECT; what OLD has of unchanged inputs is kept unless UPDATE.

        Raises UsageError, FetchError, MismatchError.
        """
        wanted = wanted_inputs(project)
        digests = wanted.digests()
        kept = Lock(epoch=0, inputs={}, bases={}, urls={}) if old is None or update else old
        same = {label for label in digests if kept.inputs.get(label) == digests[label]}
        bases: dict[str, LockedBase] = {}
        for name, base in sorted(wanted.bases.items()):
            before = kept.bases.get(name) if f"[base.{name}]" in same else None
            called = [call.command for call in wanted.calls.get(name, ())]
            with naming(name, wanted.places.get(name), wanted.stages, called):
                bases[name] = self._base(project, name, base, before)
        added = AddLocker(self.known, self.show, self.warn, self.repositories)
        urls = {
            url: added.file(url, checksums, kept.urls.get(url) if f"ADD {url}" in same else None)
            for url, checksums in wanted.files.items()
        }
        repositories = {}
        for address, at in wanted.repositories.items():
            text = address.text
            locked = kept.repositories.get(text) if f"ADD {text}" in same else None
            repositories[text] = added.repository(address, at, locked)
        lock = Lock(
            epoch=0,
            inputs=dict(digests),
            bases=bases,
            urls=urls,
            repositories=repositories,
            engine=current_engine(project),
            runs=kept.runs,
            bodies=kept.bodies,
        )
        return lock.model_copy(update={"epoch": _epoch(lock, old)})

    def _base(
        self, project: Project, name: str, base: Base, before: LockedBase | None
    ) -> LockedBase:
        """Return BASE, called NAME, locked: as it was BEFORE if that is what it resolves to."""
        if before is None or any(of_base(before, base)):
            locked = self.bases.lock(project, name, base)
            self.known.add(base, locked)
            return locked
        if not self.known.has(base, before):
            self._compare(project, name, base, before)
        return before

    def _compare(self, project: Project, name: str, base: Base, locked: LockedBase) -> None:
        """Compare what is LOCKED, by whom this host does not know; raises MismatchError."""
        try:
            differences = self.bases.audit(project, name, base, locked)
        except (FetchError, HostError) as error:
            self.warn(
                f"[base.{name}] stays as vcr.lock has it, compared with nothing: {error.what}"
            )
            return
        if differences:
            raise MismatchError(
                f"[base.{name}] in vcr.lock differs from its source",
                details=[("", each) for each in differences[:SHOWN]],
                why="somebody changed it, or another vcr made it",
                fix="do not trust this vcr.lock; `vcr lock --update` writes it again",
            )
        self.known.add(base, locked)


def summarise(old: Lock | None, new: Lock) -> list[str]:
    """Say in lines for people what NEW changes over OLD, one a package and base."""
    before, after = _versions(old) if old else {}, _versions(new)
    lines = []
    for base, package in sorted(before.keys() | after.keys()):
        was, now = before.get((base, package), ""), after.get((base, package), "")
        if was != now:
            sign = "~" if was and now else "+" if now else "-"
            lines.append(f"{sign} {base}: {package} {' → '.join(filter(None, (was, now)))}")
    if old is not None and old.engine != new.engine:
        was = f"{old.engine} → " if old.engine else ""
        lines.append(f"{'~' if was else '+'} engine: {was}{new.engine}")
    return lines


def _epoch(lock: Lock, old: Lock | None) -> int:
    """Decide SOURCE_DATE_EPOCH: the newest archive state, else what it was, else now.

    Tied to an input, so that relocking the same inputs gives the same bytes.
    """
    newest = epoch_of(lock)
    if newest is not None:
        return newest
    return old.epoch if old is not None else int(dt.datetime.now(dt.UTC).timestamp())


def _versions(lock: Lock) -> dict[tuple[str, str], str]:
    """Return (base, package) → its version, or versions where architectures differ."""
    found: dict[tuple[str, str], set[str]] = {}
    for name, base in lock.bases.items():
        for package in packages_of(base):
            found.setdefault((name, package.package), set()).add(package.version)
    return {key: ", ".join(sorted(versions)) for key, versions in found.items()}
