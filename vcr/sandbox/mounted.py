"""Builder of what a `RUN --mount=type=bind` shows: `mounted.squashfs`."""

from dataclasses import dataclass
from pathlib import Path

from vcr.formats.failure import guarded
from vcr.formats.job import read_job
from vcr.formats.tree import tree_of_directory
from vcr.sandbox.layer import flatten
from vcr.sandbox.lower import make_squashfs

SQUASHFS = "mounted.squashfs"


@dataclass(frozen=True)
class Job:
    """What nix/stages/image.nix gives: layers of a stage, or a directory of the context."""

    layers: tuple[Path, ...]  # bottom first
    context: str  # "" for layers
    epoch: int
    mksquashfs: str


def main(specification: str, out: str) -> None:
    """Build what the JSON file SPECIFICATION describes into directory OUT."""
    guarded(lambda: _build(read_job(Job, specification), Path(out), Path("scratch").resolve()))


def _build(job: Job, out: Path, scratch: Path) -> None:
    tree = tree_of_directory(Path(job.context)) if job.context else flatten(job.layers)
    out.mkdir(parents=True, exist_ok=True)
    nodes = [("", tree.nodes[""]), *tree.walk()]
    make_squashfs(out / SQUASHFS, nodes, job, scratch)
