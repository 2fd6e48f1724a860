"""Which entries of locks this host has resolved itself, or compared with their source.

An entry of a lock that came from elsewhere says nothing of where it is from: it is kept
without a word only if it is one of these. A file of no content stands for each.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from vcr.atomic import write_bytes
from vcr.model.lockfile import Lock, LockedRun


@dataclass(frozen=True)
class Known:
    """The entries known on this host, below DIRECTORY."""

    directory: Path

    def has(self, *entry: BaseModel) -> bool:
        """Return whether ENTRY is known: what was asked for, and what is locked for it."""
        return self._path(*entry).is_file()

    def add(self, *entry: BaseModel) -> None:
        """Remember that ENTRY was what its source had; raises HostError."""
        write_bytes(self._path(*entry), b"")

    def _path(self, *entry: BaseModel) -> Path:
        told = [[type(part).__name__, part.model_dump(mode="json")] for part in entry]
        name = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        return self.directory / name


def unknown_runs(known: Known, before: Lock, after: Lock) -> list[str]:
    """Return the commands whose answers AFTER has from BEFORE, a lock from elsewhere.

    What is not from there was recorded by this host, and is known from now on.
    """
    found = []
    for runs in after.runs.values():
        for key, run in runs.items():
            # Its answers are what may be from elsewhere; what they are for, this host compares.
            entry = (run.model_copy(update={"inputs": ()}), *_bodies(after, run))
            # They may be those of another architecture.
            were = [of[key].exchanges for of in before.runs.values() if key in of]
            is_kept = run.exchanges in were
            if not is_kept:
                known.add(*entry)
            elif not known.has(*entry):
                found.append(run.command)
    return found


def _bodies(lock: Lock, run: LockedRun) -> list[BaseModel]:
    return [lock.bodies[exchange.sha256] for exchange in run.exchanges]
