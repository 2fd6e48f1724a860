"""What files an export has: those of its profile, and the blobs of its image, no others."""

from pathlib import Path
from typing import Any

from vcr.errors import MismatchError
from vcr.export.manifest import (
    BLOBS,
    DEPLOY,
    DRIVE,
    IMAGE,
    LADDER,
    MACHINE,
    MAX_BYTES,
    VERITY,
    Manifest,
)
from vcr.foreign import MAX_LADDER, load_json, read_bytes
from vcr.formats.oci import CONFIG, INDEX, canonical, platform
from vcr.formats.oci import MANIFEST as MANIFEST_TYPE
from vcr.model.profile import PROFILES, current_name
from vcr.sandbox.squashfs import SQUASHFS

VERIFY = "verify.sh"
INDEX_FILE, LAYOUT_FILE = f"{IMAGE}/index.json", f"{IMAGE}/oci-layout"
ALWAYS = frozenset({DEPLOY, INDEX_FILE, LAYOUT_FILE, "initramfs", "kernel", LADDER, VERIFY})
SEALED, BOOTED = frozenset({DRIVE, VERITY, MACHINE}), frozenset({SQUASHFS})
LAYOUT = canonical({"imageLayoutVersion": "1.0.0"})


def check_contents(root: Path, manifest: Manifest, image: str) -> None:
    """Raise MismatchError unless the export at ROOT has what MANIFEST's profile has.

    Its files are as MANIFEST says. IMAGE is the digest of its image, by the ladder. Raises
    what JSON of another shape leads to.
    """
    sizes = {file.path: file.size for file in manifest.files}
    profile = PROFILES.get(current_name(manifest.profile))
    if profile is None:
        raise MismatchError("the export is of an unknown profile", why=manifest.profile)
    if sum(sizes.values()) > MAX_BYTES:
        raise MismatchError(f"the export has more than {MAX_BYTES} bytes")
    wanted = ALWAYS | (SEALED if profile.is_sealed else BOOTED)
    blobs = _blobs_of(root, image)
    _check_index(root, manifest, image, sizes)
    for path in sorted(sizes.keys() ^ (wanted | blobs)):
        how = "does not belong to" if path in sizes else "is missing in"
        raise MismatchError(f"{path} {how} an export of {manifest.profile}", fix="get it again")


def image_row(root: Path) -> dict[str, Any]:
    """Return the descriptor of the image in the export at ROOT, without names of its layout."""
    (row,) = load_json(read_bytes(root / INDEX_FILE, MAX_LADDER))["manifests"]
    return {key: value for key, value in row.items() if key != "annotations"}


def _check_index(root: Path, manifest: Manifest, image: str, sizes: dict[str, int]) -> None:
    """Raise MismatchError unless the layout names the IMAGE, once, for its architecture."""
    index = load_json(read_bytes(root / INDEX_FILE, MAX_LADDER))
    row: dict[str, Any] = {
        "mediaType": MANIFEST_TYPE,
        "digest": image,
        "size": sizes[_blob(image)],
        "platform": platform(manifest.arch),
    }
    names = index["manifests"][0].get("annotations", {})
    told = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**row, "annotations": names}]}
    is_canonical = read_bytes(root / INDEX_FILE, MAX_LADDER) == canonical(told)
    if not is_canonical or read_bytes(root / LAYOUT_FILE, MAX_LADDER) != LAYOUT:
        raise MismatchError("the layout of the image names another image, or more images")
    made = load_json(read_bytes(root / _blob(image), MAX_LADDER))["config"]
    config = load_json(read_bytes(root / _blob(made["digest"]), MAX_LADDER))
    found = {key: config[key] for key in ("architecture", "os", "variant") if key in config}
    if made["mediaType"] != CONFIG or found != platform(manifest.arch):
        raise MismatchError("the image is for another platform than the export")


def _blobs_of(root: Path, image: str) -> frozenset[str]:
    """Return the paths of all blobs of the IMAGE."""
    told = load_json(read_bytes(root / _blob(image), MAX_LADDER))
    digests = [image, told["config"]["digest"], *(layer["digest"] for layer in told["layers"])]
    return frozenset(map(_blob, digests))


def _blob(digest: str) -> str:
    return f"{BLOBS}/{digest.removeprefix('sha256:')}"
