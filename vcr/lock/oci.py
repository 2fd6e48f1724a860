"""Bases that are images of a registry or a layout: resolved to digests, blob by blob.

The lock has the digests of what each architecture is made of: manifest, config, layers. `vcr lock`
reads manifests and configs only; a build brings the blobs of its architecture into the Nix store,
each under its own hash, wherever it comes from.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vcr.atomic import scratch_directory
from vcr.errors import FetchError, LockError, MismatchError, UsageError
from vcr.lock.documents import FileDocuments, RegistryDocuments
from vcr.lock.layout import MAX_BYTES, Images, image, images, layout_top, leads_to
from vcr.lock.network.outlet import outlet
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.lockfile import LockedImage, LockedManifest
from vcr.model.places import Places
from vcr.model.plan import OCI_STORE_NAME, OciBase
from vcr.model.project import Project
from vcr.model.sections.base import Base
from vcr.model.url import repository_of
from vcr.tools.nix import Nix
from vcr.tools.skopeo import Skopeo
from vcr.tools.store_path import flat_path

OCI_KEY = "vcr.toml: [base] oci"
DOCKER_HUB = "registry-1.docker.io"
REGISTRY, LAYOUT = "docker://", "oci:"  # containers-transports(5)


@dataclass(frozen=True)
class ImageStore:
    """Brings images into the Nix store."""

    skopeo: Skopeo
    nix: Nix

    def lock(self, project: Project, base: Base) -> LockedImage:
        """Resolve BASE to digests; raises FetchError, UsageError, MismatchError.

        Layers of a registry are not read: a build fetches those of its architecture. What is in a
        layout is kept now, since the layout may be allowed to this command only.
        """
        reference = reference_of(project, base)
        with self._reaching(reference) as skopeo:
            reference = _pinned(skopeo, reference)
            found = _images(skopeo, reference)
        if not found.archs:
            raise UsageError(
                f"{reference} has no image for {', '.join(Arch)}",
                why=f"it has {', '.join(found.platforms) or 'none at all'}",
                fix="choose an image of one of these architectures",
            )
        locked = LockedImage(reference=reference, archs=found.archs, indexes=found.indexes)
        if reference.startswith(LAYOUT):
            for each in locked.archs.values():
                blobs = {**locked.indexes, **each.blobs}
                self.provide(OciBase(reference, blobs, {}, each.manifest, {}), project.places)
        return locked

    def provide(self, base: OciBase, places: Places) -> None:
        """Make sure that the blobs of BASE are in the store; raises FetchError, MismatchError.

        A layout has to be one of PLACES: raises UsageError.
        """
        wanted = {**base.indexes, **base.blobs}
        missing = {digest: size for digest, size in wanted.items() if not _kept(digest).exists()}
        if not missing:
            return
        _check_locked(base.reference, places)
        with scratch_directory() as scratch:
            if base.reference.startswith(LAYOUT):
                blobs = Path(base.reference.removeprefix(LAYOUT)) / "blobs/sha256"
                found = {digest: blobs / Digest(digest).hex for digest in missing}
            else:
                with self._reaching(base.reference) as skopeo:
                    found = _fetched(skopeo, base, missing, scratch)
            self._keep(base.reference, missing, found, scratch)

    def _keep(
        self, reference: str, sizes: dict[str, int], files: dict[str, Path], scratch: Path
    ) -> None:
        """Add FILES to the store, each under its digest; raises MismatchError, FetchError."""
        named = []
        for number, (digest, size) in enumerate(sizes.items()):
            path = scratch / str(number) / OCI_STORE_NAME
            path.parent.mkdir()
            is_own = files[digest].is_relative_to(scratch)
            try:
                (shutil.move if is_own else shutil.copyfile)(files[digest], path)
            except OSError as error:
                raise FetchError(
                    f"{reference} has no blob {digest}",
                    why=error.strerror or str(error),
                    fix="if the image was changed, run `vcr lock --update`",
                ) from None
            got = Digest.of_file(path)
            if (got, path.stat().st_size) != (digest, size):
                raise MismatchError(
                    f"{reference} is not the image that vcr.lock names",
                    details=[
                        ("expected", f"{digest}, {size} bytes"),
                        ("got", f"{got}, {path.stat().st_size} bytes"),
                    ],
                    fix="if you want the change, run `vcr lock --update`",
                )
            named.append(path)
        self.nix.add_fixed(*named)

    def audit(self, locked: LockedImage, reference: str, places: Places) -> list[str]:
        """Say how LOCKED differs from the image of REFERENCE, the project's; raises FetchError.

        An image of a registry is asked for by digest, one in a layout is as it is now.
        """
        source = locked.reference if reference.startswith(REGISTRY) else reference
        _check_locked(source, places)
        try:
            with self._reaching(source) as skopeo:
                found = _images(skopeo, source)
        except (MismatchError, UsageError) as error:
            return [f"{error.what}: {error.why}"]
        told = [
            "" if found.indexes == locked.indexes else "its indexes are others",
            *(
                _image_difference(arch, locked.archs.get(arch), found.archs.get(arch))
                for arch in sorted(found.archs.keys() | locked.archs.keys())
            ),
        ]
        return [difference for difference in told if difference]

    def check(self, base: OciBase) -> None:
        """Raise MismatchError unless the image of BASE, in the store, is what the lock says."""
        documents = FileDocuments(base.reference, _kept)
        named = base.reference.rpartition("@")[2]
        wrong = ""
        if base.reference.startswith(REGISTRY) and not leads_to(
            documents, named, base.manifest, base.indexes
        ):
            wrong = f"{named} has no manifest {base.manifest}"
        elif image(documents, base.manifest).config != base.config:
            wrong = f"the config of {base.manifest} is not that of the image"
        if wrong:
            raise MismatchError(
                f"vcr.lock contradicts the image {base.reference}",
                why=wrong,
                fix="do not trust this vcr.lock; `vcr lock --update` writes it again",
            )

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
    """Turn a tag into the digest it stands for now; an `oci:` layout stays as it is.

    Beside a digest a tag says nothing, as in Docker, and skopeo takes only one of them.
    """
    if not reference.startswith(REGISTRY):
        return reference
    _, at, digest = reference.partition("@")
    pinned = digest if at else Digest.of_bytes(skopeo.raw_bytes(reference))
    return f"{repository_of(reference)}@{pinned}"


def _images(skopeo: Skopeo, reference: str) -> Images:
    """Return what the image REFERENCE has, a layout or one of a registry by digest."""
    if reference.startswith(LAYOUT):
        return images(*layout_top(Path(reference.removeprefix(LAYOUT))))
    name, _, digest = reference.rpartition("@")
    return images(RegistryDocuments(name, skopeo), [{"digest": digest}])


def _fetched(
    skopeo: Skopeo, base: OciBase, missing: dict[str, int], scratch: Path
) -> dict[str, Path]:
    """Return where files with the MISSING blobs of BASE are, fetched from its registry."""
    name = base.reference.rpartition("@")[0]
    directory = scratch / "image"
    files = {digest: directory / Digest(digest).hex for digest in missing}
    if missing.keys() & base.blobs.keys():
        skopeo.copy_blobs(
            f"{name}@{base.manifest}", directory, min(sum(base.blobs.values()), MAX_BYTES)
        )
        files[base.manifest] = directory / "manifest.json"
    for number, digest in enumerate(sorted(missing.keys() & base.indexes.keys())):
        files[digest] = scratch / f"index{number}"
        files[digest].write_bytes(skopeo.raw_bytes(f"{name}@{digest}"))
    return files


def _kept(digest: str) -> Path:
    """Return where the store has the blob DIGEST."""
    return flat_path(Digest(digest).hex, OCI_STORE_NAME)


def _image_difference(
    arch: Arch, locked: LockedManifest | None, found: LockedManifest | None
) -> str:
    if locked is None or found is None:
        return f"{arch}: {'not in the image' if found is None else 'not in vcr.lock'}"
    if locked.manifest != found.manifest:
        return f"{arch}: manifest {locked.manifest}, the image has {found.manifest}"
    if locked.blobs != found.blobs:
        return f"{arch}: its blobs are others"
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
