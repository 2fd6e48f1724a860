"""`vcr logs|ps`: what the machines on this host print, and how they are."""

import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import click

from vcr.cli.context import App, Command, project_argument
from vcr.cli.running.machine import record_json
from vcr.errors import UsageError
from vcr.ui import human_time

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from pathlib import Path

    from vcr.runtime.record import Record, Records


@click.command(cls=Command)
@project_argument
@click.option("-f", "--follow", "go_on", is_flag=True, help="Go on until the VM ends.")
@click.option("-n", "--tail", "--lines", "count", type=click.IntRange(0), metavar="N",
              help="Only the last N lines.")  # fmt: skip
@click.option("--since", metavar="TIME|DURATION",
              help="Only lines since then: 2026-01-31T09:00:00Z, or 10m ago.")  # fmt: skip
@click.option("--system", "--console", "system", is_flag=True,
              help="Show the kernel's and init's messages instead.")  # fmt: skip
@click.option("--service", metavar="NAME", help="Show what this service printed instead (dev).")
@click.pass_obj
def logs(
    app: App, *, go_on: bool, count: int | None, since: str | None, system: bool,
    service: str | None,
) -> None:  # fmt: skip
    """Show what the app printed."""
    from vcr.engines.container.services import log_of
    from vcr.runtime.follow import follow, read_log
    from vcr.runtime.record import Records

    records, key = Records(app.settings), app.started_project().key
    channels, record = records.last_channels(key), records.load(key)
    path = channels.console if system else channels.log
    path = log_of(channels, service) if service else path
    if not path.exists():
        raise UsageError("this project was never up", fix="`vcr up` starts it")
    goes_on = go_on and record is not None and record.is_running
    begin = _length_at(path, parse_since(since, time.time())) if since is not None else 0
    found = read_log(path, begin)
    # The beginning of a line is shown with its end.
    lines = found.lines if goes_on or not found.rest else (*found.lines, found.rest)
    for line in lines if count is None else lines[len(lines) - min(count, len(lines)) :]:
        app.ui.program(line)
    if goes_on and record is not None:
        for line in follow(path, lambda: not record.is_running, found.end):
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


def _length_at(path: "Path", moment: float) -> int:
    """Return how long the log at PATH was at MOMENT; raises UsageError when nobody noted it."""
    from vcr.runtime.log_index import length_at

    try:
        return length_at(path, moment)
    except OSError:
        raise UsageError(
            "it is not known when this log was written",
            why="another version of vcr started the machine",
            fix="leave --since out",
        ) from None


@click.command(cls=Command)
@click.option("--all", "everything", is_flag=True, help="Also those that ended by themselves.")
@click.pass_obj
def ps(app: App, *, everything: bool) -> None:
    """List the VMs of all projects and their health."""
    from vcr.runtime.record import Records

    records = Records(app.settings)
    rows = [(record, _status(record, records)) for record in records.all()]
    rows = [row for row in rows if everything or row[1] != "exited"]
    if app.ui.is_json:
        machines = [{**record_json(record), "status": status} for record, status in rows]
        app.ui.json("ps", {"machines": machines})
        return
    header = ("NAME", "PROFILE", "STATUS", "SINCE", "PORTS", "PROJECT")
    now = time.time()
    table = [
        (r.name, r.profile or "-", status, human_time(now - r.created), _ports(r), r.project)
        for r, status in rows
    ]
    app.ui.table([header, *table])


def _status(record: "Record", records: "Records") -> str:
    from vcr.runtime.machine import Running, current_health

    if not record.is_running:
        return "exited"
    try:
        outcome = current_health(Running.of(record, records))
    except OSError:  # the description of an old machine left the store
        return "unknown"
    if outcome.healthy:  # also when the vcr that waited for it was killed
        return "healthy"
    return "starting" if record.status == "starting" else "unhealthy"


def _ports(record: "Record") -> str:
    return ", ".join(f"{f.address}:{f.host}→{f.guest}" for f in record.forwards) or "-"
