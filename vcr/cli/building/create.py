"""`vcr create`: a new project from a template."""

import click

import vcr.app
from vcr.app.building.create import TEMPLATES
from vcr.cli.context import App, Command


@click.command(cls=Command)
@click.argument("name")
@click.option(
    "--template",
    type=click.Choice(list(TEMPLATES)),
    default="python",
    show_default=True,
    help="The kind of app to start from.",
)
@click.pass_obj
def create(app: App, name: str, template: str) -> None:
    """Make a new project from a template, in the new directory NAME."""
    target = vcr.app.create(app.context, name, template)
    app.ui.note(f"made {target} from the {template} template")
    for command in ("up", "build", "lock"):
        app.ui.note(f"  vcr {command} {name}")
    if app.ui.is_json:
        app.ui.json("create", {"name": name, "path": str(target.resolve()), "template": template})
