"""An export as OCI content: its image, and an artifact with everything else.

One index holds both, so one reference names the whole export and `docker pull` of it
gets the image. The artifact is what ORAS makes and takes: an `artifactType`, the empty
config, a layer a file, and its path as title.
https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md#guidelines-for-artifact-usage
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.errors import MismatchError
from vcr.export.check import MALFORMED
from vcr.export.contents import image_row
from vcr.export.manifest import (
    BLOBS,
    DEPLOY,
    DRIVE,
    IMAGE,
    LADDER,
    MACHINE,
    MANIFEST,
    VERITY,
    File,
    Manifest,
    read_manifest,
)
from vcr.foreign import MAX_LADDER, load_json, read_bytes
from vcr.formats.failure import Failure
from vcr.formats.oci import INDEX, TAG, Descriptor, Layout, canonical
from vcr.formats.oci import MANIFEST as MANIFEST_TYPE
from vcr.model.digest import Digest

ARTIFACT = "application/vnd.vcr.export.v1"
EMPTY = "application/vnd.oci.empty.v1+json"
TITLE = "org.opencontainers.image.title"
REF_NAME = "org.opencontainers.image.ref.name"
TYPES = {
    DRIVE: "application/vnd.vcr.drive.v1.squashfs+verity",
    VERITY: "application/vnd.vcr.verity.v1+json",
    MACHINE: "application/vnd.vcr.machine.v1+json",
    DEPLOY: "application/vnd.vcr.deploy.v1+json",
    LADDER: "application/vnd.vcr.ladder.v1+json",
    MANIFEST: "application/vnd.vcr.manifest.v1+json",
    # Not the type of an index: registries keep those apart from the layers of artifacts.
    f"{IMAGE}/index.json": "application/vnd.vcr.image-index.v1+json",
    f"{IMAGE}/oci-layout": "application/vnd.oci.layout.header.v1+json",
}
OTHER = "application/octet-stream"
NOTHING = b"{}"  # the empty config
MAX_ROWS = 16  # of an index; the canonical one has two
# No platform: nobody who wants an image takes the artifact for one.
NOWHERE = {"architecture": "unknown", "os": "unknown"}


@dataclass(frozen=True)
class Canonical:
    """What an export is as OCI content: a function of its bytes alone."""

    artifact: bytes  # manifest of all files, among them the blobs of the image
    index: bytes  # of the image and the artifact

    @property
    def digest(self) -> Digest:
        """Return the digest of the index, which names the export in a registry."""
        return Digest.of_bytes(self.index)


def canonical_of(export: Path, manifest: Manifest) -> Canonical:
    """Return the OCI content of the checked EXPORT, whose MANIFEST is this."""
    image = image_row(export)
    data = manifest.to_bytes()
    files = {MANIFEST: File(path=MANIFEST, sha256=manifest.digest.hex, size=len(data))}
    files |= {file.path: file for file in manifest.files}
    artifact = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT,
        "config": _descriptor(NOTHING, EMPTY),
        "layers": [
            Descriptor(type_of(path), f"sha256:{file.sha256}", file.size).to_json(
                annotations={TITLE: path}
            )
            for path, file in sorted(files.items())
        ],
        "subject": {key: image[key] for key in ("mediaType", "digest", "size")},
    }
    row = _descriptor(canonical(artifact), MANIFEST_TYPE)
    rows = [image, {**row, "artifactType": ARTIFACT, "platform": NOWHERE}]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}
    return Canonical(canonical(artifact), canonical(index))


def type_of(path: str) -> str:
    """Return the media type of the file at PATH of an export."""
    return TYPES.get(path, OTHER)


def _descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return Descriptor(media_type, Digest.of_bytes(data), len(data)).to_json()


def write_layout(export: Path, manifest: Manifest, root: Path) -> Digest:
    """Write the checked EXPORT as an OCI layout at ROOT; return the digest of its index."""
    layout = Layout(root)
    root.mkdir(parents=True, exist_ok=True)
    for path in (MANIFEST, *(file.path for file in manifest.files)):
        layout.add_file(export / path, type_of(path))
    made = canonical_of(export, manifest)
    layout.add_bytes(NOTHING, EMPTY)
    layout.add_bytes(made.artifact, MANIFEST_TYPE)
    index = layout.add_bytes(made.index, INDEX)
    layout.finish([index.to_json(annotations={REF_NAME: TAG})])
    return made.digest


def unpack_layout(root: Path, target: Path) -> None:
    """Make the export in the OCI layout at ROOT again, in the directory TARGET.

    Every file is taken by its digest, and the index has to be the one that the export makes,
    byte for byte. Raises MismatchError.
    """
    layout = Layout(root)
    try:
        index, rows = _index_of(layout)
        manifests = {row["digest"]: _json(layout, row) for row in rows}
        data = _content_of(layout, manifests)
        manifest = read_manifest(data)
        _check_images(manifests, {file.path for file in manifest.files})
        for file in manifest.files:
            descriptor = Descriptor(OTHER, f"sha256:{file.sha256}", file.size)
            path = target / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(layout.checked(descriptor.to_json()), path)
        (target / MANIFEST).write_bytes(data)
        made = canonical_of(target, manifest)
    except Failure as failure:
        raise MismatchError(
            failure.report["what"], fix="it was not pushed by vcr, or not completely"
        ) from None
    except MALFORMED as error:
        raise MismatchError("this does not contain an export of vcr", why=str(error)) from None
    if index != made.digest:
        raise MismatchError(
            "the index is not the one that the export makes",
            details=[("expected", made.digest), ("got", index)],
            why="it does not have exactly the export's image and the export",
            fix="do not use it: somebody who pulls an image from there may get another one",
        )


def _index_of(layout: Layout) -> tuple[str, list[dict[str, Any]]]:
    """Return the digest of the one index in LAYOUT, and its rows, all of manifests."""
    top = load_json(read_bytes(layout.root / "index.json", MAX_LADDER))
    (named,) = top["manifests"]
    if named["mediaType"] != INDEX:
        raise ValueError("it is not an index")
    rows = _json(layout, named)["manifests"]
    if len(rows) > MAX_ROWS or any(row["mediaType"] != MANIFEST_TYPE for row in rows):
        raise ValueError("its index holds something else than a few manifests")
    return str(named["digest"]), rows


def _json(layout: Layout, descriptor: dict[str, Any]) -> dict[str, Any]:
    """Return what the blob of DESCRIPTOR, a manifest, holds."""
    return dict(load_json(_small(layout, descriptor)))


def _small(layout: Layout, descriptor: dict[str, Any]) -> bytes:
    return read_bytes(layout.checked(descriptor), MAX_LADDER)


def _content_of(layout: Layout, manifests: dict[str, dict[str, Any]]) -> bytes:
    """Return manifest.json of the artifact among MANIFESTS; raises ValueError without one."""
    for content in manifests.values():
        for layer in content["layers"] if content.get("artifactType") == ARTIFACT else ():
            if layer.get("annotations", {}).get(TITLE) == MANIFEST:
                return _small(layout, layer)
    raise ValueError("there is no artifact of that type in it")


def _check_images(manifests: dict[str, dict[str, Any]], paths: set[str]) -> None:
    """Raise MismatchError when who pulls an image gets another than the export's."""
    for digest, content in manifests.items():
        is_known = f"{BLOBS}/{digest.removeprefix('sha256:')}" in paths
        if content.get("artifactType") != ARTIFACT and not is_known:
            raise MismatchError(
                "the image beside the export is another one",
                details=[("got", digest)],
                fix="do not use either of them",
            )
