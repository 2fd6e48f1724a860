"""`vcr run|up|down`: the machine of a project, from its start to its end."""

from typing import Any

import click

import vcr.app
from vcr.cli.context import App, Command, project_argument
from vcr.cli.running.machine import announce, volume_json
from vcr.cli.running.start import start_of, start_options


@click.command(cls=Command)
@project_argument
@start_options
@click.pass_obj
def up(app: App, /, **options: Any) -> None:
    """Build the project, start it, and return when it is healthy.

    It runs in a machine or, with the profile dev, in a container on this host.
    """
    announce(app, vcr.app.up(app.context, *start_of(**options)))


@click.command(cls=Command)
@project_argument
@start_options
@click.option("--hot", is_flag=True, help="Build and start again after each change of a file.")
@click.pass_obj
def run(app: App, /, *, hot: bool, **options: Any) -> None:
    """Build the project and run it in the foreground; Ctrl-C stops it.

    It runs in a machine or, with the profile dev, in a container on this host. With
    --hot, the app continues to serve until a changed version is healthy.
    """
    listener = vcr.app.Listener(
        lambda up: announce(app, up),
        lambda line: app.ui.program(line, is_error=app.ui.is_json),
        app.ui.error,
    )
    follow = vcr.app.run_hot if hot else vcr.app.run
    follow(app.context, *start_of(**options), listener=listener)


@click.command(cls=Command)
@project_argument
@click.option("--all", "everything", is_flag=True, help="Stop the apps of all projects.")
@click.option("-t", "--time", "grace", type=click.IntRange(0, 86400), default=10, metavar="SECONDS",
              help="Time between the app's stop signal and SIGKILL (10).")  # fmt: skip
@click.option("--volumes", "empties", is_flag=True,
              help="Also remove the project's volumes and what is in them (dev).")  # fmt: skip
@click.pass_obj
def down(app: App, *, everything: bool, grace: int, empties: bool) -> None:
    """Stop the app of the project."""
    found = vcr.app.down(app.context, everything=everything, grace=grace)
    if not found:
        app.ui.note("nothing is up")
    removed = vcr.app.remove_volumes(app.context, everything=everything) if empties else ()
    for each in removed:
        app.ui.note(f"removed the volume {each.name} of {each.service or 'the app'}")
    if app.ui.is_json:
        answer = {"stopped": [record.name for record in found]}
        app.ui.json("down", {**answer, "volumes": list(map(volume_json, removed))})
