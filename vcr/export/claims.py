"""What a registry says an export holds, asked before a byte of it is fetched.

Index and manifests are small and checked by their digests. They have to have the form that
`vcr push` gives them, and the sizes they claim are limits for what is fetched then.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.errors import HostError, MismatchError
from vcr.export.artifact import ARTIFACT, EMPTY, NOTHING, NOWHERE, TITLE, type_of
from vcr.export.check import MALFORMED
from vcr.export.manifest import MAX_BYTES, is_path
from vcr.foreign import MAX_LADDER, load_json
from vcr.formats.oci import CONFIG, INDEX, LAYER, MANIFEST, canonical, platform
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.url import repository_of
from vcr.tools.skopeo import Skopeo

MAX_LAYERS = 1000  # of an image, or files of an export
PLAIN = frozenset({"mediaType", "digest", "size"})  # no `urls`: nothing is fetched elsewhere


@dataclass(frozen=True)
class Claims:
    """The index that a reference names now, and how much it says there is."""

    digest: Digest  # of the index
    size: int  # bytes of all blobs together


def read_claims(skopeo: Skopeo, image: str, *, plain_http: bool) -> Claims:
    """Ask for what IMAGE, as skopeo names it, claims to be.

    Raises FetchError, and MismatchError when it is not an export of vcr.
    """
    data = skopeo.raw_bytes(image, plain_http=plain_http)
    repository = repository_of(image)
    try:
        index = _read(data, INDEX)
        rows = index["manifests"]
        blobs: dict[str, int] = {}
        for row, check in zip(rows, (_check_image, _check_artifact), strict=True):
            told = skopeo.raw_bytes(f"{repository}@{_digest(row)}", plain_http=plain_http)
            if (len(told), Digest.of_bytes(told)) != (_size(row), _digest(row)):
                raise MismatchError(f"{image} names a manifest that has other content")
            blobs |= {_digest(each): _size(each) for each in check(row, _read(told, MANIFEST))}
        size = len(data) + sum(map(_size, rows)) + sum(blobs.values())
    except MALFORMED as error:
        raise MismatchError(f"{image} is not an export of vcr", why=str(error)) from None
    if size > MAX_BYTES:
        raise MismatchError(f"{image} says that it has {size} bytes", why=f"{MAX_BYTES} at most")
    return Claims(Digest.of_bytes(data), size)


def check_room(claims: Claims, *directories: Path) -> None:
    """Raise HostError unless there is room in DIRECTORIES for what CLAIMS say."""
    for directory in directories:
        free = shutil.disk_usage(directory).free
        if free < claims.size * len(directories):  # they may be on one disk
            raise HostError(
                f"there is no room for the export in {directory}",
                details=(("needed", f"{claims.size} bytes"), ("free", f"{free} bytes")),
                fix="free some space, or choose a directory on another disk",
            )


def _read(data: bytes, media_type: str) -> dict[str, Any]:
    if len(data) > MAX_LADDER:
        raise ValueError(f"a manifest of more than {MAX_LADDER} bytes")
    content = load_json(data)
    if (content["schemaVersion"], content["mediaType"]) != (2, media_type):
        raise ValueError(f"it is not a {media_type}")
    if canonical(content) != data:
        raise ValueError("it is not written as vcr writes it")
    return dict(content)


def _check_image(row: dict[str, Any], told: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the blobs of the image in ROW, whose manifest is TOLD."""
    _of_type(row, MANIFEST, "platform")
    if row["platform"] not in map(platform, Arch):
        raise ValueError("its first manifest is not that of an image")
    _of_type(told["config"], CONFIG)
    for layer in _layers(told):
        _of_type(layer, LAYER)
    return [told["config"], *told["layers"]]


def _check_artifact(row: dict[str, Any], told: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the blobs of the artifact in ROW, whose manifest is TOLD."""
    _of_type(row, MANIFEST, "artifactType", "platform")
    if (row["artifactType"], row["platform"]) != (ARTIFACT, NOWHERE):
        raise ValueError("its second manifest is not that of the export")
    config = {"mediaType": EMPTY, "digest": Digest.of_bytes(NOTHING), "size": len(NOTHING)}
    if (told["artifactType"], told["config"]) != (ARTIFACT, config):
        raise ValueError("its second manifest is not of the type of an export")
    for layer in _layers(told):
        title = layer["annotations"][TITLE]
        if not is_path(title):
            raise ValueError(f"{title!r} is not a file of an export")
        _of_type(layer, type_of(title), "annotations")
    return [told["config"], *told["layers"]]


def _layers(told: dict[str, Any]) -> list[dict[str, Any]]:
    layers = told["layers"]
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise TypeError("its layers are not a list, or too many")
    return layers


def _of_type(descriptor: dict[str, Any], media_type: str, *more: str) -> None:
    """Raise ValueError unless DESCRIPTOR is of MEDIA_TYPE and has MORE, and nothing else."""
    if descriptor.keys() != PLAIN | set(more):
        raise ValueError(f"a descriptor has {', '.join(sorted(descriptor))}")
    if descriptor["mediaType"] != media_type:
        raise ValueError(f"a descriptor is of {descriptor['mediaType']!r}, not {media_type}")


def _digest(descriptor: dict[str, Any]) -> Digest:
    found = Digest(descriptor["digest"])
    if found.algorithm != "sha256":
        raise ValueError(f"a digest of {found.algorithm}")
    return found


def _size(descriptor: dict[str, Any]) -> int:
    size = descriptor["size"]
    if type(size) is not int or not 0 <= size <= MAX_BYTES:
        raise TypeError("a size is not a number of bytes")
    return size
