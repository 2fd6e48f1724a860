"""Enclave images as files."""

from pathlib import Path

from vcr.errors import MismatchError
from vcr.sandbox.eif import Image, decode
from vcr.sandbox.failure import Failure
from vcr.sandbox.pcrs import measure


def read_image(path: Path) -> Image:
    """Read an enclave image; raises MismatchError when one bit of it is not as it was written."""
    try:
        return decode(path.read_bytes())
    except Failure as failure:
        report = failure.report
        raise MismatchError(report["what"], why=report["why"], fix=report["fix"]) from None


def measure_image(image: Image) -> dict[int, bytes]:
    """Return PCR0, PCR1 and PCR2 of IMAGE."""
    return measure(image.kernel, image.cmdline.encode(), image.ramdisks)
