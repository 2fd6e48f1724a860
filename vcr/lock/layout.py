"""Reads an OCI layout that somebody else made: which images it has, and what they say.

Each blob has the bytes of its digest, is as small as the distribution specification allows,
and indexes are nested a little at most.
https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vcr.errors import MismatchError
from vcr.foreign import MIB, load_json, read_bytes
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.lockfile import LockedManifest

INDEX_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
# As much as a manifest may have: the distribution specification, "Pushing Manifests".
MAX_MANIFEST = 4 * MIB
MAX_DEPTH = 3  # of indexes in indexes
MAX_MANIFESTS = 512  # in all of them


def top_digests(layout: Path) -> set[str]:
    """Return the digests that LAYOUT itself names; raises MismatchError."""
    return {_digest(descriptor) for descriptor in _listed(_json(layout, "index.json"), "the index")}


def images(layout: Path) -> dict[Arch, LockedManifest]:
    """Return the image of each architecture in LAYOUT; raises MismatchError."""
    found: dict[Arch, LockedManifest] = {}
    for descriptor, manifest in _manifests(layout):
        platform = descriptor.get("platform")
        arch = platform.get("architecture") if isinstance(platform, dict) else None
        arch = arch or _config(layout, manifest).get("architecture")
        if arch in set(Arch) and Arch(arch) not in found:
            found[Arch(arch)] = image(layout, _digest(descriptor))
    return found


def image(layout: Path, digest: str) -> LockedManifest:
    """Return what the image of the manifest DIGEST in LAYOUT says; raises MismatchError."""
    config = _config(layout, _blob(layout, digest)).get("config") or {}
    if not isinstance(config, dict):
        raise _wrong(layout, "an image's config is not an object")
    return LockedManifest(manifest=digest, config=config)


def _manifests(layout: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the descriptor and the content of each manifest in LAYOUT, each once."""
    pending = [(each, 0) for each in _listed(_json(layout, "index.json"), "the index")]
    seen: set[str] = set()
    while pending:
        descriptor, depth = pending.pop(0)
        digest = _digest(descriptor)
        if digest in seen:
            continue
        seen.add(digest)
        if len(seen) > MAX_MANIFESTS:
            raise _wrong(layout, f"it has more than {MAX_MANIFESTS} manifests")
        content = _blob(layout, digest)
        if descriptor.get("mediaType") not in INDEX_TYPES:
            yield descriptor, content
        elif depth == MAX_DEPTH:
            raise _wrong(layout, f"its indexes are nested more than {MAX_DEPTH} deep")
        else:
            pending += [(each, depth + 1) for each in _listed(content, f"the index {digest}")]


def _config(layout: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the config blob of MANIFEST; {} for a manifest of something else than an image."""
    config = manifest.get("config")
    return _blob(layout, _digest(config)) if isinstance(config, dict) else {}


def _listed(index: dict[str, Any], what: str) -> list[dict[str, Any]]:
    listed = index.get("manifests")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise MismatchError(f"{what} of an image lists no manifests", fix="use another image")
    return listed


def _digest(descriptor: dict[str, Any]) -> str:
    """Return the digest that DESCRIPTOR has; raises MismatchError unless it is of SHA-256."""
    digest = descriptor.get("digest")
    try:
        if isinstance(digest, str) and Digest(digest).algorithm == "sha256":
            return digest
    except ValueError:
        pass
    raise MismatchError("an image names something without a digest", fix="use another image")


def _blob(layout: Path, digest: str) -> dict[str, Any]:
    return _json(layout, f"blobs/sha256/{Digest(digest).hex}", digest)


def _json(layout: Path, name: str, digest: str = "") -> dict[str, Any]:
    """Return the JSON object in the file NAME of LAYOUT, of DIGEST; raises MismatchError."""
    try:
        data = read_bytes(layout / name, MAX_MANIFEST)
    except OSError as error:
        raise _wrong(layout, f"{name}: {error.strerror}") from None
    if digest and Digest.of_bytes(data) != digest:
        raise _wrong(layout, f"the blob {digest} has other content")
    try:
        found = load_json(data)
    except ValueError as error:
        raise _wrong(layout, f"{name}: {error}") from None
    if not isinstance(found, dict):
        raise _wrong(layout, f"{name} is not an object")
    return found


def _wrong(layout: Path, why: str) -> MismatchError:
    return MismatchError(
        f"the image in {layout} is not a valid image", why=why, fix="use another image"
    )
