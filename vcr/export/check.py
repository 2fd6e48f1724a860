"""Checks an export: every byte, nothing more and nothing less, and the drive by its tree."""

import stat
import struct
from pathlib import Path

from vcr.engines.sealed import check_drive, read_parameters
from vcr.errors import MismatchError, UsageError
from vcr.export.contents import check_contents
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
from vcr.foreign import MAX_LADDER, read_bytes
from vcr.model.profile import current_name
from vcr.sandbox.squashfs import SQUASHFS
from vcr.verify.ladders import IN_MESSAGES, TERMS, Claim, read_claim

# rungs that are the SHA-256 of a file
PLAIN = {"kernel": "kernel", "initramfs": "initramfs", "squashfs": SQUASHFS}
# what JSON that somebody else wrote may lead to
MALFORMED = (ArithmeticError, AttributeError, LookupError, OSError, RecursionError, TypeError,
             ValueError, struct.error)  # fmt: skip
AGAIN = "get the export again"


def check_export(root: Path, expected: str = "") -> Manifest:
    """Read all of the export at ROOT; return its manifest.

    EXPECTED is the digest that the manifest must have, if one is known. Raises
    MismatchError that names the file, UsageError when there is not an export.
    """
    manifest = manifest_of(root)
    if expected and manifest.digest != expected:
        raise MismatchError(
            "this is another export",
            details=(("expected", expected), ("got", manifest.digest)),
            fix="get the export whose manifest has that digest",
        )
    _check_list(root, manifest)
    for file in manifest.files:
        _check_file(root, file)
    _check_ladder(root, manifest)
    return manifest


def manifest_of(root: Path) -> Manifest:
    """Return what the export at ROOT says that it is; raises as `check_export` does."""
    try:
        data = read_bytes(root / MANIFEST, MAX_LADDER)
    except OSError as error:
        raise UsageError(
            f"{root} is not an export",
            why=error.strerror or str(error),
            fix="`vcr export` makes one",
        ) from None
    return read_manifest(data)


def _check_list(root: Path, manifest: Manifest) -> None:
    """Raise MismatchError unless ROOT has the files of MANIFEST and nothing else, no links."""
    listed = {MANIFEST, *(file.path for file in manifest.files)}
    there = set()
    try:
        for path in root.rglob("*"):
            name, mode = str(path.relative_to(root)), path.lstat().st_mode
            if stat.S_ISDIR(mode):
                continue
            if name not in listed:
                raise MismatchError(f"{name} does not belong to the export", fix="remove it")
            if not stat.S_ISREG(mode):
                raise MismatchError(
                    f"{name} is not the file that was exported", why="it is a link, or not a file"
                )
            there.add(name)
    except OSError as error:
        raise MismatchError(f"{root} cannot be read to its end", why=str(error)) from None
    for lost in sorted(listed - there):
        raise MismatchError(f"{lost} of the export is not there", fix=AGAIN)


def _check_file(root: Path, file: File) -> None:
    path = root / file.path
    size = path.lstat().st_size
    if size != file.size:
        details = (("expected", f"{file.size} bytes"), ("got", f"{size} bytes"))
    elif (found := File.of(root, file.path)) != file:
        details = (("expected", f"sha256:{file.sha256}"), ("got", f"sha256:{found.sha256}"))
    else:
        details = None
    if details:
        raise MismatchError(
            f"{file.path} is not the file that was exported", details=details, fix=AGAIN
        )
    if file.path.startswith(f"{BLOBS}/") and path.name != file.sha256:
        raise MismatchError(f"{file.path} does not have the content that its name says", fix=AGAIN)


def _check_ladder(root: Path, manifest: Manifest) -> None:
    """Raise MismatchError unless the files are what the rungs of the ladder name."""
    claim = read_claim(root / LADDER)
    _check_terms(claim, manifest)
    rungs = {rung.name: str(rung.digest) for rung in claim.ladder}
    digests = {file.path: f"sha256:{file.sha256}" for file in manifest.files}
    try:
        image = f"{BLOBS}/{rungs['image'].removeprefix('sha256:')}"
        found = {"image": digests[image]}
        check_contents(root, manifest, rungs["image"])
        found |= {name: digests[path] for name, path in PLAIN.items() if path in digests}
        if DRIVE in digests:
            told = read_parameters(root / VERITY)
            check_drive(root / DRIVE, told)
            found |= {"sealed": f"sha256:{told['root_hash']}", "snapshot": told["machine_hash"]}
    except MALFORMED as error:
        raise MismatchError("the export does not fit together", why=str(error), fix=AGAIN) from None
    for name, digest in found.items():
        if rungs.get(name) != digest:
            raise MismatchError(
                f"the export does not contain what the rung {name} names",
                details=(("expected", rungs.get(name, "no such rung")), ("got", digest)),
                fix=AGAIN,
            )


def _check_terms(claim: Claim, manifest: Manifest) -> None:
    """Raise MismatchError unless the ladder was built for what MANIFEST says."""
    terms = {key: getattr(manifest, key) for key in TERMS}
    terms["profile"] = current_name(manifest.profile)  # as that of the claim
    for key, value in terms.items():
        expected, got = str(value), str(getattr(claim, key))
        if expected != got:
            raise MismatchError(
                f"the ladder of the export is of another {IN_MESSAGES.get(key, key)}",
                details=(("expected", expected), ("got", got)),
                fix=AGAIN,
            )
