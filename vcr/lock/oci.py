"""Bases that are OCI images: resolved to digests, kept in the Nix store by hash.

A registry reference or a layout on disk is copied by skopeo into a layout that
holds just that image; its NAR hash goes into the lock, so that every later copy
is checked whole, wherever it comes from. Manifests and configs are read from the
layout's blobs: https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vcr.atomic import scratch_directory
from vcr.errors import FetchError, LockError, MismatchError, UsageError
from vcr.lock.layout import image, images, top_digests
from vcr.lock.network.outlet import outlet
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.lockfile import LockedImage, LockedManifest
from vcr.model.places import Places
from vcr.model.plan import OCI_STORE_NAME, OciBase
from vcr.model.project import Project
from vcr.model.sections.base import Base
from vcr.tools.nix import Nix
from vcr.tools.skopeo import Skopeo

OCI_KEY = "vcr.toml: [base] oci"
DOCKER_HUB = "registry-1.docker.io"
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
            reference = reference_of(project, base)
            with self._reaching(reference) as skopeo:
                reference = _pinned(skopeo, reference)
                skopeo.copy_all(reference, layout)
            archs = images(layout)
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
            with self._reaching(reference) as skopeo:
                skopeo.copy_all(reference, layout)
            got = self.nix.hash_path(layout)
            if got != nar_sha256:
                raise MismatchError(
                    f"{reference} is not the image that vcr.lock names",
                    details=[("expected", nar_sha256), ("got", got)],
                    fix="if you want the change, run `vcr lock --update`",
                )
            self.nix.add_fixed(layout, recursive=True)

    def audit(self, locked: LockedImage, reference: str, places: Places) -> list[str]:
        """Say how LOCKED differs from the image of REFERENCE, the project's; raises FetchError.

        An image of a registry is asked for by digest, one in a layout is as it is now.
        """
        source = locked.reference if reference.startswith(REGISTRY) else reference
        try:
            self.provide(source, locked.nar_sha256, places)
        except MismatchError as error:
            return [f"{error.what}: {error.why or dict(error.details)}"]
        found = images(self._layout(locked.nar_sha256))
        told = [
            _named_differences(locked.reference, self._layout(locked.nar_sha256)),
            *(
                _image_difference(arch, locked.archs.get(arch), found.get(arch))
                for arch in sorted(found.keys() | locked.archs.keys())
            ),
        ]
        return [difference for difference in told if difference]

    def check(self, base: OciBase) -> None:
        """Raise MismatchError unless the image of BASE, in the store, has the config it says."""
        layout = self._layout(base.nar_sha256)
        wrong = _named_differences(base.reference, layout)
        if not wrong and image(layout, base.manifest).config != base.config:
            wrong = f"the config of {base.manifest} is not that of the image"
        if wrong:
            raise MismatchError(
                f"vcr.lock contradicts the image {base.reference}",
                why=wrong,
                fix="do not trust this vcr.lock; `vcr lock --update` writes it again",
            )

    def _layout(self, nar_sha256: str) -> Path:
        return self.nix.fixed_path(nar_sha256, OCI_STORE_NAME)

    @contextmanager
    def _reaching(self, reference: str) -> Iterator[Skopeo]:
        """Yield the skopeo that reaches the registry of REFERENCE, and not this host."""
        if not reference.startswith(REGISTRY):
            yield self.skopeo
            return
        with scratch_directory() as scratch, outlet(_registry(reference), scratch) as way:
            try:
                yield replace(self.skopeo, before=way.before)
            except FetchError as error:
                if not way.refused:
                    raise
                raise FetchError(
                    error.what,
                    why=f"the registry redirects to {way.refused[0]}",
                    fix="do not trust that registry",
                ) from None


def _registry(reference: str) -> str:
    """Return HOST[:PORT] of REFERENCE; without a host it is of Docker Hub, as skopeo has it."""
    first, slash, _ = reference.removeprefix(REGISTRY).partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    return first if is_host else DOCKER_HUB


def _pinned(skopeo: Skopeo, reference: str) -> str:
    """Turn a tag into the digest it stands for now; an `oci:` layout stays as it is."""
    if not reference.startswith(REGISTRY) or "@sha256:" in reference:
        return reference
    digest = Digest.of_bytes(skopeo.raw_bytes(reference))
    last = reference.rpartition("/")[2]
    return f"{reference.removesuffix(last)}{last.partition(':')[0]}@{digest}"


def _named_differences(reference: str, layout: Path) -> str:
    """Say so when LAYOUT has another image than the digest in REFERENCE, else ""."""
    _, at, digest = reference.rpartition("@")
    is_other = reference.startswith(REGISTRY) and at and digest not in top_digests(layout)
    return f"its layout has {', '.join(sorted(top_digests(layout)))}" if is_other else ""


def _image_difference(
    arch: Arch, locked: LockedManifest | None, found: LockedManifest | None
) -> str:
    if locked is None or found is None:
        return f"{arch}: {'not in the image' if found is None else 'not in vcr.lock'}"
    if locked.manifest != found.manifest:
        return f"{arch}: manifest {locked.manifest}, the image has {found.manifest}"
    keys = sorted(locked.config.keys() | found.config.keys())
    other = [key for key in keys if locked.config.get(key) != found.config.get(key)]
    return f"{arch}: config: {', '.join(other)}" if other else ""


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
            f"vcr.lock: {reference!r} is not an image",
            why=f"an image is from a registry ({REGISTRY}) or a layout ({LAYOUT})",
            fix="run `vcr lock` to write it again",
        )
