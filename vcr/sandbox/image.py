"""Builder of the image stage: layers and config into an OCI layout, and its rung."""

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.formats.failure import guarded
from vcr.formats.job import read_job
from vcr.formats.oci import TAG, Descriptor, Layout, platform, sha256_of
from vcr.formats.rungs import Rung, write_rungs

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"


class LinkedLayout(Layout):
    """A layout whose layers are links to where they are in the store.

    A build that changes one layer adds that layer to the disk, and not the whole image.
    """

    def add_file(self, path: Path, media_type: str) -> Descriptor:
        """Link to the file at PATH as a blob."""
        digest = sha256_of(path)
        blob = self.blob(digest)
        blob.parent.mkdir(parents=True, exist_ok=True)
        if not blob.is_symlink():  # two layers may be the same
            blob.symlink_to(path)
        return Descriptor(media_type, digest, path.stat().st_size)


@dataclass(frozen=True)
class Job:
    """What nix/stages/image.nix gives."""

    name: str
    arch: str
    epoch: int
    config: dict[str, Any]
    layers: tuple[Path, ...]
    author: str = ""


def main(specification: str, out: str) -> None:
    """Build the image that the JSON file SPECIFICATION describes into directory OUT."""
    guarded(lambda: _build(read_job(Job, specification), Path(out)))


def _build(job: Job, out: Path) -> None:
    layout = LinkedLayout(out / "layout")
    layout.root.mkdir(parents=True)
    layers = [layer for layer in job.layers if _has_entries(layer)]
    manifest = layout.add_image(layers, job.config, job.arch, job.epoch, author=job.author)
    names = {REF_NAME: TAG, CONTAINERD_NAME: f"{job.name}:{TAG}"}
    layout.finish([manifest.to_json(platform=platform(job.arch), annotations=names)])
    size = sum(layer.stat().st_size for layer in layers)
    blob = layout.blob(manifest.digest).relative_to(out)
    write_rungs(out, [Rung("image", manifest.digest, size, str(blob))])


def _has_entries(layer: Path) -> bool:
    with tarfile.open(layer, "r:") as archive:
        return archive.next() is not None
