"""An export as OCI content: its image, and an artifact with everything else.

One index holds both, so one reference names the whole export and `docker pull` of it
gets the image. The artifact is what ORAS makes and takes: an `artifactType`, the empty
config, a layer a file, and its path as title.
https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md#guidelines-for-artifact-usage
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vcr.errors import MismatchError
from vcr.export.check import MALFORMED
from vcr.export.manifest import (
    BLOBS,
    DEPLOY,
    DRIVE,
    IMAGE,
    LADDER,
    MACHINE,
    MANIFEST,
    VERITY,
    Manifest,
    read_manifest,
)
from vcr.model.digest import Digest
from vcr.sandbox.failure import Failure
from vcr.sandbox.oci import INDEX, TAG, Descriptor, Layout, canonical
from vcr.sandbox.oci import MANIFEST as MANIFEST_TYPE

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
    f"{IMAGE}/index.json": INDEX,
    f"{IMAGE}/oci-layout": "application/vnd.oci.layout.header.v1+json",
}
OTHER = "application/octet-stream"
# No platform: nobody who wants an image takes the artifact for one.
NOWHERE = {"architecture": "unknown", "os": "unknown"}


def write_layout(export: Path, manifest: Manifest, root: Path) -> Digest:
    """Write the checked EXPORT as an OCI layout at ROOT; return the digest of its index."""
    layout = Layout(root)
    root.mkdir(parents=True, exist_ok=True)
    image = json.loads((export / IMAGE / "index.json").read_bytes())["manifests"][0]
    image.pop("annotations", None)  # names that are of the layout
    layers = []
    for path in sorted([MANIFEST, *(file.path for file in manifest.files)]):
        blob = layout.add_file(export / path, TYPES.get(path, OTHER))
        if not path.startswith(f"{BLOBS}/"):
            layers.append(blob.to_json(annotations={TITLE: path}))
    artifact = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT,
        "config": layout.add_bytes(b"{}", EMPTY).to_json(),
        "layers": layers,
        "subject": {key: image[key] for key in ("mediaType", "digest", "size")},
    }
    row = layout.add_bytes(canonical(artifact), MANIFEST_TYPE)
    rows = [image, row.to_json(artifactType=ARTIFACT, platform=NOWHERE)]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}
    found = layout.add_bytes(canonical(index), INDEX)
    layout.finish([found.to_json(annotations={REF_NAME: TAG})])
    return Digest(found.digest)


def unpack_layout(root: Path, target: Path) -> None:
    """Make the export in the OCI layout at ROOT anew, in the directory TARGET.

    Every file is taken by its digest. Raises MismatchError.
    """
    layout = Layout(root)
    try:
        manifests = dict(_manifests(layout))
        data = _content_of(layout, manifests)
        files = read_manifest(data).files
        _check_images(manifests, {file.path for file in files})
        for file in files:
            descriptor = Descriptor(OTHER, f"sha256:{file.sha256}", file.size)
            path = target / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(layout.checked(descriptor.to_json()), path)
    except Failure as failure:
        raise MismatchError(
            failure.report["what"], fix="it was not pushed by vcr, or not whole"
        ) from None
    except MALFORMED as error:
        raise MismatchError("this holds no export of vcr", why=str(error)) from None
    (target / MANIFEST).write_bytes(data)


def _manifests(layout: Layout) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield digest and content of each manifest in LAYOUT, however deep in indexes it is."""
    pending = list(json.loads((layout.root / "index.json").read_bytes())["manifests"])
    while pending:
        descriptor = pending.pop(0)
        content = json.loads(layout.checked(descriptor).read_bytes())
        if descriptor["mediaType"] == INDEX:
            pending += content["manifests"]
        else:
            yield descriptor["digest"], content


def _content_of(layout: Layout, manifests: dict[str, dict[str, Any]]) -> bytes:
    """Return manifest.json of the artifact among MANIFESTS; raises ValueError without one."""
    for content in manifests.values():
        for layer in content["layers"] if content.get("artifactType") == ARTIFACT else ():
            if layer.get("annotations", {}).get(TITLE) == MANIFEST:
                return layout.checked(layer).read_bytes()
    raise ValueError("there is no artifact of that type in it")


def _check_images(manifests: dict[str, dict[str, Any]], paths: set[str]) -> None:
    """Raise MismatchError when who pulls an image gets another than the export's."""
    for digest, content in manifests.items():
        is_known = f"{BLOBS}/{digest.removeprefix('sha256:')}" in paths
        if content.get("artifactType") != ARTIFACT and not is_known:
            raise MismatchError(
                "the image beside the export is another one",
                details=[("got", digest)],
                fix="do not use either",
            )
