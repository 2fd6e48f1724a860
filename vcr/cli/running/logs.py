"""`vcr logs|ps`: what the machines on this host print, and how they are."""

import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import click

import vcr.app
from vcr.cli.context import App, Command, project_argument
from vcr.cli.running.machine import record_json, volume_json
from vcr.errors import UsageError
from vcr.ui import human_size, human_time

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.runtime.record import Record


@click.command(cls=Command)
@project_argument
@click.option("-f", "--follow", "go_on", is_flag=True, help="Continue until the app ends.")
@click.option("-n", "--tail", "--lines", "count", type=click.IntRange(0), metavar="N",
              help="Show only the last N lines.")  # fmt: skip
@click.option("--since", metavar="TIME|DURATION",
              help="Show only lines since then: 2026-01-31T09:00:00Z, or 10m ago.")  # fmt: skip
@click.option("--system", "--console", "system", is_flag=True,
              help="Show the kernel's and init's messages instead.")  # fmt: skip
@click.option("--service", metavar="NAME", help="Show the output of this service instead (dev).")
@click.pass_obj
def logs(
    app: App, *, go_on: bool, count: int | None, since: str | None, system: bool,
    service: str | None,
) -> None:  # fmt: skip
    """Show the output of the app."""
    moment = None if since is None else parse_since(since, time.time())
    options = vcr.app.LogOptions(go_on, count, moment, system, service)
    for line in vcr.app.logs(app.context, options):
        app.ui.program(line)


def parse_since(text: str, now: float) -> float:
    """Return the moment TEXT means, a time or a duration before NOW; raises UsageError.

    Both are in seconds since 1970. A time without a zone is this host's.
    """
    from vcr.model.duration import parse_duration

    with suppress(ValueError):
        return now - parse_duration(text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is neither a time nor a duration",
            fix="write --since 10m or --since 2026-01-31T09:00:00Z",
        ) from None


@click.command(cls=Command)
@click.option("--all", "everything", is_flag=True, help="Also list those that ended by themselves.")
@click.option("--volumes", is_flag=True, help="List the volumes that are kept instead (dev).")
@click.pass_obj
def ps(app: App, *, everything: bool, volumes: bool) -> None:
    """List the apps of all projects that are up, and their health."""
    if volumes:
        _list_volumes(app)
        return
    listed = vcr.app.ps(app.context, everything=everything)
    if app.ui.is_json:
        machines = [{**record_json(each.record), "status": each.status} for each in listed]
        app.ui.json("ps", {"machines": machines})
        return
    header = ("NAME", "PROFILE", "STATUS", "SINCE", "PORTS", "PROJECT")
    now = time.time()
    app.ui.table([header, *(_row(each.record, each.status, now) for each in listed)])


def _list_volumes(app: App) -> None:
    found = vcr.app.volumes(app.context)
    if app.ui.is_json:
        app.ui.json("volumes", {"volumes": list(map(volume_json, found))})
        return
    rows = ((v.name, v.service or "-", human_size(v.size), v.project or "-") for v in found)
    app.ui.table([("NAME", "SERVICE", "SIZE", "PROJECT"), *rows])


def _row(record: "Record", status: str, now: float) -> tuple[str, ...]:
    ports = ", ".join(f"{f.place}→{f.target}" for f in record.forwards) or "-"
    since = human_time(now - record.created)
    return record.name, record.profile or "-", status, since, ports, record.project
