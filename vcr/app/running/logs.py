"""What the machines on this host print, and how they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vcr.app.context import Context
from vcr.engines.container.services import log_of
from vcr.errors import UsageError
from vcr.model.project import Project
from vcr.runtime.failed_start import FailedStart
from vcr.runtime.follow import follow, read_log
from vcr.runtime.log_index import length_at
from vcr.runtime.machine import Running, current_health
from vcr.runtime.record import Record, Records


@dataclass(frozen=True)
class LogOptions:
    """Which lines of which log to show."""

    follow: bool = False  # yield new lines until the machine ends
    count: int | None = None  # only the last ones
    since: float | None = None  # only lines since then, in seconds since 1970
    system: bool = False  # messages of the kernel and of init, instead of what the app printed
    service: str | None = None  # what this service printed instead, of the profile dev


@dataclass(frozen=True)
class Listed:
    """A machine and its state."""

    record: Record
    status: str  # starting, healthy, unhealthy, exited, unknown


def logs(context: Context, options: LogOptions = LogOptions()) -> Iterator[str]:
    """Yield the lines of a log of the project's machine that is, or was, up.

    Raises UsageError at once if there is no such log.
    """
    records, project = Records(context.settings), context.started_project()
    channels, record = records.last_channels(project.key), records.load(project.key)
    failed = FailedStart.last(records.directory(project.key)) if record is None else None
    path = channels.console if options.system else channels.log
    if options.service:
        if "/" in options.service:
            raise UsageError(f"{options.service!r} cannot be the name of a service")
        path = log_of(channels, options.service)
    if not path.exists():
        raise _without_log(options.service, project, failed, was_up=channels.log.exists())
    if failed is not None:
        context.ui.warn(f"the last start failed before the app ran: {failed.what}")
    running = record if options.follow and record is not None and record.is_running else None
    begin = _length_at(path, options.since) if options.since is not None else 0
    return _lines(path, begin, options.count, running)


def _without_log(
    service: str | None, project: Project, failed: FailedStart | None, *, was_up: bool
) -> UsageError:
    """Return why there is no log of PROJECT, or of its SERVICE."""
    if failed is not None:
        return UsageError(
            "the app has printed nothing: its last start failed before it ran",
            why=failed.what + (f": {failed.why}" if failed.why else ""),
            fix=failed.fix,
            tail=failed.tail,
        )
    if was_up:
        known = ", ".join(project.config.services)
        return UsageError(
            f"there is no log of a service {service!r}",
            why=f"the services of vcr.toml are {known}" if known else "vcr.toml has no services",
            fix="services run in the profile dev; leave --service out for what the app printed",
        )
    return UsageError("this project was never up", fix="`vcr up` starts it")


def _lines(path: Path, begin: int, count: int | None, running: Record | None) -> Iterator[str]:
    read = read_log(path, begin)
    # The beginning of a line is shown with its end.
    lines = read.lines if running or not read.rest else (*read.lines, read.rest)
    yield from lines if count is None else lines[len(lines) - min(count, len(lines)) :]
    if running is not None:
        yield from follow(path, lambda: not running.is_running, read.end)


def _length_at(path: Path, moment: float) -> int:
    """Return how long the log at PATH was at MOMENT; raises UsageError when nobody noted it."""
    try:
        return length_at(path, moment)
    except OSError:
        raise UsageError(
            "the times of this log are unknown",
            why="another version of vcr started the machine",
            fix="leave --since out",
        ) from None


def ps(context: Context, *, everything: bool = False) -> tuple[Listed, ...]:
    """Return this user's machines of all projects, with EVERYTHING also those that ended."""
    records = Records(context.settings)
    listed = (Listed(record, _status(record, records)) for record in records.all())
    return tuple(each for each in listed if everything or each.status != "exited")


def _status(record: Record, records: Records) -> str:
    if not record.is_running:
        return "exited"
    try:
        outcome = current_health(Running.of(record, records))
    except OSError:  # the description of an old machine left the store
        return "unknown"
    if outcome.healthy:  # also when the vcr that waited for it was killed
        return "healthy"
    return "starting" if record.status == "starting" else "unhealthy"
