"""How a module of this package runs as a process of its own.

-I: neither the directory it is started in nor the environment decides what is imported. The
child finds what its parent finds, wherever that was installed.
"""

import sys
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2]
START = """
import sys
paths = int(sys.argv[1]) + 2
sys.path[:0] = sys.argv[2:paths]
from {module} import main
main("".join(sys.argv[paths:]))
"""
PIECE = 1 << 15  # characters of an argument; Linux takes 128 KiB, and 2 MiB of all: execve(2)


def python_child(module: str, argument: str) -> list[str]:
    """Return the argv that calls the `main` of MODULE with ARGUMENT."""
    paths = [str(LIBRARY), *(entry for entry in sys.path if entry)]
    pieces = [argument[at : at + PIECE] for at in range(0, len(argument), PIECE)]
    child = [sys.executable, "-I", "-B", "-c", START.format(module=module)]
    return [*child, str(len(paths)), *paths, *pieces]
