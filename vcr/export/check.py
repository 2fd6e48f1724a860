"""Checks an export: every byte, nothing more and nothing less, and the drive by its tree."""

import json
import struct
from pathlib import Path
from typing import Any

from vcr.engines.sealed import check_drive
from vcr.errors import MismatchError, UsageError
from vcr.export.manifest import (
    BLOBS,
    DRIVE,
    LADDER,
    MANIFEST,
    VERITY,
    File,
    Manifest,
    read_manifest,
)
from vcr.sandbox.squashfs import SQUASHFS

# rungs that are the SHA-256 of a file
PLAIN = {"kernel": "kernel", "initramfs": "initramfs", "squashfs": SQUASHFS}
# what JSON that somebody else wrote may lead to
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
             struct.error)  # fmt: skip
AGAIN = "get the export again"


def check_export(root: Path, expected: str = "") -> Manifest:
    """Read all of the export at ROOT; return its manifest.

    EXPECTED is the digest that the manifest must have, if one is known. Raises
    MismatchError that names the file, UsageError when there is no export.
    """
    try:
        data = (root / MANIFEST).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{root} is no export", why=str(error), fix="`vcr export` makes one"
        ) from None
    manifest = read_manifest(data)
    if expected and manifest.digest != expected:
        raise MismatchError(
            "this is another export",
            details=(("expected", expected), ("got", manifest.digest)),
            fix="get the one whose manifest has that digest",
        )
    _check_list(root, manifest)
    for file in manifest.files:
        _check_file(root, file)
    _check_ladder(root, manifest)
    return manifest


def _check_list(root: Path, manifest: Manifest) -> None:
    """Raise MismatchError unless ROOT has the files of MANIFEST and nothing else."""
    listed = {MANIFEST, *(file.path for file in manifest.files)}
    there = set()
    for path in root.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            there.add(str(path.relative_to(root)))
    for extra in sorted(there - listed):
        raise MismatchError(f"{extra} does not belong to the export", fix="remove it")
    for lost in sorted(listed - there):
        raise MismatchError(f"{lost} of the export is not there", fix=AGAIN)


def _check_file(root: Path, file: File) -> None:
    path = root / file.path
    found = None if path.is_symlink() else File.of(root, file.path)
    if found != file:
        raise MismatchError(
            f"{file.path} is not the file that was exported",
            details=(
                ("expected", f"sha256:{file.sha256}"),
                ("got", f"sha256:{found.sha256}" if found else "a link"),
            ),
            fix=AGAIN,
        )
    if file.path.startswith(f"{BLOBS}/") and path.name != file.sha256:
        raise MismatchError(f"{file.path} does not hold what its name says", fix=AGAIN)


def _check_ladder(root: Path, manifest: Manifest) -> None:
    """Raise MismatchError unless the files are what the rungs of the ladder name."""
    digests = {file.path: f"sha256:{file.sha256}" for file in manifest.files}
    try:
        rungs = {str(row["name"]): str(row["digest"]) for row in _json(root / LADDER)["ladder"]}
        image = f"{BLOBS}/{rungs['image'].removeprefix('sha256:')}"
        found = {"image": digests[image]}
        found |= {name: digests[path] for name, path in PLAIN.items() if path in digests}
        if DRIVE in digests:
            told = _json(root / VERITY)
            check_drive(root / DRIVE, told)
            found |= {"sealed": f"sha256:{told['root_hash']}", "snapshot": told["machine_hash"]}
    except MALFORMED as error:
        raise MismatchError("the export does not fit together", why=str(error), fix=AGAIN) from None
    for name, digest in found.items():
        if rungs.get(name) != digest:
            raise MismatchError(
                f"the export does not hold what the rung {name} names",
                details=(("expected", rungs.get(name, "no such rung")), ("got", digest)),
                fix=AGAIN,
            )


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes()))
