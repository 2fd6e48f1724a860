"""How a module of this package runs as a process of its own.

-I: neither the directory it is started in nor the environment decides what is imported. The
child finds what its parent finds, wherever that was installed.
"""

import sys
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2]
START = """
import sys
sys.path[:0] = sys.argv[1:-1]
from {module} import main
main(sys.argv[-1])
"""


def python_child(module: str, argument: str) -> list[str]:
    """Return the argv that calls the `main` of MODULE with ARGUMENT."""
    paths = [str(LIBRARY), *(entry for entry in sys.path if entry)]
    return [sys.executable, "-I", "-B", "-c", START.format(module=module), *paths, argument]
