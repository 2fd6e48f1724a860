"""Resolves what FROM starts from, and compares what is locked with what that gives now."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from vcr.errors import FetchError, MismatchError, UsageError
from vcr.lock.debian.archive import IMPORT_DELAY, SNAPSHOT_FORM, Reader, Suite
from vcr.lock.debian.resolve import resolve
from vcr.lock.oci import LAYOUT, REGISTRY, ImageStore, reference_of
from vcr.model.arch import Arch
from vcr.model.file_name import store_name
from vcr.model.lockfile import LockedBase, LockedDebian, LockedImage, LockedPackage
from vcr.model.project import Project
from vcr.model.sections.base import Base
from vcr.model.url import repository_of


@dataclass(frozen=True)
class BaseLocker:
    """Locks bases; ARCHIVE and IMAGES are opened only if one is needed."""

    archive: Callable[[], Reader]
    images: Callable[[], ImageStore]
    show: Callable[[str], None]
    _suites: dict[tuple[object, ...], Suite] = field(default_factory=dict)

    def lock(self, project: Project, name: str, base: Base) -> LockedBase:
        """Resolve BASE, called NAME; raises UsageError, FetchError, MismatchError."""
        if not base.packages:
            self.show(f"locking the image of {name}")
            return self.images().lock(project, base)
        return self._debian(name, base, self._suite(self.archive(), base))

    def audit(self, project: Project, name: str, base: Base, locked: LockedBase) -> list[str]:
        """Say how LOCKED differs from what BASE was at that time; raises FetchError, UsageError.

        Of Debian: from the signed release that the archive had at the locked snapshot.
        """
        self.show(f"comparing {name} with its source")
        if isinstance(locked, LockedImage):
            return self.images().audit(locked, reference_of(project, base), project.places)
        then = base.model_copy(update={"snapshot": locked.snapshot})
        differences: list[str] = []
        problem: FetchError | None = None
        for reader, moment in self._moments(base, locked):
            try:
                suite = self._suite(reader, then.model_copy(update={"snapshot": moment}))
            except FetchError as error:
                problem = problem or error
                continue
            suite = replace(suite, snapshot=locked.snapshot)
            found = _differences(locked, self._debian(name, then, suite))
            if not found:
                return []
            if _moment(locked.snapshot) == suite.date + IMPORT_DELAY:
                return found  # that release it was
            if not reader.mirrors:
                differences = differences or found
        if differences:
            return differences
        raise problem or FetchError(
            f"no mirror has Debian {base.suite} as it was at {locked.snapshot}",
            fix="use a network that reaches snapshot.debian.org",
        )

    def _moments(self, base: Base, locked: LockedDebian) -> Iterator[tuple[Reader, str]]:
        """Yield where, and as of when, the release that LOCKED is made of may be."""
        reader = self.archive()
        archive = replace(reader, mirrors=())
        if reader.mirrors:
            yield reader, locked.snapshot
        yield archive, locked.snapshot
        if base.snapshot is None:
            # The snapshot is a day later than the release: there may be one in between.
            released = _moment(locked.snapshot) - IMPORT_DELAY
            for hours in (18, 12, 6):
                yield archive, (released + dt.timedelta(hours=hours)).strftime(SNAPSHOT_FORM)

    def _suite(self, reader: Reader, base: Base) -> Suite:
        key = (base.suite, base.snapshot, tuple(reader.mirrors))
        if key not in self._suites:
            self.show(f"reading Debian {base.suite}")
            self._suites[key] = reader.read(base.suite, list(Arch), base.snapshot)
        return self._suites[key]

    def _debian(self, name: str, base: Base, suite: Suite) -> LockedDebian:
        self.show(f"resolving the packages of {name}")
        try:
            archs = _of_archs(suite, base, lambda told: self.show(f"{name}: {told}"))
        except ValueError as error:
            raise MismatchError(
                f"the index of {suite.name} cannot be read",
                why=str(error),
                fix="choose another suite, or a later snapshot",
            ) from None
        return LockedDebian(
            suite=base.suite, snapshot=suite.snapshot, archs=archs, configure=base.configure
        )


def _of_archs(
    suite: Suite, base: Base, show: Callable[[str], None]
) -> dict[Arch, tuple[LockedPackage, ...]]:
    """Return the packages of BASE for the architectures that have them; SHOW why others do not.

    Compilers for another architecture are not made for each. Raises UsageError for packages
    that none has, ValueError for an index that cannot be read.
    """
    found, problems = {}, []
    for arch in Arch:
        try:
            found[arch] = _packages(suite, arch, base)
        except UsageError as error:
            problems.append(error)
            show(f"none for {arch}: {error.what}")
    if not found:
        raise problems[0]
    return found


def _packages(suite: Suite, arch: Arch, base: Base) -> tuple[LockedPackage, ...]:
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


def _differences(locked: LockedDebian, found: LockedDebian) -> list[str]:
    """Say how LOCKED differs from what was FOUND, one line a package."""
    told = []
    if locked.suite != found.suite or locked.configure != found.configure:
        told.append("it is another base than vcr.toml has")
    for arch in Arch:
        has = _by_name(locked.archs.get(arch, ()))
        wants = _by_name(found.archs.get(arch, ()))
        told += [
            f"{arch}: {name}: {difference}"
            for name in sorted(has.keys() | wants.keys())
            if (difference := _package_difference(has.get(name, ()), wants.get(name, ())))
        ]
    return told


def _by_name(packages: Sequence[LockedPackage]) -> dict[str, tuple[LockedPackage, ...]]:
    found: dict[str, tuple[LockedPackage, ...]] = {}
    for package in packages:
        found[package.package] = (*found.get(package.package, ()), package)
    return found


def _package_difference(has: Sequence[LockedPackage], wants: Sequence[LockedPackage]) -> str:
    if not wants:
        return "nothing needs it"
    if len(has) != 1:
        return "it is there twice" if has else "it is missing"
    (is_, should), keys = (has[0], wants[0]), ("version", "sha256", "size", "url", "name")
    return ", ".join(
        f"{key} {getattr(is_, key)}, the archive has {getattr(should, key)}"
        for key in keys
        if getattr(is_, key) != getattr(should, key)
    )


def _moment(snapshot: str) -> dt.datetime:
    return dt.datetime.strptime(snapshot, SNAPSHOT_FORM).replace(tzinfo=dt.UTC)


def packages_of(base: LockedBase) -> tuple[LockedPackage, ...]:
    """Return the packages of BASE, of every architecture."""
    if isinstance(base, LockedImage):
        return ()
    return tuple(package for packages in base.archs.values() for package in packages)


def suite_of(base: LockedBase) -> str:
    """Return the suite of the packages of BASE, "" where there is none."""
    return base.suite if isinstance(base, LockedDebian) else ""


def snapshots_of(base: LockedBase) -> tuple[str, ...]:
    """Return the times at which an archive was as BASE has it."""
    return (base.snapshot,) if isinstance(base, LockedDebian) else ()


def of_base(locked: LockedBase | None, base: Base) -> Iterator[str]:
    """Say in words what LOCKED has that is not of BASE."""
    if locked is None:
        yield "is not locked"
    elif isinstance(locked, LockedDebian) != bool(base.packages):
        yield "is of another kind"
    elif isinstance(locked, LockedDebian):
        yield from _not_of_debian(locked, base)
    elif not _is_of(locked, base):
        yield f"is locked as {locked.reference}"


def _not_of_debian(locked: LockedDebian, base: Base) -> Iterator[str]:
    if locked.suite != base.suite:
        yield f"is of {locked.suite}, not {base.suite}"
    if locked.configure != base.configure:
        yield "is configured differently"
    if base.snapshot not in {None, locked.snapshot}:
        yield f"is of {locked.snapshot}, not {base.snapshot}"
    try:
        dt.datetime.strptime(locked.snapshot, SNAPSHOT_FORM).replace(tzinfo=dt.UTC)
    except ValueError:
        yield f"is of {locked.snapshot}, which is not a time"
    for arch in locked.archs or Arch:
        packages = locked.archs.get(arch, ())
        names = [package.package for package in packages]
        if missing := set(base.packages) - set(names):
            yield f"has no {min(missing)} for {arch}"
        if len(set(names)) != len(names):
            yield f"has a package twice for {arch}"


def _is_of(locked: LockedImage, base: Base) -> bool:
    """Return whether LOCKED is of the repository, or the kind of place, that BASE names."""
    if base.oci:
        return locked.reference.startswith(LAYOUT)
    repository = repository_of(str(base.image))
    name, at, digest = locked.reference.removeprefix(REGISTRY).partition("@")
    asked = str(base.image).partition("@")[2]
    return bool(at) and repository_of(name) == repository and asked in {"", digest}
