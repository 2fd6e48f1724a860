"""CBOR of a Nitro document: vcr/model/cbor.py, whose errors are rejections here."""

from typing import Any

from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.model import cbor


def read_cbor(data: bytes) -> Any:
    """Read one value that is all of DATA; raises RejectedError."""
    try:
        return cbor.decode(data)
    except ValueError as error:
        raise RejectedError(Joint.DOCUMENT, f"its CBOR cannot be read: {error}") from None
