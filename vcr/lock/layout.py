"""Reads images that somebody else made: which architectures one has, and what each is made of.

Each document has the bytes of its digest, is as small as the distribution specification allows,
and indexes are nested a little at most. Images are those of OCI and of Docker, schema 2.
https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
https://distribution.github.io/distribution/spec/manifest-v2-2/
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vcr.errors import MismatchError, UsageError
from vcr.foreign import read_bytes
from vcr.lock.documents import (
    MAX_MANIFEST,
    Documents,
    FileDocuments,
    checked,
    digest_of,
    json_object,
    wrong,
)
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.lockfile import LockedManifest

INDEX_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
LAYER_TYPES = frozenset(
    {
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    }
)
FOREIGN = ("nondistributable", "foreign")
MAX_DEPTH = 3  # of indexes in indexes
MAX_MANIFESTS = 512  # in all of them
MAX_DOCUMENTS = 64 << 20  # bytes of manifests and indexes together
MAX_BYTES = 64 << 30  # of all blobs of one architecture
# What runs on every machine of an architecture; another variant is taken only without this one.
BASELINES = ("", "v1", "v8")


@dataclass
class Images:
    """What an image has."""

    archs: dict[Arch, LockedManifest] = field(default_factory=dict)
    indexes: dict[str, int] = field(default_factory=dict)  # digest → bytes
    platforms: list[str] = field(default_factory=list)  # also those that vcr builds nothing for


def layout_top(layout: Path) -> tuple[FileDocuments, list[dict[str, Any]]]:
    """Return the documents of LAYOUT, and the descriptors in its index; raises MismatchError."""
    name = str(layout)
    try:
        data = read_bytes(layout / "index.json", MAX_MANIFEST)
    except OSError as error:
        raise wrong(name, f"index.json: {error.strerror}") from None
    documents = FileDocuments(name, lambda digest: layout / "blobs/sha256" / Digest(digest).hex)
    return documents, _listed(json_object(name, data, "index.json"), "the index")


def images(documents: Documents, top: list[dict[str, Any]]) -> Images:
    """Return the images that the descriptors TOP lead to; raises MismatchError, UsageError."""
    found = Images()
    choices: dict[Arch, list[tuple[str, str, dict[str, Any]]]] = {}
    for descriptor, manifest in _manifests(documents, top, found):
        platform = descriptor.get("platform")
        if not isinstance(platform, dict) or not platform.get("architecture"):
            platform = _config(documents, digest_of(descriptor), manifest)
        name = _platform_name(platform)
        if name and name not in found.platforms:
            found.platforms.append(name)
        arch = _word(platform, "architecture")
        if platform.get("os") == "linux" and arch in set(Arch):
            variant = _word(platform, "variant")
            choices.setdefault(Arch(arch), []).append((variant, digest_of(descriptor), manifest))
    for arch, several in choices.items():
        if len(top) > 1 and len({variant for variant, *_ in several}) < len(several):
            raise UsageError(
                f"{documents.name} has more than one image for {arch}",
                fix="make a layout with one image, such as by `skopeo copy`",
            )
        _, digest, manifest = next((c for c in several if c[0] in BASELINES), several[0])
        found.archs[arch] = _image(documents, digest, manifest)
    return found


def image(documents: Documents, digest: str) -> LockedManifest:
    """Return what the image of the manifest DIGEST says; raises MismatchError, UsageError."""
    data = documents.manifest(digest)
    return _image(documents, digest, checked(documents, data, {"digest": digest}))


def leads_to(documents: Documents, digest: str, manifest: str, indexes: dict[str, int]) -> bool:
    """Return whether DIGEST is MANIFEST, or leads to it by way of INDEXES; raises MismatchError."""
    pending, seen = [digest], set[str]()
    while pending:
        current = pending.pop()
        if current == manifest:
            return True
        if current in indexes and current not in seen:
            seen.add(current)
            content = checked(documents, documents.manifest(current), {"digest": current})
            pending += [digest_of(each) for each in _listed(content, f"the index {current}")]
    return False


def _image(documents: Documents, digest: str, manifest: dict[str, Any]) -> LockedManifest:
    size = len(documents.manifest(digest))
    blobs = {digest: size}
    layers = manifest.get("layers")
    if not isinstance(layers, list):
        raise wrong(documents.name, f"the manifest {digest} has no layers")
    for layer in layers:
        _check_layer(documents, layer)
    for descriptor in (manifest.get("config"), *layers):
        blobs[digest_of(descriptor)] = _size(documents, descriptor)
    if sum(blobs.values()) > MAX_BYTES:
        raise wrong(documents.name, f"{digest} says that it has {sum(blobs.values())} bytes")
    config = _config(documents, digest, manifest).get("config") or {}
    if not isinstance(config, dict):
        raise wrong(documents.name, "an image's config is not an object")
    return LockedManifest(manifest=digest, config=config, blobs=blobs)


def _size(documents: Documents, descriptor: Any) -> int:
    size = descriptor.get("size")
    if type(size) is not int or not 0 <= size <= 1 << 50:
        raise wrong(documents.name, f"{digest_of(descriptor)} has no size")
    return size


def _check_layer(documents: Documents, layer: Any) -> None:
    """Raise UsageError for a layer that vcr cannot take."""
    kind = str(layer.get("mediaType")) if isinstance(layer, dict) else ""
    if kind in LAYER_TYPES:
        return
    if any(word in kind for word in FOREIGN):
        raise UsageError(
            f"{documents.name} has a layer that its registry does not have",
            why=f"{digest_of(layer)} is {kind}: such layers come from a server of their maker,"
            " and nobody else may distribute them",
            fix="use another image",
        )
    raise UsageError(
        f"{documents.name} has a layer of an unknown kind",
        why=f"its media type is {kind!r}; vcr knows tar, plain or packed with gzip or zstd",
        fix="use another image",
    )


def _manifests(
    documents: Documents, top: list[dict[str, Any]], found: Images
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the descriptor and the content of each manifest that may be an image, each once."""
    pending = [(each, 0) for each in top]
    seen: set[str] = set()
    read = 0
    while pending:
        descriptor, depth = pending.pop(0)
        digest = digest_of(descriptor)
        if digest in seen:
            continue
        seen.add(digest)
        if len(seen) > MAX_MANIFESTS:
            raise wrong(documents.name, f"it has more than {MAX_MANIFESTS} manifests")
        if _is_other(descriptor, found):
            continue
        data = documents.manifest(digest)
        read += len(data)
        if read > MAX_DOCUMENTS:
            raise wrong(documents.name, f"its manifests have more than {MAX_DOCUMENTS} bytes")
        content = checked(documents, data, descriptor)
        if not _is_index(descriptor, content):
            _check_kind(documents, content)
            yield descriptor, content
        elif depth == MAX_DEPTH:
            raise wrong(documents.name, f"its indexes are nested more than {MAX_DEPTH} deep")
        else:
            found.indexes[digest] = len(data)
            pending += [(each, depth + 1) for each in _listed(content, f"the index {digest}")]


