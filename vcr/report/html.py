"""What a page of HTML is made of: its style, sections and tables. Every text is escaped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vcr.escape import as_markup

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d0d7de; --soft: #57606a;
        --good: #1a7f37; --bad: #b42318; --bar: #54aeff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; --soft: #9198a1; --good: #3fb950;
          --bad: #ff7b72; --bar: #1f6feb }
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
td.bar { width: 40% } td.bar i { display: block; height: 1rem; min-width: 1px;
         background: var(--bar) }
.good { color: var(--good) } .bad { color: var(--bad) }
summary { cursor: pointer }
"""
UNITS = ("s", "ms", "B", "KiB", "MiB", "GiB", "M")  # of numbers


@dataclass(frozen=True)
class Cell:
    """A cell that is HTML already, of a kind that STYLE knows."""

    html: str
    kind: str


def document(title: str, about: str, sections: Iterable[str]) -> str:
    """Return a page that needs nothing else."""
    name = as_markup(title)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',  # a browser asks for one otherwise
        f"<title>{name}</title><style>{STYLE}</style></head><body>",
        f'<h1>{name}</h1><p class="about">{as_markup(about)}</p>',
        *sections,
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def section(title: str, lines: Iterable[str]) -> list[str]:
    """Return a section."""
    return [f"<section><h2>{title}</h2>", *lines, "</section>"]


def folded(summary: str, lines: Iterable[str], *, is_open: bool) -> list[str]:
    """Return LINES that are shown when one asks for them, or from the start."""
    return [
        f"<details{' open' if is_open else ''}><summary>{as_markup(summary)}</summary>",
        *lines,
        "</details>",
    ]


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{as_markup(text)}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[str | Cell]]) -> list[str]:
    """Return a table of ROWS under the titles HEAD, if there are any."""
    titles = "".join(f"<th>{as_markup(title)}</th>" for title in head)
    lines = [f"<thead><tr>{titles}</tr></thead>"] if head else []
    lines += [f"<tr>{''.join(map(cell, row))}</tr>" for row in rows]
    return ['<div class="wide"><table>', *lines, "</table></div>"]


def cell(content: str | Cell) -> str:
    """Return CONTENT as a cell; digests and numbers look as such."""
    if isinstance(content, Cell):
        return f'<td class="{content.kind}">{content.html}</td>'
    kind = ""
    if content.startswith(("sha256:", "sha384:")):
        kind = ' class="digest"'
    elif content[:1].isdigit() and content.rpartition(" ")[2] in UNITS:
        kind = ' class="number"'
    return f"<td{kind}>{as_markup(content)}</td>"


def bar(begin: float, end: float) -> Cell:
    """Return a bar from BEGIN to END, fractions of its cell's width."""
    style = f"margin-left:{100 * begin:.2f}%;width:{100 * (end - begin):.2f}%"
    return Cell(f'<i style="{style}"></i>', "bar")


def word(text: str, *, good: bool) -> Cell:
    """Return TEXT in the colour of what is good or bad."""
    return Cell(f"<b>{as_markup(text)}</b>", "good" if good else "bad")
