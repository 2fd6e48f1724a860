"""What pages of Markdown are made of, and the page of the command line."""

from collections.abc import Iterable, Iterator, Sequence

from vcr.reference.command import Option, Verb

MADE = "<!-- Generated from the code by `vcr reference markdown DIR`; do not edit. -->"


def page(title: str, *parts: Iterable[str]) -> str:
    """Return a page: TITLE and PARTS, each of which are lines."""
    lines = [MADE, "", f"# {title}", ""]
    for part in parts:
        lines += ["\n".join(part).rstrip("\n"), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; a column of which all cells are empty is left out."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    kept = [at for at in range(len(head)) if any(row[at] for row in cells)]
    if not kept:
        return
    yield "| " + " | ".join(head[at] for at in kept) + " |"
    yield "|" + "---|" * len(kept)
    for row in cells:
        yield "| " + " | ".join(row[at] for at in kept) + " |"


def code(text: str) -> str:
    """Return TEXT as code, "" for none."""
    return f"`{text}`" if text else ""


def command_page(vcr: Verb) -> str:
    """Return the page of all verbs."""
    return page(
        "The command line: verbs and options",
        [
            "[The command line](../cli.md) says how options, variables and vcr.toml go together,",
            "and what goes to stdout.",
        ],
        table(
            ("verb", "does"),
            [(f"[`{verb.words[-1]}`](#{_anchor(verb)})", verb.summary) for verb in vcr.verbs],
        ),
        ["## Of every verb", "", *_options(vcr.options)],
        *(_section(verb) for top in vcr.verbs for verb in top.all()),
    )


def _anchor(verb: Verb) -> str:
    return verb.name.replace(" ", "-")


def _section(verb: Verb) -> Iterator[str]:
    yield f"## {verb.name}"
    yield ""
    yield f"    {verb.name} {verb.usage}".rstrip()
    for paragraph in verb.text:
        yield ""
        if paragraph.startswith(" "):
            yield from (f"    {line.strip()}" for line in paragraph.splitlines())
        else:
            yield from paragraph.splitlines()
    if verb.options:
        yield ""
        yield from _options(verb.options)


def _options(options: Iterable[Option]) -> Iterator[str]:
    rows = [
        (
            code(", ".join(option.names) + (f" {option.value}" if option.value else "")),
            option.meaning,
            code(option.default),
            code(option.variable),
        )
        for option in options
    ]
    yield from table(("option", "means", "default", "variable"), rows)
