"""Files and directories that appear whole or not at all, also after a crash or a full disk."""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vcr.errors import HostError, UsageError
from vcr.flock import flocked

SCRATCH = "vcr-scratch-"  # how the names of scratch directories below TMPDIR begin


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

    TARGET must be empty or missing; raises UsageError, and HostError when the host
    does not let it be made. What a killed vcr left half-written for TARGET is removed.
    """
    _refuse_what_is_there(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with flocked(target.parent) as is_alone:  # a new directory is not locked at once
            lefts = target.parent.glob(f".{glob.escape(target.name)}.????????")
            for left in lefts if is_alone else ():
                remove_abandoned(left)
            scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
            lock = ExitStack()
            lock.enter_context(flocked(scratch))
    except OSError as error:
        raise _not_made(target, error) from error
    try:
        with lock:
            yield scratch
            scratch.chmod(0o755)
            scratch.rename(target)
    except OSError as error:
        raise _not_made(target, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """Yield a directory below TMPDIR that is removed after the block; raises HostError."""
    place = Path(tempfile.gettempdir())
    try:
        path = Path(tempfile.mkdtemp(prefix=SCRATCH))
    except OSError as error:
        raise _not_made(place / SCRATCH, error) from error
    try:
        with flocked(path):
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def remove_abandoned(directory: Path) -> bool:
    """Remove the scratch DIRECTORY unless a vcr that works holds it; return whether it did."""
    if directory.is_symlink() or not directory.is_dir() or directory.stat().st_uid != os.geteuid():
        return False
    with flocked(directory) as is_held:
        if is_held:
            shutil.rmtree(directory, ignore_errors=True)
        return is_held


def _refuse_what_is_there(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(f"{target} exists already", fix="choose another name, or remove it")
    try:
        is_full = target.is_dir() and any(target.iterdir())
    except OSError as error:
        raise _not_made(target, error) from error
    if is_full:
        raise UsageError(
            f"{target} is not empty",
            why="vcr does not overwrite anything",
            fix="choose another directory",
        )


def _not_made(target: Path, error: OSError) -> HostError:
    return HostError(
        f"cannot make {target}",
        why=error.strerror or str(error),
        fix="check the permissions and the free space there",
    )
