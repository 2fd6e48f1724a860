"""What a stage says of itself: the rungs of the digest ladder, as rungs.json."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from vcr.formats.oci import sha256_of

RUNGS_FILE = "rungs.json"


@dataclass(frozen=True)
class Rung:
    """A digest, the bytes it is of, and the file in the output that it names."""

    name: str
    digest: str
    size: int
    file: str


def rung_of_file(name: str, out: Path, file: str) -> Rung:
    """Return the rung NAME for a FILE of output directory OUT."""
    path = out / file
    return Rung(name, sha256_of(path), path.stat().st_size, file)


def write_rungs(out: Path, rungs: list[Rung]) -> None:
    """Write RUNGS into output directory OUT."""
    text = json.dumps([asdict(rung) for rung in rungs], sort_keys=True, indent=1)
    (out / RUNGS_FILE).write_text(text + "\n")
