"""How verbs show what building again gave."""

from typing import TYPE_CHECKING

from vcr.cli.context import App

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.app import Comparison


def show_comparison(app: App, comparison: "Comparison") -> None:
    """Show COMPARISON rung by rung."""
    if app.ui.is_json:
        rungs = [
            {"name": rung.name, "expected": rung.expected, "got": rung.got, "same": rung.is_same}
            for rung in comparison.rungs
        ]
        content = {"same": comparison.is_same, "rungs": rungs, "rebuilt": str(comparison.extent)}
        app.ui.json("verify", content)
        return
    app.ui.table(
        [(r.name, r.expected or "-", "same" if r.is_same else "DIFFERS") for r in comparison.rungs]
    )
