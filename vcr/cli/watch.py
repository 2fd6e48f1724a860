"""`vcr logs|ps`: what the machines on this host print, and how they are."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vcr.cli.app import App, Command, project_argument
from vcr.errors import UsageError
from vcr.ui import human_time

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from vcr.runtime.record import Record, Records


@click.command(cls=Command)
@project_argument
@click.option("-f", "--follow", "go_on", is_flag=True, help="Go on until the VM ends.")
@click.option("-n", "--lines", type=click.IntRange(0), metavar="N", help="Only the last N lines.")
@click.option("--console", is_flag=True, help="Show the kernel's and init's messages instead.")
@click.pass_obj
def logs(app: App, *, go_on: bool, lines: int | None, console: bool) -> None:
    """Show what the app printed."""
    from vcr.model.project import load_project  # noqa: PLC0415
    from vcr.runtime.follow import follow, last_lines  # noqa: PLC0415
    from vcr.runtime.record import Records  # noqa: PLC0415

    records, key = Records(app.settings), load_project(app.directory).key
    channels, record = records.last_channels(key), records.load(key)
    path = channels.console if console else channels.log
    if not path.exists():
        raise UsageError("this project was never up", fix="`vcr up` starts it")
    shown = last_lines(path, lines)
    for line in shown:
        app.ui.data(line)
    if go_on and record is not None:
        skip = len(last_lines(path, None))
        for line in follow(path, lambda: not record.is_running, skip):
            app.ui.data(line)


@click.command(cls=Command)
@click.option("--all", "everything", is_flag=True, help="Also those that ended by themselves.")
@click.pass_obj
def ps(app: App, *, everything: bool) -> None:
    """List the VMs of all projects and their health."""
    from vcr.runtime.record import Records  # noqa: PLC0415

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
    from vcr.runtime.machine import Running, current_health  # noqa: PLC0415

    if not record.is_running:
        return "exited"
    try:
        outcome = current_health(Running.of(record, records))
    except OSError:  # the description of an old machine left the store
        return "unknown"
    if outcome.healthy:  # also when the vcr that waited for it was killed
        return "healthy"
    return "starting" if record.status == "starting" else "unhealthy"


def record_json(record: "Record") -> dict[str, Any]:
    """Return RECORD as the JSON of every verb has it."""
    return {
        "name": record.name,
        "project": record.project,
        "profile": record.profile,
        "pid": record.pid,
        "created": record.created,
        "forwards": [asdict(forward) for forward in record.forwards],
    }


def _ports(record: "Record") -> str:
    return ", ".join(f"{f.address}:{f.host}→{f.guest}" for f in record.forwards) or "-"
