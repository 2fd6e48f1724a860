"""Manifests, indexes and configs of images, by digest: of a registry, a layout, or the store.

What is read has the bytes and the size that its descriptor says, whoever gives it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from vcr.errors import MismatchError
from vcr.foreign import MIB, load_json, read_bytes
from vcr.model.digest import Digest
from vcr.tools.skopeo import Skopeo

# As much as a manifest may have: the distribution specification, "Pushing Manifests".
MAX_MANIFEST = 4 * MIB


class Documents(Protocol):
    """Where documents are read; each method raises FetchError, MismatchError."""

    @property
    def name(self) -> str:
        """Return the name of the image, for messages."""
        ...

    def manifest(self, digest: str) -> bytes:
        """Return the manifest or the index DIGEST."""
        ...

    def config(self, digest: str, manifest: str) -> bytes:
        """Return the config DIGEST of the manifest that has the digest MANIFEST."""
        ...


@dataclass(frozen=True)
class FileDocuments:
    """Documents that are files; BLOB tells where the one of a digest is."""

    name: str
    blob: Callable[[str], Path]

    def manifest(self, digest: str) -> bytes:
        """Return the manifest or the index DIGEST."""
        try:
            return read_bytes(self.blob(digest), MAX_MANIFEST)
        except OSError as error:
            raise wrong(self.name, f"its blob {digest}: {error.strerror}") from None

    def config(self, digest: str, manifest: str) -> bytes:  # noqa: ARG002 -- as in a registry
        """Return the config DIGEST of the manifest that has the digest MANIFEST."""
        return self.manifest(digest)


@dataclass(frozen=True)
class RegistryDocuments:
    """Documents of a repository of a registry, each of which is fetched once."""

    name: str  # docker://HOST/NAME
    skopeo: Skopeo
    read: dict[str, bytes] = field(default_factory=dict)  # by digest

    def manifest(self, digest: str) -> bytes:
        """Return the manifest or the index DIGEST."""
        if digest not in self.read:
            self.read[digest] = self.skopeo.raw_bytes(f"{self.name}@{digest}")
        return self.read[digest]

    def config(self, digest: str, manifest: str) -> bytes:
        """Return the config DIGEST of the manifest that has the digest MANIFEST."""
        if digest not in self.read:
            self.read[digest] = self.skopeo.config_bytes(f"{self.name}@{manifest}")
        return self.read[digest]


def checked(documents: Documents, data: bytes, descriptor: dict[str, Any]) -> dict[str, Any]:
    """Return DATA as a JSON object, if it is what DESCRIPTOR says; raises MismatchError."""
    digest, size = digest_of(descriptor), descriptor.get("size", len(data))
    if Digest.of_bytes(data) != digest:
        raise wrong(documents.name, f"the blob {digest} has other content")
    if size != len(data):
        raise wrong(documents.name, f"the blob {digest} has {len(data)} bytes, not {size}")
    return json_object(documents.name, data, digest)


def json_object(name: str, data: bytes, what: str) -> dict[str, Any]:
    """Return DATA, WHAT of the image NAME, as a JSON object; raises MismatchError."""
    try:
        found = load_json(data)
    except ValueError as error:
        raise wrong(name, f"{what}: {error}") from None
    if not isinstance(found, dict):
        raise wrong(name, f"{what} is not an object")
    return found


def digest_of(descriptor: object) -> str:
    """Return the digest that DESCRIPTOR has; raises MismatchError unless it is of SHA-256."""
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    try:
        if isinstance(digest, str) and Digest(digest).algorithm == "sha256":
            return digest
    except ValueError:
        pass
    raise MismatchError("an image names something without a digest", fix="use another image")


def wrong(name: str, why: str) -> MismatchError:
    """Return an error about the image NAME."""
    return MismatchError(
        f"the image in {name} is not a valid image", why=why, fix="use another image"
    )
