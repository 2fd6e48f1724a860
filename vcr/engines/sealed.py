"""The sealed drive: checked whole, then unpacked; nothing of it is used before."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from vcr import process
from vcr.errors import HostError, MismatchError
from vcr.foreign import CHUNK, MAX_TEXT, load_json, open_regular, read_bytes
from vcr.formats.failure import Failure
from vcr.formats.hashes.verity import Verity, check
from vcr.sandbox.seal import SCHEMA

# A hash tree has the 128th part of its data and a little more, rounded up to whole blocks.
TREE_PART, LEAST_TREE = 64, 1 << 20


def unpack(
    drive: Path, parameters: Path, unsquashfs: Path, wanted: Sequence[str], target: Path
) -> str:
    """Unpack the files WANTED of DRIVE into TARGET; return the hash of the sealed machine.

    PARAMETERS is verity.json. Raises MismatchError when one byte of DRIVE differs, HostError.
    """
    sealed = read_parameters(parameters)
    shutil.rmtree(target, ignore_errors=True)
    with _own_copy(drive, Verity.of(sealed), target.parent) as copy:
        check_drive(copy, sealed)
        options = ("-no-progress", "-quiet", "-no-xattrs", "-dest", target)
        process.run([unsquashfs, *options, copy, *wanted])
    return str(sealed["machine_hash"])


@contextmanager
def _own_copy(drive: Path, verity: Verity, place: Path) -> Iterator[Path]:
    """Yield a path of what DRIVE has at this moment: a file in PLACE that has no name.

    So what is checked is what is used, whatever becomes of DRIVE meanwhile. Of one that is
    longer than VERITY says the rest is of no use. Raises HostError.
    """
    most = verity.hash_offset + verity.hash_offset // TREE_PART + LEAST_TREE
    try:
        with open_regular(drive) as source, TemporaryFile(dir=place) as copy:
            _copy(source, copy, most)
            yield Path(f"/proc/{os.getpid()}/fd/{copy.fileno()}")  # for a child, too
    except OSError as error:
        raise HostError(
            f"cannot read {drive}, or copy it to {place}",
            why=error.strerror or str(error),
            fix="check the permissions and the free space there",
        ) from None


def _copy(source: IO[bytes], copy: IO[bytes], most: int) -> None:
    """Copy at most MOST bytes; where the file system can share them, they take no room."""
    left = most
    with suppress(OSError):  # not between these file systems
        while left and (n := os.copy_file_range(source.fileno(), copy.fileno(), left)):
            left -= n
    source.seek(most - left)
    copy.seek(most - left)
    while left and (piece := source.read(min(CHUNK, left))):
        copy.write(piece)
        left -= len(piece)
    copy.flush()


def read_parameters(path: Path) -> dict[str, Any]:
    """Read verity.json at PATH; raises OSError, and MismatchError when a byte of it was changed."""
    content = read_bytes(path, MAX_TEXT)
    try:
        settings = dict(load_json(content))
        fits = (
            settings["schema"] == SCHEMA
            and settings["machine_hash"] == f"sha256:{settings['salt']}"
        )
        Verity.of(settings)
    except (ValueError, KeyError, TypeError, Failure) as error:
        raise _changed(path, str(error)) from None
    if not fits:
        raise _changed(path, "the salt is not the machine hash")
    return settings


def _changed(path: Path, why: str) -> MismatchError:
    return MismatchError(
        f"{path.name} is not as it was sealed",
        why=why,
        fix="get the drive and its verity.json again",
    )


def check_drive(drive: Path, settings: dict[str, Any]) -> None:
    """Read all of DRIVE; raises MismatchError unless it is what SETTINGS, of verity.json, says."""
    try:
        check(drive, Verity.of(settings))
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
