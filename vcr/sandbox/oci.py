"""OCI images: layouts read with every digest checked, and written canonically.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

import datetime as dt
import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failure import Failure
from .tar import apply_layer, uncompressed
from .tree import Tree

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
TAG = "latest"
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


@dataclass(frozen=True)
class Layout:
    """An OCI layout directory."""

    root: Path

    def blob(self, digest: str) -> Path:
        """Return the path of a blob."""
        return self.root / "blobs/sha256" / digest.removeprefix("sha256:")

    def checked(self, descriptor: dict[str, Any]) -> Path:
        """Return the path of a blob whose digest and size are what DESCRIPTOR says."""
        if not _DIGEST.fullmatch(descriptor["digest"]):
            raise Failure(f"{descriptor['digest']!r} is not a digest vcr can check")
        path = self.blob(descriptor["digest"])
        if not path.is_file():
            raise Failure(f"the image has no blob {descriptor['digest']}")
        if path.stat().st_size != descriptor["size"] or sha256_of(path) != descriptor["digest"]:
            raise Failure(f"the blob {descriptor['digest']} of the image has other content")
        return path

    def flatten(self, manifest_digest: str, scratch: Path) -> Tree:
        """Return the file system of a manifest: its layers laid over one another."""
        tree = Tree()
        for descriptor, diff_id in self._layers(manifest_digest):
            layer = uncompressed(self.checked(descriptor), scratch)
            if sha256_of(layer) != diff_id:
                raise Failure(f"the layer {descriptor['digest']} does not hold {diff_id}")
            apply_layer(tree, layer)
        return tree

    def _layers(self, manifest_digest: str) -> list[tuple[dict[str, Any], str]]:
        """Return (descriptor, diff id) of each layer; raises Failure for a malformed image."""
        path = self.blob(manifest_digest)
        size = path.stat().st_size if path.is_file() else -1
        try:
            manifest_blob = self.checked({"digest": manifest_digest, "size": size})
            manifest = json.loads(manifest_blob.read_bytes())
            config = json.loads(self.checked(manifest["config"]).read_bytes())
            layers = [dict(layer) for layer in manifest["layers"]]
            diff_ids = [str(diff_id) for diff_id in config["rootfs"]["diff_ids"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Failure("the image's manifest or config is malformed", why=str(error)) from None
        if len(diff_ids) != len(layers):
            raise Failure("the image's config does not name each of its layers")
        return list(zip(layers, diff_ids, strict=True))

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
        self, layers: list[Path], config: dict[str, Any], arch: str, epoch: int
    ) -> Descriptor:
        """Store an image of uncompressed LAYERS, bottom first; return its manifest."""
        blobs = [self.add_file(layer, LAYER) for layer in layers]
        config_blob = canonical(
            {
                **platform(arch),
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
