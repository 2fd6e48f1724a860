"""Reads what a child process prints, as it comes or when it has ended."""

import subprocess
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import IO

KEPT_LINES = 1000  # of stderr, where each line was already shown to somebody
WATCH_SECONDS = 0.5

type LineSink = Callable[[str], None]


def communicate(
    child: subprocess.Popen[bytes],
    stdin: bytes | None,
    timeout: float | None,
    on_stderr: LineSink | None,
) -> tuple[bytes, str]:
    """Give CHILD its STDIN and return its stdout and stderr; ON_STDERR sees each line first.

    Raises subprocess.TimeoutExpired after TIMEOUT seconds.
    """
    if on_stderr is None:
        out, err = child.communicate(stdin, timeout)
        return out, err.decode("utf-8", "replace")
    lines: deque[str] = deque(maxlen=KEPT_LINES)

    def drain(pipe: IO[bytes]) -> None:
        for raw in pipe:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            lines.append(line)
            on_stderr(line)

    assert child.stderr is not None  # noqa: S101 -- for mypy: we asked for a pipe
    pipe, child.stderr = child.stderr, None  # communicate() keeps away from it
    reader = threading.Thread(target=drain, args=(pipe,), daemon=True)
    reader.start()
    out, _ = child.communicate(stdin, timeout)
    reader.join()
    pipe.close()
    return out, "\n".join(lines)


def wait_watched(child: subprocess.Popen[bytes], watch: Callable[[], None]) -> None:
    """Return when CHILD has ended; what it prints meanwhile is kept by `communicate`."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=WATCH_SECONDS)
            return
        watch()
