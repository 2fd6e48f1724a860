"""The machine of a project, from its start to its end: up, run in the foreground, down."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vcr.app.context import Context, Variant
from vcr.app.running.start import Start, UpOptions
from vcr.engines.container.machine import Additions
from vcr.engines.enclave.machine import root_of_run
from vcr.engines.machine import TCP, UDP, read_vm
from vcr.errors import UsageError, VcrError
from vcr.model.project import Project
from vcr.runtime.failed_start import kept_failure
from vcr.runtime.follow import follow
from vcr.runtime.machine import STOP_SECONDS, Running, start
from vcr.runtime.ports import are_forwarded, check_free
from vcr.runtime.record import Record, Records
from vcr.signals import held
from vcr.tools.nix import Nix
from vcr.tools.nix_store import blaming_store


@dataclass(frozen=True)
class Up:
    """A machine that is up and healthy."""

    record: Record
    # Of an emulated enclave: the file with the certificate that its documents lead to.
    root: Path | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """Return the addresses of its ports of TCP, as URLs of HTTP."""
        return tuple(
            f"http://{each.place}/" for each in self.record.forwards if each.protocol == TCP
        )

    @property
    def ports(self) -> dict[int, tuple[str, int]]:
        """Return by TCP port of the app the address and port of this host that lead there."""
        return self._ports(TCP)

    @property
    def udp_ports(self) -> dict[int, tuple[str, int]]:
        """Return by UDP port of the app the address and port of this host that lead there."""
        return self._ports(UDP)

    def _ports(self, protocol: str) -> dict[int, tuple[str, int]]:
        forwards = [each for each in self.record.forwards if each.protocol == protocol]
        return {each.guest: (each.address, each.host) for each in forwards}

    @classmethod
    def of(cls, context: Context, record: Record) -> "Up":
        """Return the machine of RECORD; raises UsageError when another vcr built it."""
        if read_vm(Path(record.vm))["kind"] != "enclave":
            return cls(record)
        return cls(record, root_of_run(Records(context.settings).channels(record.where)))


@dataclass(frozen=True)
class Listener:
    """What `run` and `run_hot` call when something happens; the first two perhaps in a thread."""

    on_up: Callable[[Up], None]  # it is healthy; with run_hot each time that a version serves
    on_line: Callable[[str], None]  # the app printed a line
    on_error: Callable[[VcrError], None]  # of run_hot: a version cannot serve; the one before may


@dataclass(frozen=True)
class Ready:
    """What START asks for, built: it is started from VM, given ADDITIONS."""

    start: Start
    project: Project
    vm: Path
    additions: Additions
    records: Records

    @classmethod
    def of(cls, context: Context, start: Start, *, hot: bool = False) -> "Ready":
        """Build what START asks for; raises VcrError."""
        start, records = start.chosen(context), Records(context.settings)
        given = start.additions(context)
        with kept_failure(records.directory(context.started_project().key)):
            project, vm = start.build(context)
            given = start.with_volumes(context, project, given)
            additions = start.with_services(context, project, given, hot=hot)
        return cls(start, project, vm, additions, records)

    @contextmanager
    def locked(self, context: Context) -> Iterator[None]:
        """Keep other vcr processes away from its record, and name damage of the store."""
        with (
            blaming_store(Nix(context.settings), [self.vm]),
            self.records.locked(self.project.key),
        ):
            yield

    def begin(self, *, die_with_parent: bool) -> Running:
        """Start it; raises HostError, UsageError."""
        with kept_failure(self.records.directory(self.project.key)):
            return start(
                self.project,
                self.vm,
                self.start.options.forwards,
                self.records,
                die_with_parent=die_with_parent,
                additions=self.additions,
                profile=self.start.profile,
            )


def up(context: Context, variant: Variant = Variant(), options: UpOptions = UpOptions()) -> Up:
    """Build the project, start it as OPTIONS say, and return it when it is healthy.

    If it is up as requested, it is left alone; if it is up otherwise, it is started again. Raises
    UnhealthyError, and VcrError of a build and a start.
    """
    ready = Ready.of(context, Start(variant, options))
    with ready.locked(context):
        running = still_up(context, ready)
        if running is None:
            running = _start_and_wait(context, ready)
        else:
            context.ui.note(f"{ready.project.name} is up already")
    return Up.of(context, running.record)


def run(
    context: Context,
    variant: Variant = Variant(),
    options: UpOptions = UpOptions(),
    *,
    listener: Listener,
) -> None:
    """Build the project and run it until it ends, or until an interrupt, which stops it.

    LISTENER is called when something happens. Raises UnhealthyError, and VcrError of a build and a
    start.
    """
    ready = Ready.of(context, Start(variant, options))
    with ready.locked(context):
        check_down(context, ready)
        running = ready.begin(die_with_parent=True)
        watch = _Watch(context, running, ready.start.options.timeout, listener)
        try:
            watch.start()
            for line in follow(running.channels.log, watch.is_over):
                listener.on_line(line)
            if watch.error is not None:
                raise watch.error
        finally:
            context.ui.detail("stopping")
            running.stop()


def down(
    context: Context, *, everything: bool = False, grace: int = STOP_SECONDS
) -> tuple[Record, ...]:
    """Stop the machine of the project, or EVERYTHING of this user; return what was stopped.

    GRACE is the time in seconds between the app's stop signal and SIGKILL. Raises HostError.
    """
    records = Records(context.settings)
    if everything:
        found = records.all()
    else:
        record = records.load(context.started_project().key)
        found = [] if record is None else [record]
    for each in found:
        with records.locked(each.key), context.ui.step(each.name) as step:
            Running.of(each, records).stop(grace)
            step.because("stopped")
    return tuple(found)


def check_down(context: Context, ready: Ready) -> None:
    """Raise UsageError when the machine is up as it is asked for; stop another one."""
    if still_up(context, ready) is not None:
        raise UsageError(f"{ready.project.name} is up already", fix="`vcr down`, or `vcr logs -f`")


def still_up(context: Context, ready: Ready) -> Running | None:
    """Return the machine that is up as READY asks for; stop one that is up otherwise, and say so.

    Raises HostError, and lets it run, where a port that is asked for is not free.
    """
    record = ready.records.load(ready.project.key)
    if record is None:
        return None
    running = Running.of(record, ready.records)
    if record.is_running:
        change = _change(record, ready)
        if not change:
            return running
        check_free(ready.start.options.forwards, record.forwards)
        context.ui.note(f"{record.name} is up, and is started again: {change}")
    running.stop()
    return None


def _change(record: Record, ready: Ready) -> str:
    """Say what of the machine of RECORD is not as it is asked for, "" when all is."""
    if record.status != "healthy":
        return f"it is {record.status}"
    if record.vm != str(ready.vm):
        return "it is of another build"
    if record.additions != ready.additions.digest:
        return "it has other variables, volumes, services, CPUs or another --runtime"
    if not are_forwarded(ready.start.options.forwards, record.forwards):
        return f"its ports are {', '.join(map(str, record.forwards)) or 'none'}"
    return ""


def _start_and_wait(context: Context, ready: Ready) -> Running:
    """Start a machine and wait for its health; if anything goes wrong it does not stay behind."""
    running = None
    try:
        with context.ui.step(ready.project.name) as step:
            with held():  # an interrupt must not come between its start and knowing of it
                running = ready.begin(die_with_parent=False)
            healthy = running.wait_until_healthy(ready.start.options.timeout, say=step.line)
            step.because("healthy")
            return healthy
    except BaseException:
        if running is not None:
            running.stop(grace=0)
        raise


class _Watch:
    """Waits for health beside the log of `run`."""

    def __init__(
        self,
        context: Context,
        running: Running,
        timeout: float | None,
        listener: Listener,
    ) -> None:
        self._context, self._running, self._timeout = context, running, timeout
        self._listener = listener
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self.error: VcrError | None = None

    def start(self) -> None:
        self._thread.start()

    def is_over(self) -> bool:
        return self.error is not None or not self._running.record.is_running

    def _wait(self) -> None:
        try:
            healthy = self._running.wait_until_healthy(self._timeout)
            self._listener.on_up(Up.of(self._context, healthy.record))
        except VcrError as error:
            self.error = error
