"""The last look before vcr.lock is written: no secret is in it, nor in a body it refers to."""

import base64
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vcr.errors import LockError
from vcr.foreign import MIB
from vcr.lock.secrets.placeholders import Secrets
from vcr.lock.secrets.unpacked import UnreadableError, bounded, decoded
from vcr.model.lockfile import Lock

MOST = 1024 * MIB  # bytes that a body held by a lock may unpack to


def check_spilled(lock: Lock, secrets: Secrets, bodies: Path) -> None:
    """Raise LockError when a secret is in LOCK or in the files of its answers below BODIES."""
    if not secrets.values:
        return
    where = next((p for p, text in _texts(lock.model_dump(mode="json")) if _in(secrets, text)), "")
    if where or secrets.find(lock.to_text().encode(), 0):
        raise _spilled(f"it would be at {where or 'several places'}", secrets)
    for sha256, body in lock.bodies.items():
        kept = bodies / sha256 / body.name
        if body.data and secrets.find(_held(body.data)):
            raise _spilled(f"the body {sha256} has it", secrets)
        if kept.is_file() and secrets.find_in_file(kept):
            raise _spilled(f"the body {sha256}, {kept}, has it", secrets)


def _in(secrets: Secrets, text: str) -> bool:
    return bool(secrets.find(text.encode("utf-8", "backslashreplace")))


def _held(data: str) -> bytes:
    try:
        packed = base64.b64decode(data, validate=True)
        return b"".join(bounded(decoded(iter([packed]), "gzip"), MOST))
    except (ValueError, zlib.error, UnreadableError):
        return data.encode()


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts in VALUE, of JSON, but for bodies, with where they are."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield f"a key of {path or 'the lock'}", key
            if key != "data":
                yield from _texts(below, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _texts(below, f"{path}[{number}]")


def _spilled(where: str, secrets: Secrets) -> LockError:
    return LockError(
        "vcr.lock is not written: it would contain a secret",
        why=secrets.hide_text(where),
        fix="take it out of the Dockerfile and vcr.toml; `vcr lock --update` requests everything"
        " again",
    )
