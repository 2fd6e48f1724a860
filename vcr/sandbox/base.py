"""Builder of a base layer: Debian packages, or an OCI image, as one `layer.tar`.

Apart from `layer`, so that a change to COPY rebuilds no base.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vcr.formats.debian.alternatives import put_alternatives
from vcr.formats.debian.defaults import put_defaults
from vcr.formats.debs import build_base, postinst_of, put_metadata, read_package
from vcr.formats.dpkg import put_apt, put_database
from vcr.formats.failure import guarded, note
from vcr.formats.job import read_job
from vcr.formats.oci import BlobFiles
from vcr.formats.tar import LAYER_FILE, write
from vcr.formats.tree import Tree


@dataclass(frozen=True)
class Debs:
    """Packages to unpack, of vcr.model.plan.Debs."""

    debs: tuple[Path, ...]
    configure: bool
    apt_sources: str
    op: Literal["debs"]


@dataclass(frozen=True)
class Oci:
    """An image to flatten, of vcr.model.plan.OciBase."""

    blobs: dict[str, Path]  # by digest
    manifest: str
    zstd: Path  # the program
    op: Literal["oci"]


@dataclass(frozen=True)
class Job:
    """What nix/stages/image.nix gives."""

    arch: str
    epoch: int
    spec: Debs | Oci


def main(specification: str, out: str) -> None:
    """Build the base that the JSON file SPECIFICATION describes into directory OUT."""
    guarded(lambda: _build(read_job(Job, specification), Path(out), Path("scratch").resolve()))


def _build(job: Job, out: Path, scratch: Path) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    tree = _tree(job, scratch)
    out.mkdir(parents=True, exist_ok=True)
    write(out / LAYER_FILE, tree.walk(), job.epoch)


def _tree(job: Job, scratch: Path) -> Tree:
    spec = job.spec
    if isinstance(spec, Oci):
        return BlobFiles(spec.blobs).flatten(spec.manifest, scratch, spec.zstd)
    packages = [read_package(deb, scratch) for deb in spec.debs]
    tree = build_base(packages, job.arch)
    if spec.configure:
        put_database(tree, packages)
        put_apt(tree, spec.apt_sources)
    else:
        put_metadata(tree, packages)
        put_defaults(tree)
        scripts = [script for each in packages if (script := postinst_of(each))]
        for line in put_alternatives(tree, job.arch, scripts):
            note(line)
    return tree
