"""Builder of the image stage: layers and config into an OCI layout, and its rung."""

import json
import tarfile
from pathlib import Path
from typing import Any

from vcr.formats.failure import guarded
from vcr.formats.oci import TAG, Layout, platform
from vcr.formats.rungs import Rung, write_rungs

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"


def main(specification: str, out: str) -> None:
    """Build the image that the JSON file SPECIFICATION describes into directory OUT."""
    job = json.loads(Path(specification).read_bytes())
    guarded(lambda: _build(job, Path(out)))


def _build(job: dict[str, Any], out: Path) -> None:
    layout = Layout(out / "layout")
    layout.root.mkdir(parents=True)
    layers = [Path(layer) for layer in job["layers"] if _has_entries(Path(layer))]
    manifest = layout.add_image(layers, job["config"], job["arch"], job["epoch"])
    names = {REF_NAME: TAG, CONTAINERD_NAME: f"{job['name']}:{TAG}"}
    layout.finish([manifest.to_json(platform=platform(job["arch"]), annotations=names)])
    size = sum(layer.stat().st_size for layer in layers)
    blob = layout.blob(manifest.digest).relative_to(out)
    write_rungs(out, [Rung("image", manifest.digest, size, str(blob))])


def _has_entries(layer: Path) -> bool:
    with tarfile.open(layer, "r:") as archive:
        return archive.next() is not None
