"""`vcr graph`: what is built of what, as a tree on the terminal or as an SVG."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

import vcr.app
from vcr.cli.context import App, Command, plan_options, project_argument, variant_of

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.report.graph import Graph


@click.command(cls=Command)
@project_argument
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Draw it into FILE instead.",
)  # fmt: skip
@plan_options
@click.pass_obj
def graph(app: App, *, svg: Path | None, profile: str, arch: str | None) -> None:
    """Draw what is built from what, and what is built already."""
    from vcr.atomic import write_text
    from vcr.report.graph_svg import draw

    found = vcr.app.graph(app.context, variant_of(profile, arch))
    if svg is not None:
        write_text(svg, draw(found))
    elif app.ui.is_json:
        app.ui.json("graph", {"nodes": [asdict(node) for node in found.values()]})
    else:
        app.ui.table(list(_rows(found)))


def _rows(found: "Graph") -> Iterator[tuple[str, str, str]]:
    """Yield the lines of the tree: from what is built last down to what it needs."""
    from vcr.report.graph import roots_of

    shown: set[str] = set()

    def below(name: str, first: str, rest: str) -> Iterator[tuple[str, str, str]]:
        node = found[name]
        if name in shown and node.needs:
            yield first + name, "as above", ""
            return
        shown.add(name)
        yield first + name, "built" if node.is_built else "not built", node.label
        for needed in node.needs:
            last = needed == node.needs[-1]
            yield from below(
                needed, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  ")
            )

    for root in roots_of(found):
        yield from below(root, "", "")
