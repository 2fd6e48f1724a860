"""Pushes exports to registries, and pulls them for verification.

What is pulled is checked as if it came by post: every digest, then the drive by its
hash tree. Credentials are skopeo's business: `skopeo login` writes its file.
"""

from collections.abc import Callable
from pathlib import Path

from vcr.atomic import new_directory, scratch_directory
from vcr.errors import UsageError
from vcr.export.artifact import unpack_layout, write_layout
from vcr.export.check import check_export
from vcr.export.claims import check_room, read_claims
from vcr.export.manifest import Manifest
from vcr.export.reference import Reference
from vcr.export.referrers import Artifact, ensure_listed
from vcr.export.write import settle
from vcr.foreign import MAX_LADDER, load_json, read_bytes
from vcr.formats.oci import Descriptor, Layout
from vcr.model.digest import Digest
from vcr.model.url import repository_of
from vcr.tools.skopeo import Skopeo


def push(skopeo: Skopeo, export: Path, reference: Reference) -> Digest:
    """Push the EXPORT to REFERENCE; return the digest of its index.

    Raises UsageError, MismatchError for an export that is not whole, VcrError.
    """
    if reference.digest:
        raise UsageError("a digest cannot be pushed to", fix="give a tag, or leave it out")
    manifest = check_export(export)
    with scratch_directory() as scratch:
        layout = scratch / "layout"
        digest = write_layout(export, manifest, layout)
        skopeo.push_all(layout, reference.image, plain_http=reference.is_loopback)
        ensure_listed(skopeo, reference, *_referring(layout))
    return digest


def _referring(layout: Path) -> tuple[Descriptor, Artifact]:
    """Return the image in LAYOUT, of one export, and the artifact that refers to it."""
    (top,) = load_json(read_bytes(layout / "index.json", MAX_LADDER))["manifests"]
    blob = Layout(layout).blob(top["digest"])
    image, artifact = load_json(read_bytes(blob, MAX_LADDER))["manifests"]
    subject = Descriptor(image["mediaType"], image["digest"], image["size"])
    return subject, Artifact.of_row(artifact)


def write(export: Path, target: Path) -> Digest:
    """Write the EXPORT as an OCI layout into TARGET, empty or missing; raises as `push`."""
    manifest = check_export(export)
    with new_directory(target) as root:
        digest = write_layout(export, manifest, root)
        settle(root, manifest.epoch)
    return digest


def pull(
    skopeo: Skopeo,
    reference: Reference,
    target: Path,
    expected: str,
    accept: Callable[[Path, str], object] = lambda _root, _pinned: None,
) -> Manifest:
    """Pull the export at REFERENCE into TARGET, empty or missing; return its manifest.

    EXPECTED is the digest that its manifest must have, or "". ACCEPT is given the directory and
    what names the release by digest, before TARGET is there, and raises to refuse it. Raises
    FetchError, MismatchError.
    """
    plain_http = reference.is_loopback
    with new_directory(target) as root, scratch_directory() as scratch:
        claims = read_claims(skopeo, reference.image, plain_http=plain_http)
        check_room(claims, root, scratch)
        layout = scratch / "layout"
        # By digest: what is fetched is what was asked about.
        pinned = f"{repository_of(reference.image)}@{claims.digest}"
        skopeo.copy_all(pinned, layout, plain_http=plain_http, most=claims.size)
        unpack_layout(layout, root)
        manifest = check_export(root, expected)
        accept(root, pinned.removeprefix("docker://"))
        settle(root, manifest.epoch)
    return manifest
