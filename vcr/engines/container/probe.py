"""Whether this host lets a container be made: tried by a child, by what makes containers.

A fork, not an interpreter of its own: every start of the profile dev asks. Nothing is left
behind: the namespaces end with the child.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vcr.engines.container.namespaces import (
    enter_namespaces,
    enter_network,
    mount_system,
    report,
)
from vcr.engines.container.pasta import Outside
from vcr.engines.parent import die_with_parent
from vcr.errors import HostError

SECONDS = 20  # that the child may take


def why_no_container() -> str:
    """Return why no container can be made here, "" where it can; raises HostError."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(SECONDS)
            _try(theirs)
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        output = pipe.read()
    if os.waitpid(child, 0)[1]:
        raise HostError(
            "vcr could not find out whether a container can be made here",
            why="the process that tried did not end",
            fix="use `--runtime vm`, which needs no container",
        )
    failure = json.loads(output) if output else {}
    return f"{failure['what']}: {failure['why']}" if failure else ""


def _try(say: int) -> None:
    """Write to SAY, as JSON, what cannot be done; nothing if all can."""
    outside = Outside(Path(os.devnull), Path(os.devnull))
    with _telling(say):
        enter_namespaces(outside.write_maps)
        if (first := os.fork()) == 0:  # of the new process namespace
            die_with_parent()
            with _telling(say):
                enter_network()
                mount_system()
            os._exit(0)
        os.waitpid(first, 0)
    outside.end()


@contextmanager
def _telling(say: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        os.write(say, json.dumps(report(error)).encode())
