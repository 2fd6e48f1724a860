"""`vcr reference`: writes the reference of the command line, files and answers. Not listed.

`vcr reference markdown docs/reference` after a change of an option, a key or an answer.
"""

from pathlib import Path

import click

from vcr.cli.context import App, Command
from vcr.words import counted


@click.command(cls=Command, hidden=True)
@click.argument("form", type=click.Choice(("markdown", "man")))
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def reference(app: App, form: str, target: Path) -> None:
    """Write the reference into DIR, as pages of Markdown or for man."""
    from vcr.atomic import write_text
    from vcr.reference.command import read_command
    from vcr.reference.man import man_pages
    from vcr.reference.pages import markdown_pages

    root = read_command(click.get_current_context().find_root().command)
    pages = markdown_pages(root) if form == "markdown" else man_pages(root)
    for name, text in pages.items():
        write_text(target / name, text)
    app.ui.note(f"{counted(len(pages), 'page')} in {target}")
