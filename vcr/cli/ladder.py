"""How verbs show a digest ladder."""

from typing import TYPE_CHECKING

from vcr.ui import Ui, human_size

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.model.ladder import Rung


def print_ladder(ui: Ui, ladder: "tuple[Rung, ...]", engine: str = "") -> None:
    """Print the ENGINE, if any, and the rungs of LADDER, one a line: name, digest, size."""
    rows = [("engine", engine, "")] if engine else []
    ui.table([*rows, *((rung.name, rung.digest, human_size(rung.size)) for rung in ladder)])
