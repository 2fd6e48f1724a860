"""`vcr prune`: remove builds and files that are no longer needed."""

from dataclasses import asdict

import click

import vcr.app
from vcr.cli.context import App, Command
from vcr.errors import UsageError
from vcr.ui import human_size


@click.command(cls=Command)
@click.option("--keep", type=click.IntRange(0), default=1, metavar="N",
              help="Keep the N newest builds of each project and profile (1).")  # fmt: skip
@click.option("--older-than", "age", metavar="TIME",
              help="Remove only builds that were not used for TIME, such as 720h.")  # fmt: skip
@click.option("--local", is_flag=True,
              help="Also what is on this host beside the store: unpacked layers, machines that"
              " are down with their logs, what a killed vcr left behind.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.pass_obj
def prune(app: App, *, keep: int, age: str | None, local: bool, dry_run: bool) -> None:
    """Remove builds and files of vcr that are no longer needed.

    These are all but the newest build of each project, builds of projects whose
    directory no longer exists, and old toolchains. vcr never removes what a running
    machine or a running build uses.
    """
    done = vcr.app.prune(
        app.context, keep=keep, older_than=_seconds(age), local=local, dry_run=dry_run
    )
    if app.ui.is_json:
        told = [asdict(each) for each in done.removed]
        app.ui.json("prune", {"removed": told, "freed": done.freed, "dry_run": dry_run})
        return
    app.ui.table(
        [(each.kind, human_size(each.size) if each.size else "-", each.name)
         for each in done.removed]
    )  # fmt: skip
    app.ui.note(f"{human_size(done.freed)} {'at most would be' if dry_run else 'are'} freed")


def _seconds(age: str | None) -> float:
    from vcr.model.duration import parse_duration

    try:
        return parse_duration(age) if age else 0.0
    except ValueError as error:
        raise UsageError(f"--older-than {age} is wrong", why=str(error)) from None
