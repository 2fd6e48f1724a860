"""The sealed drive: checked whole, then unpacked; nothing of it is used before."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vcr import process
from vcr.errors import MismatchError
from vcr.sandbox.failure import Failure
from vcr.sandbox.seal import SCHEMA
from vcr.sandbox.verity import Verity, check


def unpack(
    drive: Path, parameters: Path, unsquashfs: Path, wanted: Sequence[str], target: Path
) -> str:
    """Unpack the files WANTED of DRIVE into TARGET; return the hash of the sealed machine.

    PARAMETERS is verity.json. Raises MismatchError when one byte of DRIVE differs.
    """
    told = read_parameters(parameters)
    shutil.rmtree(target, ignore_errors=True)
    check_drive(drive, told)
    options = ("-no-progress", "-quiet", "-no-xattrs", "-dest", target)
    process.run([unsquashfs, *options, drive, *wanted])
    return str(told["machine_hash"])


def read_parameters(path: Path) -> dict[str, Any]:
    """Read verity.json at PATH; raises OSError, and MismatchError when a byte of it was changed."""
    content = path.read_bytes()
    try:
        told = dict(json.loads(content))
        fits = told["schema"] == SCHEMA and told["machine_hash"] == f"sha256:{told['salt']}"
        Verity.of(told)
    except (ValueError, KeyError, TypeError, Failure) as error:
        raise _changed(path, str(error)) from None
    if not fits:
        raise _changed(path, "the salt is not the machine hash")
    return told


def _changed(path: Path, why: str) -> MismatchError:
    return MismatchError(
        f"{path.name} is not as it was sealed",
        why=why,
        fix="get the drive and its verity.json again",
    )


def check_drive(drive: Path, told: dict[str, Any]) -> None:
    """Read all of DRIVE; raises MismatchError unless it is what TOLD, of verity.json, says."""
    try:
        check(drive, Verity.of(told))
    except Failure as failure:
        report = failure.report
        raise MismatchError(report["what"], why=report["why"], fix=report["fix"]) from None


def check_machine(expected: str, found: str) -> None:
    """Raise MismatchError unless the machine that was unpacked is the one that was sealed."""
    if found != expected:
        raise MismatchError(
            "the machine on the drive is not the one that was sealed",
            details=(("expected", expected), ("got", found)),
            fix="get the drive and its verity.json again",
        )
