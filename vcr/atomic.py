"""Files that appear whole or not at all, also after a crash or a full disk."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from vcr.errors import HostError


def write_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write TEXT to PATH as UTF-8; raises HostError."""
    write_bytes(path, text.encode(), mode=mode)


def write_bytes(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write DATA to PATH through a temporary file and a rename; raises HostError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(mode)
            Path(name).rename(path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise HostError(
            f"cannot write {path}",
            why=error.strerror or str(error),
            fix="check the permissions and the free space there",
        ) from error
