"""OCI images: layouts read with every digest checked, and written canonically.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

import datetime as dt
import hashlib
import json
import re
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.formats.failure import Failure
from vcr.formats.packed import uncompressed
from vcr.formats.tar import apply_layer
from vcr.formats.tree import Tree

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
# What nests: the index, and Docker's name for it.
INDEX_TYPES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
TAG = "latest"
MAX_DOCUMENT = 4 << 20  # bytes: what the distribution specification, 1.1, lets a manifest have
MAX_MANIFESTS = 1000  # of a layout
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Descriptor:
    """A blob: media type, digest, size in bytes."""

    media_type: str
    digest: str
    size: int

    def to_json(self, **more: object) -> dict[str, Any]:
        """Return the OCI descriptor object."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **more}


def sha256_of(path: Path) -> str:
    """Return the digest of the file at PATH, as `sha256:<hex>`."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def canonical(value: object) -> bytes:
    """Return VALUE as JSON without spaces, keys sorted."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def timestamp(epoch: int) -> str:
    """Return EPOCH, in seconds, as RFC 3339."""
    return dt.datetime.fromtimestamp(epoch, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rows(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the list of objects NAME of a manifest or an index; raises Failure without one."""
    found = document.get(name)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise Failure("the image's manifest or config is malformed", why=f"it has no {name}")
    return found


def _document(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_DOCUMENT:
        raise Failure(f"a manifest or config of the image has more than {MAX_DOCUMENT} bytes")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Failure("the image's manifest or config is malformed", why=str(error)) from None
    if not isinstance(content, dict):
        raise Failure("the image's manifest or config is malformed", why="it is not an object")
    return content


class Blobs:
    """Blobs by digest, wherever each is."""

    def blob(self, digest: str) -> Path:
        """Return the path of a blob, where nothing need be."""
        raise NotImplementedError

    def checked(self, descriptor: Any) -> Path:
        """Return the path of a blob whose digest and size are what DESCRIPTOR says.

        Raises Failure, also for what is not a descriptor.
        """
        fields = descriptor if isinstance(descriptor, dict) else {}
        digest, size = fields.get("digest"), fields.get("size")
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise Failure(f"{digest!r} is not a digest vcr can check")
        path = self.blob(digest)
        if not path.is_file():
            raise Failure(f"the image has no blob {digest}")
        if path.stat().st_size != size or sha256_of(path) != digest:
            raise Failure(f"the blob {digest} of the image has other content")
        return path

    def document(self, descriptor: Any) -> dict[str, Any]:
        """Return the JSON object that is the blob of DESCRIPTOR; raises Failure."""
        return _document(self.checked(descriptor))

    def flatten(self, manifest_digest: str, scratch: Path, zstd: Path | None = None) -> Tree:
        """Return the file system of a manifest: its layers laid over one another.

        ZSTD is the program for layers that are packed with it.
        """
        tree = Tree()
        for descriptor, diff_id in self._layers(manifest_digest):
            layer = uncompressed(self.checked(descriptor), scratch, zstd)
            if sha256_of(layer) != diff_id:
                raise Failure(f"the layer {descriptor['digest']} does not hold {diff_id}")
            apply_layer(tree, layer)
        return tree

    def _layers(self, manifest_digest: str) -> list[tuple[dict[str, Any], str]]:
        """Return (descriptor, diff id) of each layer; raises Failure for a malformed image."""
        path = self.blob(manifest_digest)
        size = path.stat().st_size if path.is_file() else -1
        manifest = self.document({"digest": manifest_digest, "size": size})
        config = self.document(manifest.get("config"))
        layers = rows(manifest, "layers")
        rootfs = config.get("rootfs")
        diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        if not isinstance(diff_ids, list):
            raise Failure("the image's config does not name its layers")
        if len(diff_ids) != len(layers):
            raise Failure("the image's config does not name each of its layers")
        return list(zip(layers, diff_ids, strict=True))


@dataclass(frozen=True)
class BlobFiles(Blobs):
    """Blobs that are files anywhere."""

    paths: Mapping[str, Path]

    def blob(self, digest: str) -> Path:
        """Return the path of a blob, where nothing need be."""
        return self.paths.get(digest) or Path("/nonexistent", digest)


@dataclass(frozen=True)
class Layout(Blobs):
    """An OCI layout directory."""

    root: Path

    def blob(self, digest: str) -> Path:
        """Return the path of a blob."""
        return self.root / "blobs/sha256" / digest.removeprefix("sha256:")

    def manifests(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield descriptor and content of each manifest, however deep in indexes, each once.

        Raises Failure: an index may name others, and each of these all of them again.
        """
        path = self.root / "index.json"
        if not path.is_file():
            raise Failure("the image has no index.json")
        pending = deque(rows(_document(path), "manifests"))
        seen: set[str] = set()
        while pending:
            descriptor = pending.popleft()
            if str(descriptor.get("digest")) in seen:
                continue
            content = self.document(descriptor)
            seen.add(descriptor["digest"])
            if len(seen) + len(pending) > MAX_MANIFESTS:
                raise Failure(f"the image has more than {MAX_MANIFESTS} manifests")
            if str(descriptor.get("mediaType")) in INDEX_TYPES:
                pending.extend(rows(content, "manifests"))
            else:
                yield descriptor, content

    def add_bytes(self, data: bytes, media_type: str) -> Descriptor:
        """Store DATA as a blob."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.blob(digest).parent.mkdir(parents=True, exist_ok=True)
        self.blob(digest).write_bytes(data)
        return Descriptor(media_type, digest, len(data))

    def add_file(self, path: Path, media_type: str) -> Descriptor:
        """Store a copy of the file at PATH as a blob."""
        digest = sha256_of(path)
        self.blob(digest).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, self.blob(digest))
        return Descriptor(media_type, digest, path.stat().st_size)

    def add_image(
        self,
        layers: list[Path],
        config: dict[str, Any],
        arch: str,
        epoch: int,
        *,
        author: str = "",
    ) -> Descriptor:
        """Store an image of uncompressed LAYERS, bottom first; return its manifest."""
        blobs = [self.add_file(layer, LAYER) for layer in layers]
        config_blob = canonical(
            {
                **platform(arch),
                **({"author": author} if author else {}),
                "config": config,
                "created": timestamp(epoch),
                "rootfs": {"type": "layers", "diff_ids": [blob.digest for blob in blobs]},
            }
        )
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.add_bytes(config_blob, CONFIG).to_json(),
            "layers": [blob.to_json() for blob in blobs],
        }
        return self.add_bytes(canonical(manifest), MANIFEST)

    def finish(self, manifests: list[dict[str, Any]]) -> None:
        """Write index.json over MANIFESTS, descriptors with annotations, and oci-layout."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        (self.root / "index.json").write_bytes(canonical(index))
        (self.root / "oci-layout").write_bytes(canonical({"imageLayoutVersion": "1.0.0"}))


def platform(arch: str) -> dict[str, str]:
    """Return the platform object of a descriptor; the specification wants arm64's variant."""
    variant = {"variant": "v8"} if arch == "arm64" else {}
    return {"architecture": arch, "os": "linux", **variant}
