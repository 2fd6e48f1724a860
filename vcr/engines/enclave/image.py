"""Enclave images as files."""

from pathlib import Path

from vcr.errors import MismatchError, UsageError
from vcr.foreign import MIB, read_bytes
from vcr.formats.eif import Image, decode
from vcr.formats.failure import Failure
from vcr.formats.pcrs import measure

MAX_IMAGE = 256 * MIB  # four times what one has; a drive is no part of it


def read_image(path: Path) -> Image:
    """Read an enclave image; raises MismatchError when one bit of it is not as it was written.

    Raises UsageError when it cannot be read.
    """
    try:
        return decode(read_bytes(path, MAX_IMAGE))
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"cannot read the enclave image {path}", why=why) from None
    except Failure as failure:
        report = failure.report
        raise MismatchError(report["what"], why=report["why"], fix=report["fix"]) from None


def measure_image(image: Image) -> dict[int, bytes]:
    """Return PCR0, PCR1 and PCR2 of IMAGE."""
    return measure(image.kernel, image.cmdline.encode(), image.ramdisks)
