"""Runs vcr in this process, or a copy of it, with all imported: most of what a short verb takes.

Environment, umask, stdout and stderr are those of a process of its own, also for the programs
that it starts.
"""

import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from vcr.cli import run
from vcr.cli.context import App
from vcr.errors import ExitCode
from vcr.private import UMASK
from vcr.settings import Settings
from vcr.ui import Ui


def run_within(argv: Sequence[str], env: Mapping[str, str]) -> tuple[int, str, str]:
    """Do as `main` of vcr.cli does with ARGV and ENV; return exit code, stdout and stderr."""
    umask = os.umask(UMASK)
    try:
        with (
            environment(env),
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            redirected("stdout", 1, out),
            redirected("stderr", 2, err),
        ):
            settings = Settings.load()
            ui = Ui(colour=settings.colour(sys.stderr.isatty()), ci=settings.ci)
            code = run(App(settings, ui, Path.cwd()), list(argv))
            return code, text_of("stdout", out), text_of("stderr", err)
    finally:
        os.umask(umask)


def run_apart(argv: Sequence[str], env: Mapping[str, str]) -> tuple[int, str, str]:
    """Do as `run_within` in a copy of this process, which ends: for what leaves others running."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of xdist: none is used
            pid = os.fork()
        if pid == 0:
            _end_with(argv, env, out, err)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code, text_of("stdout", out), text_of("stderr", err)


def _end_with(
    argv: Sequence[str], env: Mapping[str, str], out: IO[bytes], err: IO[bytes]
) -> NoReturn:
    """Run vcr, write to OUT and ERR, and end this process, of which nothing else may go on."""
    code: int = ExitCode.BUG
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code, *said = run_within(argv, env)
        for file, text in zip((out, err), said, strict=True):
            file.write(text.encode())
            file.flush()
    except BaseException:  # noqa: BLE001 -- whatever it is, it is shown where the process began
        err.write(traceback.format_exc().encode())
        err.flush()
    finally:
        os._exit(code)


@contextmanager
def environment(env: Mapping[str, str]) -> Iterator[None]:
    """Have ENV, and nothing else, in this process's environment."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def redirected(name: str, number: int, file: IO[bytes]) -> Iterator[None]:
    """Have what goes to the stream NAME of sys, and to the descriptor NUMBER, go to FILE."""
    before = getattr(sys, name)
    before.flush()
    kept = os.dup(number)
    os.dup2(file.fileno(), number)
    with os.fdopen(os.dup(number), "w", errors="backslashreplace") as text:
        setattr(sys, name, text)
        try:
            yield
        finally:
            setattr(sys, name, before)
            os.dup2(kept, number)
            os.close(kept)


def text_of(name: str, file: IO[bytes]) -> str:
    """Return what went to FILE by way of the stream NAME, as subprocess reads text."""
    getattr(sys, name).flush()
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n").replace("\r", "\n")
