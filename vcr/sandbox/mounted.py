"""Builder of what a `RUN --mount=type=bind` shows: `mounted.squashfs`.

The specification is JSON: `kind` of the source, `input` (the tar files of a stage,
bottom first, or a directory of the context), `epoch`, `mksquashfs`.
"""

import json
from pathlib import Path
from typing import Any

from vcr.formats.failure import guarded
from vcr.formats.tree import tree_of_directory
from vcr.sandbox.layer import flatten
from vcr.sandbox.lower import make_squashfs

SQUASHFS = "mounted.squashfs"


def main(specification: str, out: str) -> None:
    """Build what the JSON file SPECIFICATION describes into directory OUT."""
    job = json.loads(Path(specification).read_bytes())
    guarded(lambda: _build(job, Path(out), Path("scratch").resolve()))


def _build(job: dict[str, Any], out: Path, scratch: Path) -> None:
    if job["kind"] == "stage":
        tree = flatten(job["input"])
    else:
        tree = tree_of_directory(Path(job["input"]))
    out.mkdir(parents=True, exist_ok=True)
    nodes = [("", tree.nodes[""]), *tree.walk()]
    make_squashfs(out / SQUASHFS, nodes, job, scratch)
