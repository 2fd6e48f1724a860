"""`vcr lock`: resolves what changed, keeps what did not, decides the epoch."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from vcr.errors import UsageError
from vcr.lock.archive import SNAPSHOT_FORM, Reader, Suite
from vcr.lock.debian import resolve
from vcr.lock.engine import current_engine
from vcr.lock.fetch import Source, fetch
from vcr.lock.inputs import wanted_inputs
from vcr.lock.oci import ImageStore
from vcr.lock.web import LIMITS
from vcr.model.arch import Arch
from vcr.model.config import Base
from vcr.model.digest import Digest
from vcr.model.file_name import last_part, store_name
from vcr.model.lockfile import (
    Lock,
    LockedDebian,
    LockedFile,
    LockedImage,
    LockedPackage,
)
from vcr.model.project import Project

type Locked = LockedDebian | LockedImage


@dataclass(frozen=True)
class Locker:
    """Makes locks; ARCHIVE and IMAGES are opened only if a base has to be resolved."""

    archive: Callable[[], Reader]
    images: Callable[[], ImageStore]
    show: Callable[[str], None]

    def lock(self, project: Project, old: Lock | None, *, update: bool = False) -> Lock:
        """Return a lock of PROJECT; what OLD has of unchanged inputs is kept unless UPDATE.

        Raises UsageError, FetchError, MismatchError.
        """
        wanted = wanted_inputs(project)
        digests = wanted.digests()
        kept = {} if old is None or update else old.inputs
        suites: dict[tuple[str, str | None], Suite] = {}
        bases: dict[str, Locked] = {}
        for name, base in sorted(wanted.bases.items()):
            label = f"[base.{name}]"
            if old is not None and name in old.bases and kept.get(label) == digests[label]:
                bases[name] = old.bases[name]
            else:
                bases[name] = self._lock_base(project, name, base, suites)
        urls = {
            url: old.urls[url]
            if old is not None and url in old.urls and f"ADD {url}" in kept
            else self._lock_url(url)
            for url in wanted.urls
        }
        return Lock(
            epoch=_epoch(bases, old),
            inputs=dict(digests),
            bases=bases,
            urls=urls,
            engine=current_engine(project),
            runs={} if old is None or update else old.runs,
            bodies={} if old is None or update else old.bodies,
        )

    def _lock_base(
        self, project: Project, name: str, base: Base, suites: dict[tuple[str, str | None], Suite]
    ) -> Locked:
        if not base.packages:
            self.show(f"locking the image of {name}")
            return self.images().lock(project, base)
        key = (base.suite, base.snapshot)
        if key not in suites:
            self.show(f"reading Debian {base.suite}")
            suites[key] = self.archive().read(base.suite, list(Arch), base.snapshot)
        self.show(f"resolving the packages of {name}")
        suite = suites[key]
        archs = {arch: _locked_packages(suite, arch, base) for arch in Arch}
        return LockedDebian(
            suite=base.suite, snapshot=suite.snapshot, archs=archs, configure=base.configure
        )

    def _lock_url(self, url: str) -> LockedFile:
        self.show(f"reading {url}")
        data = fetch([Source(url)], most=LIMITS.size)
        name = store_name(last_part(url)) or "download"
        digest = Digest.of_bytes(data)
        return LockedFile(name=name, sha256=digest.hex, size=len(data), url=url)


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


def _locked_packages(suite: Suite, arch: Arch, base: Base) -> tuple[LockedPackage, ...]:
    index = suite.indexes[arch]
    # Scripts of packages may use what is essential without saying so: Debian policy 3.8.
    essential = sorted(index.essential) if base.configure else []
    try:
        packages = resolve(index, [*base.packages, *essential])
    except UsageError as error:
        error.details = (*error.details, ("architecture", arch), ("suite", suite.name))
        raise
    return tuple(
        LockedPackage(
            name=store_name(package.filename.rpartition("/")[2]),
            package=package.name,
            sha256=package.sha256,
            size=package.size,
            url=suite.url(package.filename),
            version=str(package.version),
        )
        for package in packages
    )


def _epoch(bases: dict[str, Locked], old: Lock | None) -> int:
    """Decide SOURCE_DATE_EPOCH: the newest archive state, else what it was, else now.

    Tied to an input, so that relocking the same inputs gives the same bytes.
    """
    snapshots = [base.snapshot for base in bases.values() if isinstance(base, LockedDebian)]
    if snapshots:
        moment = dt.datetime.strptime(max(snapshots), SNAPSHOT_FORM).replace(tzinfo=dt.UTC)
        return int(moment.timestamp())
    if old is not None:
        return old.epoch
    return int(dt.datetime.now(dt.UTC).timestamp())


def _versions(lock: Lock) -> dict[tuple[str, str], str]:
    """Return (base, package) → its version, or versions where architectures differ."""
    found: dict[tuple[str, str], set[str]] = {}
    bases = [(name, base) for name, base in lock.bases.items() if isinstance(base, LockedDebian)]
    for name, base in bases:
        for package in (package for packages in base.archs.values() for package in packages):
            found.setdefault((name, package.package), set()).add(package.version)
    return {key: ", ".join(sorted(versions)) for key, versions in found.items()}
