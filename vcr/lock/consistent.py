"""Checks that vcr.lock agrees with vcr.toml: without a network, before anything is built.

The digests in `inputs` are what a lock says of itself. Here its entries are held against
the project; whether they are what a source has, `vcr lock --audit` asks.
"""

import datetime as dt
from collections.abc import Iterator

from vcr.lock.added import of_repository
from vcr.lock.bases import of_base, snapshots_of
from vcr.lock.debian.archive import SNAPSHOT_FORM
from vcr.lock.inputs import Wanted
from vcr.model.lockfile import Lock


def contradictions(lock: Lock, wanted: Wanted) -> Iterator[str]:
    """Say in words what LOCK has that is not of what is WANTED."""
    for name, base in wanted.bases.items():
        yield from (f"[base.{name}] {words}" for words in of_base(lock.bases.get(name), base))
    for url in wanted.files:
        if url not in lock.urls or lock.urls[url].url != url:
            yield f"ADD {url} is not locked, or is locked as something else"
    for address in wanted.repositories:
        locked = lock.repositories.get(address.text)
        yield from (f"ADD {address.text} {words}" for words in of_repository(locked, address))
    epoch = epoch_of(lock)
    if epoch is not None and epoch != lock.epoch:
        yield f"its epoch is {lock.epoch}, its newest snapshot is of {epoch}"


def epoch_of(lock: Lock) -> int | None:
    """Return the time of the newest archive state in LOCK; None if it has none."""
    snapshots = [moment for base in lock.bases.values() for moment in snapshots_of(base)]
    if not snapshots:
        return None
    try:
        moment = dt.datetime.strptime(max(snapshots), SNAPSHOT_FORM).replace(tzinfo=dt.UTC)
    except ValueError:
        return None  # no time: that is a contradiction by itself
    return int(moment.timestamp())
