"""The digest ladder: one digest a rung, from the image to the attested machine.

Every stage derivation leaves `rungs.json`, a list of rungs; the ladder is their
concatenation in stage order. It is what `vcr build` prints and strangers compare.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from vcr.model.digest import Digest

RUNGS_FILE = "rungs.json"
MAX_EPOCH = 253_402_300_799  # of a build, in seconds since 1970: the end of the year 9999
UNKNOWN = -1  # the size of a rung of which only the digest is known
ENGINE_RUNGS = ("machine", "snapshot", "sealed")  # they depend on the engine and its version


@dataclass(frozen=True)
class Rung:
    """One named digest."""

    name: str  # image, rootfs, squashfs, kernel, initramfs, ...
    digest: Digest
    size: int  # bytes of what the digest is of, or UNKNOWN
    path: Path  # what it is of, in the Nix store


def read_rungs(output: Path) -> tuple[Rung, ...]:
    """Read the rungs a stage left in its OUTPUT directory; raises OSError, ValueError."""
    rows = json.loads((output / RUNGS_FILE).read_text(encoding="utf-8"))
    return tuple(
        Rung(row["name"], Digest(row["digest"]), row["size"], output / row["file"]) for row in rows
    )
