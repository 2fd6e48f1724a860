"""What is in an image: the largest files of its layers."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    """A regular file of a layer."""

    path: str
    size: int  # bytes
    layer: str


def largest_files(manifest: Path, layers: Sequence[str], count: int) -> tuple[File, ...]:
    """Return the COUNT largest files of an image.

    MANIFEST is a blob of its OCI layout, beside which its layers are; LAYERS are their
    names. Raises OSError, ValueError.
    """
    digests = [row["digest"] for row in json.loads(manifest.read_bytes())["layers"]]
    files = (
        file
        for digest, layer in zip(digests, layers, strict=True)
        for file in _files(layer, manifest.with_name(digest.removeprefix("sha256:")))
    )
    return tuple(sorted(files, key=lambda file: (-file.size, file.path))[:count])


def _files(layer: str, blob: Path) -> Iterator[File]:
    with tarfile.open(blob) as archive:
        yield from (
            File(f"/{member.name}", member.size, layer) for member in archive if member.isreg()
        )
