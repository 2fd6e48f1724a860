"""Files and directories that appear whole or not at all, also after a crash or a full disk."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vcr.errors import HostError, UsageError


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


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """Yield a directory beside TARGET that takes its name when the block ends well.

    TARGET must be empty or not there; raises UsageError, and HostError when the host
    does not let it be made.
    """
    _refuse_what_is_there(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise _not_made(target, error) from error
    try:
        yield scratch
        scratch.chmod(0o755)
        scratch.rename(target)
    except OSError as error:
        raise _not_made(target, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _refuse_what_is_there(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(f"{target} exists already", fix="choose another name, or remove it")
    try:
        is_full = target.is_dir() and any(target.iterdir())
    except OSError as error:
        raise _not_made(target, error) from error
    if is_full:
        raise UsageError(
            f"{target} is not empty", why="nothing is written over", fix="choose another directory"
        )


def _not_made(target: Path, error: OSError) -> HostError:
    return HostError(
        f"cannot make {target}",
        why=error.strerror or str(error),
        fix="check the permissions and the free space there",
    )
