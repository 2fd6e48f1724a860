"""Whether this host lets a container be made: tried by a child, by what makes containers.

Nothing is left behind: the namespaces end with the child.
"""

import json
import os
import sys
from pathlib import Path

from vcr import process
from vcr.engines.child import python_child
from vcr.engines.namespaces import enter_namespaces, enter_network, mount_system
from vcr.engines.outside import Outside
from vcr.engines.shim import report

SECONDS = 20.0  # that the child may take


def why_no_container() -> str:
    """Return why no container can be made here, "" where it can. Raises VcrError."""
    done = process.run(python_child("vcr.engines.possible", ""), timeout=SECONDS)
    told = json.loads(done.stdout) if done.stdout else {}
    return f"{told['what']}: {told['why']}" if told else ""


def main(_told: str) -> None:
    """Print, as JSON, what cannot be done; nothing if all can."""
    outside = Outside(Path(os.devnull), Path(os.devnull))
    try:
        enter_namespaces(outside.write_maps)
        if (child := os.fork()) == 0:  # the first process of the new process namespace
            _inside()
            os._exit(0)
        os.waitpid(child, 0)
    except OSError as error:
        print(json.dumps(report(error)), end="")  # noqa: T201 -- the parent reads it
    finally:
        outside.end()
    sys.stdout.flush()


def _inside() -> None:
    try:
        enter_network()
        mount_system()
    except OSError as error:
        os.write(1, json.dumps(report(error)).encode())
