"""`vcr run|up|down`: the machine of a project, from its start to its end."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from vcr.cli.context import App, Command, project_argument
from vcr.cli.running.logs import record_json
from vcr.cli.running.start import Start, start_options
from vcr.errors import UsageError, VcrError

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from pathlib import Path

    from vcr.engines.container.machine import Additions
    from vcr.model.project import Project
    from vcr.runtime.machine import Running
    from vcr.runtime.record import Record, Records


@click.command(cls=Command)
@project_argument
@start_options
@click.pass_obj
def up(app: App, /, **options: Any) -> None:
    """Build the project, start it, and return when it is healthy.

    It runs in a VM or, with the profile dev, in a container of this host.
    """
    from vcr.runtime.machine import start
    from vcr.tools.nix import Nix
    from vcr.tools.nix_store import blaming_store

    wanted = Start(**options).chosen(app)
    given, forwards = wanted.additions(app), wanted.forwards()
    project, vm, records = wanted.build(app)
    additions = wanted.with_services(app, project, given)

    def begin() -> "Running":
        return start(
            project, vm, forwards, records, die_with_parent=False, additions=additions,
            profile=wanted.profile,
        )  # fmt: skip

    with blaming_store(Nix(app.settings), [vm]), records.locked(project.key):
        running = _still_up(records, project, vm, additions)
        if running is None:
            running = _start_and_wait(app, begin, wanted.timeout)
        else:
            app.ui.note(f"{project.name} is up already")
    announce(app, running.record)


@click.command(cls=Command)
@project_argument
@start_options
@click.option("--hot", is_flag=True, help="Build and start anew after each change of a file.")
@click.pass_obj
def run(app: App, /, *, hot: bool, **options: Any) -> None:
    """Build the project and run it in the foreground; Ctrl-C stops it.

    It runs in a VM or, with the profile dev, in a container of this host. With --hot
    the app that runs goes on serving until one with the change is healthy.
    """
    from vcr.tools.nix import Nix
    from vcr.tools.nix_store import blaming_store

    wanted = Start(**options).chosen(app)
    given, forwards = wanted.additions(app), wanted.forwards()
    built = project, vm, records = wanted.build(app)
    additions = wanted.with_services(app, project, given, hot=hot)
    with blaming_store(Nix(app.settings), [vm]), records.locked(project.key):
        if _still_up(records, project, vm, additions) is not None:
            raise UsageError(f"{project.name} is up already", fix="`vcr down`, or `vcr logs -f`")
        if hot:
            from vcr.cli.running.hot import run_hot

            run_hot(app, wanted, built, lambda hot: announce(app, hot.record))
        else:
            from vcr.runtime.machine import start

            _follow(
                app,
                start(
                    project,
                    vm,
                    forwards,
                    records,
                    die_with_parent=True,
                    additions=additions,
                    profile=wanted.profile,
                ),
                wanted.timeout,
            )


def _follow(app: App, running: "Running", timeout: float | None) -> None:
    """Show the app's log until it ends or is interrupted; then it is stopped."""
    from vcr.runtime.follow import follow

    watch = _Watch(app, running, timeout)
    try:
        watch.start()
        for line in follow(running.channels.log, watch.is_over):
            app.ui.program(line, is_error=app.ui.is_json)
        if watch.error is not None:
            raise watch.error
    finally:
        app.ui.detail("stopping")
        running.stop()


@click.command(cls=Command)
@project_argument
@click.option("--all", "everything", is_flag=True, help="Stop the VMs of all projects.")
@click.option("-t", "--time", "grace", type=click.IntRange(0, 86400), default=10, metavar="SECONDS",
              help="Between the app's stop signal and SIGKILL (10).")  # fmt: skip
@click.pass_obj
def down(app: App, *, everything: bool, grace: int) -> None:
    """Stop the VM of the project."""
    from vcr.runtime.machine import Running
    from vcr.runtime.record import Records

    records = Records(app.settings)
    found = records.all() if everything else _records_here(app, records)
    for record in found:
        with records.locked(record.key), app.ui.step(record.name) as step:
            Running.of(record, records).stop(grace)
            step.because("stopped")
    if not found:
        app.ui.note("nothing is up")
    if app.ui.is_json:
        app.ui.json("down", {"stopped": [record.name for record in found]})


class _Watch:
    """Waits for health beside the log of `vcr run`."""

    def __init__(self, app: App, running: "Running", timeout: float | None) -> None:
        self._app, self._running, self._timeout = app, running, timeout
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self.error: VcrError | None = None

    def start(self) -> None:
        self._thread.start()

    def is_over(self) -> bool:
        return self.error is not None or not self._running.record.is_running

    def _wait(self) -> None:
        try:
            announce(self._app, self._running.wait_until_healthy(self._timeout).record)
        except VcrError as error:
            self.error = error


def _still_up(
    records: "Records", project: "Project", vm: "Path", additions: "Additions"
) -> "Running | None":
    """Return the machine if it runs and is the one just built; stop another one."""
    from vcr.runtime.machine import Running

    record = records.load(project.key)
    if record is None:
        return None
    running = Running.of(record, records)
    same = record.vm == str(vm) and record.additions == additions.digest
    if record.is_running and same and record.status == "healthy":
        return running
    running.stop()
    return None


def _start_and_wait(app: App, start: "Callable[[], Running]", timeout: float | None) -> "Running":
    """Start a machine and wait for its health; if anything goes wrong it does not stay behind."""
    running = None
    try:
        with _held_signals():  # an interrupt must not come between its start and knowing of it
            running = start()
        with app.ui.step(running.record.name) as step:
            healthy = running.wait_until_healthy(timeout)
            step.because("healthy")
            return healthy
    except BaseException:
        if running is not None:
            running.stop(grace=0)
        raise


def _records_here(app: App, records: "Records") -> "list[Record]":

    record = records.load(app.started_project().key)
    return [record] if record is not None else []


def announce(app: App, record: "Record") -> None:
    """Say where the app of RECORD is reached."""
    if app.ui.is_json:
        app.ui.json("machine", {**record_json(record), "status": record.status})
        return
    for forward in record.forwards:
        app.ui.data(f"http://{forward.address}:{forward.host}/ → port {forward.guest}")
    _name_root(app, record)


def _name_root(app: App, record: "Record") -> None:
    """Say where the root of an emulated enclave's documents is."""
    from pathlib import Path

    from vcr.engines.enclave.machine import root_of_run
    from vcr.engines.machine import read_vm
    from vcr.runtime.record import Records

    if read_vm(Path(record.vm))["kind"] == "enclave":
        root = root_of_run(Records(app.settings).channels(record.where))
        app.ui.note(f"its documents lead to {root}, which is NOT AWS's")


@contextmanager
def _held_signals() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block is over."""
    caught: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    old = {number: signal.signal(number, lambda n, _: caught.append(n)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    if caught:
        raise KeyboardInterrupt
