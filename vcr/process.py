"""The one door to other programs: argv lists in, output or a VcrError out.

Children get an allow-listed environment with a fixed locale, time zone and
umask, and never an inherited SOURCE_DATE_EPOCH. A failure shows the last lines
the program printed and the command to repeat it by hand.
"""

import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vcr.child_output import LineSink, communicate, wait_watched
from vcr.command_log import note_started, noted, without_secrets
from vcr.errors import HostError, VcrError
from vcr.settings import Settings
from vcr.signals import check_ends_are_noticed, passed_on

TAIL_LINES = 20
STOP_SECONDS = 5.0
DISK_FULL = ("No space left on device", "database or disk is full")  # errno(3), SQLite
FIXED_ENV = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
# Becomes another program after a byte on stdin, ends without one.
GATE = """
import os, sys
if os.read(0, 1):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.execv(sys.argv[1], sys.argv[1:])
"""

type Arg = str | Path
type Child = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Result:
    """What a finished program left."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Return stdout as UTF-8 text without the final newline."""
        return self.stdout.decode("utf-8", "replace").rstrip("\n")


def run(
    argv: Sequence[Arg],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    ok: Iterable[int] | None = (0,),
    timeout: float | None = None,
    on_stderr: LineSink | None = None,
    watch: Callable[[], None] | None = None,
) -> Result:
    """Run ARGV to its end; TIMEOUT is in seconds; OK=None accepts any exit code.

    ENV adds to the allow-listed environment. ON_STDERR sees each line as it comes; of those,
    only the last are in the result (vcr.child_output.KEPT_LINES). WATCH, without these, may end
    it by raising.
    Raises HostError when the program does not exist, or its end would not be seen, VcrError when
    it fails.
    """
    check_ends_are_noticed()
    words = tuple(str(word) for word in argv)
    with noted(words, cwd) as note:
        child = _start(words, env=env, cwd=cwd, stdin=stdin is not None)
        try:
            if watch is not None:
                wait_watched(child, watch)
            stdout, stderr = communicate(child, stdin, timeout, on_stderr)
        except subprocess.TimeoutExpired:
            raise VcrError(
                f"{words[0]} did not finish in {timeout:g} seconds",
                fix=f"run it by hand: {by_hand(words)}",
            ) from None
        finally:
            stop(child)
            note.code = child.returncode
    result = Result(words, child.returncode, stdout, stderr)
    if ok is not None and child.returncode not in tuple(ok):
        raise failure(result)
    return result


def spawn(
    argv: Sequence[Arg],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    output: IO[bytes],
    die_with_parent: bool,
    shown: Sequence[str] = (),
) -> Child:
    """Start ARGV in a session of its own, stdout and stderr to OUTPUT, and leave it running.

    With DIE_WITH_PARENT the kernel kills it when this process ends, however it ends. SHOWN is
    the command to show instead of ARGV, which becomes it.
    """
    check_ends_are_noticed()
    words = tuple(str(word) for word in argv)
    try:
        child = subprocess.Popen(
            words,
            env=child_env(env),
            cwd=cwd,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o022,
            preexec_fn=_die_with_parent(signal.SIGKILL) if die_with_parent else None,  # noqa: PLW1509
        )
    except FileNotFoundError:
        raise _not_found(words) from None
    note_started(shown or words, cwd)
    return child


def attach(argv: Sequence[Arg], *, stdin: int | None, stdout: int, stderr: int) -> int:
    """Run ARGV with these file descriptors in this session; return the exit code a shell says.

    Signals to end are passed on to it; at the second one, this process ends it. Raises HostError.
    """
    check_ends_are_noticed()
    words = tuple(str(word) for word in argv)
    try:
        child = subprocess.Popen(
            words,
            env=child_env(),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=stderr,
            umask=0o022,
            preexec_fn=_die_with_parent(signal.SIGTERM),  # noqa: PLW1509
        )
    except FileNotFoundError:
        raise _not_found(words) from None
    with noted(words) as note:
        try:
            with passed_on(child.send_signal):
                code = child.wait()
        finally:
            stop(child)
            note.code = child.returncode
    return 128 - code if code < 0 else code


