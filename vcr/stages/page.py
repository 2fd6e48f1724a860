"""A build on one page of HTML that needs nothing else: no script, no address, no font.

Readable in light and in dark. What is the same in two builds is the same in their pages,
but for how long steps took and what was cached.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from vcr.model.ladder import Rung
from vcr.stages.build import BuiltStage
from vcr.stages.contents import File, Package
from vcr.stages.drawing import draw
from vcr.stages.graph import Graph
from vcr.ui import human_size

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d0d7de; --soft: #57606a }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; --soft: #9198a1 }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.5rem }
p.about, caption { color: var(--soft); text-align: left }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line);
         vertical-align: top }
td + td { overflow-wrap: anywhere }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums }
td.digest, pre { font: 12.5px ui-monospace, monospace; overflow-wrap: anywhere }
summary { cursor: pointer }
"""
HOW_TO_CHECK = (
    "Whoever builds the same source gets the same digests; <code>vcr verify</code> compares"
    " them, and <code>vcr explain</code> says where two builds part."
)


@dataclass(frozen=True)
class Report:
    """What the page tells."""

    title: str
    about: str  # one line: profile, architecture, epoch
    ladder: tuple[Rung, ...]
    graph: Graph
    stages: tuple[BuiltStage, ...]
    sizes: dict[str, tuple[int, int]]  # of each stage: own bytes, with all it refers to
    machine: tuple[tuple[str, str], ...]  # facts about the prod machine, if there is one
    packages: tuple[Package, ...]
    files: tuple[File, ...]  # the largest


def page(report: Report) -> str:
    """Return the page."""
    title = escape(report.title)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',  # a browser asks for one otherwise
        f"<title>{title}</title><style>{STYLE}</style></head><body>",
        f'<h1>{title}</h1><p class="about">{escape(report.about)}</p>',
        *_section("The digest ladder", _ladder(report)),
        *_section("What is built of what", ['<div class="wide">', draw(report.graph), "</div>"]),
        *_section("Stages", _stages(report)),
        *(_section("The machine", _table((), report.machine)) if report.machine else ()),
        *_section("Debian packages", _packages(report)),
        *_section("Largest files of the image", _files(report)),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return [f"<section><h2>{title}</h2>", *lines, "</section>"]


def _ladder(report: Report) -> list[str]:
    rows = [(rung.name, str(rung.digest), human_size(rung.size)) for rung in report.ladder]
    return [*_table(("rung", "digest", "size"), rows), f"<p>{HOW_TO_CHECK}</p>"]


def _stages(report: Report) -> list[str]:
    rows = [
        (
            stage.name,
            "cached" if stage.cached else f"{stage.seconds:.1f} s",
            stage.reason,
            *map(human_size, report.sizes[stage.name]),
        )
        for stage in report.stages
    ]
    return _table(("stage", "took", "why it was built", "size", "with all it needs"), rows)


def _packages(report: Report) -> list[str]:
    total = sum(package.size for package in report.packages)
    rows = [
        (package.name, package.version, human_size(package.size)) for package in report.packages
    ]
    return [
        f"<details open><summary>{len(rows)} in all, {human_size(total)}</summary>",
        *_table(("package", "version", "size"), rows),
        "</details>",
    ]


def _files(report: Report) -> list[str]:
    rows = [(file.path, file.layer, human_size(file.size)) for file in report.files]
    return _table(("file", "layer", "size"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = [f"<thead><tr>{titles}</tr></thead>"] if head else []
    lines += [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    return ['<div class="wide"><table>', *lines, "</table></div>"]


def _cell(text: str) -> str:
    kind = ""
    if text.startswith("sha256:"):
        kind = ' class="digest"'
    elif text[:1].isdigit() and text.endswith((" s", " B", "iB")):
        kind = ' class="number"'
    return f"<td{kind}>{escape(text)}</td>"
