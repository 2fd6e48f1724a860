"""vcr for other programs: what each verb does, as a function with typed arguments and results.

    from pathlib import Path
    from vcr import app

    built = app.build(app.Context(Path("examples/static")))

Nothing here prints data or ends the process: results are returned, failures are raised as
`vcr.errors.VcrError`, progress goes to the `Ui` of the `Context`, which is silent unless
another one is given. Each name is imported when it is first used, so that importing this
package is cheap. The modules stand as those of `vcr.cli` do: the verb `build` of
`vcr/cli/building/build.py` calls `build` of `vcr/app/building/build.py`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vcr.app.building.build import build as build
    from vcr.app.context import Context as Context
    from vcr.app.context import Variant as Variant
    from vcr.app.running.hot import run_hot as run_hot
    from vcr.app.running.start import UpOptions as UpOptions
    from vcr.app.running.up import Listener as Listener
    from vcr.app.running.up import Up as Up
    from vcr.app.running.up import down as down
    from vcr.app.running.up import run as run
    from vcr.app.running.up import up as up

# public name → the module below vcr.app that has it; in the order of docs/reference/python.md
PUBLIC = {
    "Context": "context",
    "Variant": "context",
    "build": "building.build",
    "UpOptions": "running.start",
    "Up": "running.up",
    "up": "running.up",
    "Listener": "running.up",
    "run": "running.up",
    "run_hot": "running.hot",
    "down": "running.up",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
