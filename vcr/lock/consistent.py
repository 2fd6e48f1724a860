"""Does vcr.lock say what vcr.toml does? Told without a network, before anything is built.

The digests in `inputs` are what a lock says of itself. Here its entries are held against
the project; whether they are what a source has, `vcr lock --audit` asks.
"""

import datetime as dt
from collections.abc import Iterator

from vcr.lock.debian.archive import SNAPSHOT_FORM
from vcr.lock.inputs import Wanted
from vcr.lock.oci import LAYOUT, REGISTRY
from vcr.model.arch import Arch
from vcr.model.config import Base
from vcr.model.lockfile import Lock, LockedDebian, LockedImage


def contradictions(lock: Lock, wanted: Wanted) -> Iterator[str]:
    """Say in words what LOCK has that is not of what is WANTED."""
    for name, base in wanted.bases.items():
        yield from (f"[base.{name}] {words}" for words in of_base(lock.bases.get(name), base))
    for url in wanted.urls:
        if url not in lock.urls or lock.urls[url].url != url:
            yield f"ADD {url} is not locked, or is locked as something else"
    epoch = epoch_of(lock)
    if epoch is not None and epoch != lock.epoch:
        yield f"its epoch is {lock.epoch}, its newest snapshot is of {epoch}"


def epoch_of(lock: Lock) -> int | None:
    """Return the time of the newest archive state in LOCK; None if it has none."""
    snapshots = [base.snapshot for base in lock.bases.values() if isinstance(base, LockedDebian)]
    if not snapshots:
        return None
    try:
        moment = dt.datetime.strptime(max(snapshots), SNAPSHOT_FORM).replace(tzinfo=dt.UTC)
    except ValueError:
        return None  # no time: that is a contradiction by itself
    return int(moment.timestamp())


def of_base(locked: LockedDebian | LockedImage | None, base: Base) -> Iterator[str]:
    """Say in words what LOCKED has that is not of BASE."""
    if locked is None:
        yield "is not locked"
    elif isinstance(locked, LockedDebian) != bool(base.packages):
        yield "is of another kind"
    elif isinstance(locked, LockedDebian):
        yield from _debian(locked, base)
    elif not _is_of(locked, base):
        yield f"is locked as {locked.reference}"


def _debian(locked: LockedDebian, base: Base) -> Iterator[str]:
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
    for arch in Arch:
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
    repository = _without_tag(str(base.image))
    name, at, digest = locked.reference.removeprefix(REGISTRY).partition("@")
    asked = str(base.image).partition("@")[2]
    return bool(at) and _without_tag(name) == repository and asked in {"", digest}


def _without_tag(image: str) -> str:
    """Return IMAGE without its tag and its digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