def _is_other(descriptor: dict[str, Any], found: Images) -> bool:
    """Return whether DESCRIPTOR says that it is of no system that vcr builds for.

    Such are attestations, which BuildKit gives the platform unknown/unknown, and other systems:
    https://docs.docker.com/build/metadata/attestations/attestation-storage/
    """
    platform = descriptor.get("platform")
    if not isinstance(platform, dict) or not platform.get("architecture"):
        return False
    if _word(descriptor, "mediaType") in INDEX_TYPES:
        return False
    name = _platform_name(platform)
    if not name:
        return True
    is_ours = platform.get("os") == "linux" and _word(platform, "architecture") in set(Arch)
    if not is_ours and name not in found.platforms:
        found.platforms.append(name)
    return not is_ours


def _platform_name(platform: dict[str, Any]) -> str:
    """Return PLATFORM as people write it, "" for what is none."""
    words = [word for key in ("os", "architecture", "variant") if (word := _word(platform, key))]
    return "" if "unknown" in words or len(words) < 2 else "/".join(words)


def _is_index(descriptor: dict[str, Any], content: dict[str, Any]) -> bool:
    kind = _word(descriptor, "mediaType") or _word(content, "mediaType")
    return kind in INDEX_TYPES if kind else "manifests" in content


def _word(document: dict[str, Any], key: str) -> str:
    """Return the text that DOCUMENT has for KEY, "" where it has none, or anything else."""
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _check_kind(documents: Documents, manifest: dict[str, Any]) -> None:
    kind = _word(manifest, "mediaType")
    if kind.startswith(SCHEMA_1) or manifest.get("schemaVersion") == 1:
        raise UsageError(
            f"{documents.name} is an image of the old form, schema 1",
            why="it does not name its layers by what they hold",
            fix="let its maker push it again with a recent tool, or use another image",
        )


def _config(documents: Documents, digest: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the config of MANIFEST, which has DIGEST; {} where there is none."""
    descriptor = manifest.get("config")
    if not isinstance(descriptor, dict):
        return {}
    config = digest_of(descriptor)
    return checked(documents, documents.config(config, digest), descriptor)


def _listed(index: dict[str, Any], what: str) -> list[dict[str, Any]]:
    listed = index.get("manifests")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise MismatchError(f"{what} of an image lists no manifests", fix="use another image")
    return listed
