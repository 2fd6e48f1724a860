"""JSON that has one reading, and one writing: sorted, compact.

No name twice, no NaN, no fraction, no half of a character, UTF-8: what two readers could
take for two things is refused. So are bytes in anything but lower-case hex, or base64 with
slack bits.
"""

import base64
import binascii
import json
import re
from typing import Any

from vcr.foreign import MAX_PROOF

MAX_BYTES = MAX_PROOF
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def dump(value: object) -> bytes:
    """Return VALUE as canonical JSON: sorted names, no spaces, UTF-8."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def load(data: bytes) -> Any:
    """Read DATA; raises ValueError for what two readers could take for two things."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_once,
            parse_constant=_no_constant,
            parse_float=_no_fraction,
        )
        dump(value)  # half of a character, as \ud800, cannot be written again
    except RecursionError:
        raise ValueError("nested too deep") from None
    return value


def read_hex(text: object) -> bytes:
    """Return the bytes that TEXT is the lower-case hex of; raises ValueError."""
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise ValueError("bytes are written in lower-case hex")
    return bytes.fromhex(text)


def read_base64(text: object) -> bytes:
    """Return the bytes that TEXT is the standard base64 of; raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("bytes are written in base64")  # noqa: TRY004 -- one error for all
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if base64.b64encode(data).decode() != text:
        raise ValueError("base64 with slack bits")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _no_fraction(text: str) -> None:
    raise ValueError(f"{text[:20]} is not a whole number")
