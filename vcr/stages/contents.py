"""What is in an image: its layers, the packages they were made of, and its largest files."""

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from vcr.model.plan import Debs, Layer


@dataclass(frozen=True)
class Package:
    """A Debian package, as its file is named: Debian Policy 5.6.12 and dpkg-name(1)."""

    name: str
    version: str
    size: int  # bytes, compressed as fetched


@dataclass(frozen=True)
class File:
    """A regular file of a layer."""

    path: str
    size: int  # bytes
    layer: str


def packages_of(layers: Mapping[str, Layer]) -> tuple[Package, ...]:
    """Return the packages of LAYERS, largest first."""
    found = {
        Package(*_name_and_version(deb.url), deb.size)
        for layer in layers.values()
        if isinstance(layer, Debs)
        for deb in layer.debs
    }
    return tuple(sorted(found, key=lambda package: (-package.size, package.name)))


def _name_and_version(url: str) -> tuple[str, str]:
    name, _, rest = unquote(url).rpartition("/")[2].partition("_")
    return name, rest.partition("_")[0]


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
