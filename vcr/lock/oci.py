"""Bases that are OCI images: resolved to digests, kept in the Nix store by hash.

A registry reference or a layout on disk is copied by skopeo into a layout that
holds just that image; its NAR hash goes into the lock, so that every later copy
is checked whole, wherever it comes from. Manifests and configs are read from the
layout's blobs: https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.atomic import scratch_directory
from vcr.errors import LockError, MismatchError, UsageError
from vcr.model.arch import Arch
from vcr.model.config import Base
from vcr.model.digest import Digest
from vcr.model.lockfile import LockedImage, LockedManifest
from vcr.model.places import Places
from vcr.model.plan import OCI_STORE_NAME
from vcr.model.project import Project
from vcr.tools.nix import Nix
from vcr.tools.skopeo import Skopeo

INDEX_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)


OCI_KEY = "vcr.toml: [base] oci"
REGISTRY, LAYOUT = "docker://", "oci:"  # containers-transports(5)


@dataclass(frozen=True)
class ImageStore:
    """Brings images into the Nix store."""

    skopeo: Skopeo
    nix: Nix

    def lock(self, project: Project, base: Base) -> LockedImage:
        """Resolve BASE to digests and keep it; raises FetchError, UsageError."""
        with scratch_directory() as scratch:
            layout = scratch / OCI_STORE_NAME
            reference = self._pinned(reference_of(project, base))
            self.skopeo.copy_all(reference, layout)
            archs = {arch: _manifest(layout, d) for arch, d in _manifests(layout).items()}
            if not archs:
                raise UsageError(
                    f"{reference} has no image for {', '.join(Arch)}",
                    fix="choose an image of one of these architectures",
                )
            nar = self.nix.hash_path(layout)
            self.nix.add_fixed(layout, recursive=True)
        return LockedImage(reference=reference, archs=archs, nar_sha256=nar)

    def provide(self, reference: str, nar_sha256: str, places: Places) -> None:
        """Make sure the locked image is in the store; raises FetchError, MismatchError.

        A layout has to be one of PLACES: raises UsageError.
        """
        if self.nix.fixed_path(nar_sha256, OCI_STORE_NAME).exists():
            return
        _check_locked(reference, places)
        with scratch_directory() as scratch:
            layout = scratch / OCI_STORE_NAME
            self.skopeo.copy_all(reference, layout)
            got = self.nix.hash_path(layout)
            if got != nar_sha256:
                raise MismatchError(
                    f"{reference} is not the image that vcr.lock names",
                    details=[("expected", nar_sha256), ("got", got)],
                    fix="if the change is meant, run `vcr lock --update`",
                )
            self.nix.add_fixed(layout, recursive=True)

    def _pinned(self, reference: str) -> str:
        """Turn a tag into the digest it stands for now; an `oci:` layout stays as it is."""
        if not reference.startswith(REGISTRY) or "@sha256:" in reference:
            return reference
        digest = Digest.of_bytes(self.skopeo.raw_bytes(reference))
        last = reference.rpartition("/")[2]
        return f"{reference.removesuffix(last)}{last.partition(':')[0]}@{digest}"


def reference_of(project: Project, base: Base) -> str:
    """Return BASE as skopeo names it."""
    if base.image:
        return f"{REGISTRY}{base.image}"
    layout = project.places.lead(str(base.oci), OCI_KEY)
    if not (layout / "oci-layout").is_file():
        raise UsageError(
            f"{base.oci} is not an OCI layout",
            why="it has no file oci-layout",
            fix="name a directory such as `vcr build image` or `skopeo copy` makes",
        )
    return f"{LAYOUT}{project.places.lead_whole(str(layout), OCI_KEY)}"


def _check_locked(reference: str, places: Places) -> None:
    """Raise unless REFERENCE, of a lock, is an image of a registry or a layout of PLACES."""
    if reference.startswith(LAYOUT):
        places.lead_whole(reference.removeprefix(LAYOUT), "vcr.lock")
    elif not reference.startswith(REGISTRY):
        raise LockError(
            f"vcr.lock: {reference!r} is no image",
            why=f"an image is of a registry ({REGISTRY}) or a layout ({LAYOUT})",
            fix="run `vcr lock` to write it anew",
        )


def _manifests(layout: Path) -> dict[Arch, str]:
    """Return the digest of the manifest of each architecture in LAYOUT."""
    index = json.loads((layout / "index.json").read_bytes())
    descriptors = list(index["manifests"])
    found: dict[Arch, str] = {}
    while descriptors:
        descriptor = descriptors.pop(0)
        content = _blob(layout, descriptor["digest"])
        if descriptor.get("mediaType") in INDEX_TYPES:
            descriptors += content["manifests"]
            continue
        arch = descriptor.get("platform", {}).get("architecture")
        arch = arch or _blob(layout, content["config"]["digest"]).get("architecture")
        if arch in set(Arch):
            found.setdefault(Arch(arch), descriptor["digest"])
    return found


def _manifest(layout: Path, digest: str) -> LockedManifest:
    manifest = _blob(layout, digest)
    config = _blob(layout, manifest["config"]["digest"])
    return LockedManifest(manifest=digest, config=config.get("config") or {})


def _blob(layout: Path, digest: str) -> Any:
    data = (layout / "blobs/sha256" / Digest(digest).hex).read_bytes()
    if Digest.of_bytes(data) != digest:
        raise MismatchError(f"the blob {digest} of {layout} has other content")
    return json.loads(data)