@contextmanager
def spawned(argv: Sequence[Arg], *, output: IO[bytes], die_with_parent: bool) -> Iterator[Child]:
    """Start ARGV as `spawn` does, when the block ends well; what is yielded becomes it.

    So the block can note which process it is. If this one ends before that, however it
    ends, ARGV is never started: nothing runs that nobody knows of.
    """
    gate = [sys.executable, "-I", "-S", "-B", "-c", GATE, *argv]
    child = spawn(
        gate,
        stdin=subprocess.PIPE,
        output=output,
        die_with_parent=die_with_parent,
        shown=[str(word) for word in argv],
    )
    assert child.stdin is not None  # noqa: S101 -- for mypy: we asked for a pipe
    with child.stdin as opener:
        yield child
        with suppress(BrokenPipeError):  # it has ended; whoever asks for it will see
            os.write(opener.fileno(), b"1")


def foreground(argv: Sequence[Arg]) -> int:
    """Give ARGV the terminal, wait for its end, and return its exit code, as a shell says it.

    Ctrl-C is for it alone. Raises HostError when the program does not exist.
    """
    check_ends_are_noticed()
    words = tuple(str(word) for word in argv)
    # What a terminal and a debugger are set up by is for it to see.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with noted(words) as note:
            note.code = code = subprocess.call(words, preexec_fn=_default_interrupt)
    except FileNotFoundError:
        raise _not_found(words) from None
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def child_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment a child gets: allow-listed, fixed locale and zone, plus EXTRA."""
    return {**Settings.load().env, **FIXED_ENV, **(extra or {})}


def failure(result: Result) -> VcrError:
    """Turn a failed RESULT into an error with its last lines and the command."""
    name = Path(result.argv[0]).name
    if is_full := disk_full(name, result.stderr):
        return is_full
    lines = (result.stderr or result.text).splitlines()
    how = (
        f"was killed by {signal.Signals(-result.returncode).name}"
        if result.returncode < 0
        else f"failed with exit code {result.returncode}"
    )
    return VcrError(
        f"{name} {how}",
        fix=f"to repeat it by hand: {by_hand(result.argv)}",
        tail=lines[-TAIL_LINES:],
    )


def by_hand(argv: Sequence[str]) -> str:
    """Return ARGV as a line for a shell, without the secrets in it."""
    return shlex.join(without_secrets(argv))


def disk_full(who: str, said: str) -> HostError | None:
    """Return the error for a full disk if that is what WHO SAID, else None."""
    if not any(words in said for words in DISK_FULL):
        return None
    return HostError(
        "the disk is full",
        why=f"{who} found no space left",
        fix="free some space (`vcr prune` removes what is no longer needed) and run it again",
    )


def _start(
    words: tuple[str, ...], *, env: Mapping[str, str] | None, cwd: Path | None, stdin: bool
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            env=child_env(env),
            cwd=cwd,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            umask=0o022,
            # By a signal that lets Nix end its builders, too.
            preexec_fn=_die_with_parent(signal.SIGTERM),  # noqa: PLW1509
        )
    except FileNotFoundError:
        raise _not_found(words) from None


def _die_with_parent(by: signal.Signals) -> Callable[[], None]:
    """Return what a child does before exec, so that BY ends it when this process ends."""
    prctl = ctypes.CDLL(None).prctl  # found now: between fork and exec little may be done
    return lambda: prctl(PR_SET_PDEATHSIG, by)


def stop(child: Child, grace: float = STOP_SECONDS) -> None:
    """End CHILD: SIGTERM, and SIGKILL when it is still there after GRACE seconds."""
    if child.poll() is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace)
    if child.poll() is None:
        child.kill()
        child.wait()


def _not_found(words: tuple[str, ...]) -> HostError:
    return HostError(
        f"the program {words[0]} is not on this host",
        fix="`vcr doctor` shows what is missing and how to get it",
    )
