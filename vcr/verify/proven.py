"""What this host has built again, of proven inputs, and found the same: noted, to be believed.

Nix forgets what something was built of, and when, as soon as a part of that is collected.
A note is a file named as the derivation, which commits to all that it is built of.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vcr.atomic import write_text
from vcr.foreign import read_text
from vcr.tools.nix_store import Known

MAX_NOTE = 4096  # bytes


@dataclass(frozen=True)
class Proven:
    """The notes in DIRECTORY."""

    directory: Path

    def has(self, drv: Path, outputs: Iterable[Known]) -> bool:
        """Return whether DRV was seen to build to OUTPUTS."""
        try:
            return read_text(self.directory / drv.name, MAX_NOTE) == _words(outputs)
        except (OSError, ValueError):
            return False

    def note(self, proven: Mapping[Path, Iterable[Known]]) -> None:
        """Note the outputs that derivations were seen to build to; raises HostError."""
        for drv, outputs in proven.items():
            write_text(self.directory / drv.name, _words(outputs))


def _words(outputs: Iterable[Known]) -> str:
    return "".join(f"{output.nar_hash}\n" for output in outputs)
