"""A graph as an SVG that needs nothing else and is readable in light and in dark.

A node stands below all that it needs. The same graph gives the same bytes.
"""

from vcr.escape import as_markup
from vcr.report.graph import Graph

WIDTH, HEIGHT = 240, 44  # of a node, px
GAP_X, GAP_Y = 24, 28  # between nodes, px
MARGIN = 16
LABEL_LENGTH = 34  # characters that fit into a node
STYLE = """
:root {
  color-scheme: light dark; --ink: #1b1f24; --line: #8c959f; --fill: #f6f8fa; --done: #2da44e
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --line: #6e7681; --fill: #161b22; --done: #3fb950 }
}
text { font: 13px system-ui, sans-serif; fill: var(--ink) }
text.label { font-size: 11px; opacity: .75 }
rect { fill: var(--fill); stroke: var(--line) }
rect.built { stroke: var(--done) }
path { fill: none; stroke: var(--line) }
"""

type Places = dict[str, tuple[int, int]]  # left upper corner of each node, px


def draw(graph: Graph) -> str:
    """Return the SVG of GRAPH."""
    places = _places(graph)
    width = max((x for x, _ in places.values()), default=0) + WIDTH + MARGIN
    height = max((y for _, y in places.values()), default=0) + HEIGHT + MARGIN
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    words = 'role="img" aria-label="what is built from what"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {words}>',
        f"<style>{STYLE}</style>",
    ]
    for name, node in graph.items():
        lines += [_edge(places[needed], places[name]) for needed in node.needs]
    for name, node in graph.items():
        lines += _node(places[name], name, node.label, "built" if node.is_built else "")
    return "\n".join([*lines, "</svg>"]) + "\n"


def _places(graph: Graph) -> Places:
    rows: dict[str, int] = {}
    for name, node in graph.items():  # those it needs come first
        rows[name] = max((rows[needed] + 1 for needed in node.needs), default=0)
    for name in reversed(graph):  # down to just above the first that needs it: short lines
        users = [rows[user.name] for user in graph.values() if name in user.needs]
        rows[name] = min(users, default=rows[name] + 1) - 1
    filled: dict[int, int] = {}
    places: Places = {}
    for name, row in rows.items():
        column = filled.get(row, 0)
        filled[row] = column + 1
        places[name] = MARGIN + column * (WIDTH + GAP_X), MARGIN + row * (HEIGHT + GAP_Y)
    return places


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + WIDTH // 2, start[1] + HEIGHT
    x2, y2 = end[0] + WIDTH // 2, end[1]
    middle = (y1 + y2) // 2
    return f'<path d="M{x1} {y1}C{x1} {middle} {x2} {middle} {x2} {y2}"/>'


def _node(place: tuple[int, int], name: str, label: str, kind: str) -> list[str]:
    x, y = place
    short = label if len(label) <= LABEL_LENGTH else label[: LABEL_LENGTH - 1] + "…"
    lines = [
        f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        f'<text x="{x + 10}" y="{y + (18 if short else 27)}">{as_markup(name)}</text>',
    ]
    if short:
        words = f"<title>{as_markup(label)}</title>{as_markup(short)}"
        lines.append(f'<text class="label" x="{x + 10}" y="{y + 34}">{words}</text>')
    return lines
