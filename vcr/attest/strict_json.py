"""JSON that has one reading: no name twice, no NaN, UTF-8; and one writing: sorted, compact."""

import json
from typing import Any

MAX_BYTES = 64 << 20


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
        return json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
