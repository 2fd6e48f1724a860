"""Which locked bases this host has resolved itself, or compared with their source.

An entry of a lock that came from elsewhere says nothing of where it is from: it is kept
without a question only if it is one of these. A file of no content stands for each.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from vcr.atomic import write_bytes
from vcr.model.config import Base
from vcr.model.lockfile import LockedDebian, LockedImage


@dataclass(frozen=True)
class Known:
    """The entries known on this host, below DIRECTORY."""

    directory: Path

    def has(self, base: Base, locked: LockedDebian | LockedImage) -> bool:
        """Tell whether LOCKED is known to be what BASE resolves to."""
        return self._path(base, locked).is_file()

    def add(self, base: Base, locked: LockedDebian | LockedImage) -> None:
        """Remember that LOCKED is what BASE resolves to; raises HostError."""
        write_bytes(self._path(base, locked), b"")

    def _path(self, base: Base, locked: LockedDebian | LockedImage) -> Path:
        both = [base.model_dump(mode="json"), locked.model_dump(mode="json")]
        return (
            self.directory / hashlib.sha256(json.dumps(both, sort_keys=True).encode()).hexdigest()
        )
