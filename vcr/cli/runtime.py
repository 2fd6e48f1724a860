"""`vcr run|up|down`: the machine of a project, from its start to its end."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from vcr.cli.app import App, Command, engine_option, profile_option, project_argument
from vcr.cli.build import check_enclave
from vcr.cli.watch import record_json
from vcr.errors import UsageError, VcrError

if TYPE_CHECKING:  # pydantic costs 200 ms at import
    from pathlib import Path

    from vcr.engines.machine import Forward
    from vcr.model.project import Project
    from vcr.runtime.machine import Running
    from vcr.runtime.record import Record, Records

publish_option = click.option(
    "-p",
    "--publish",
    multiple=True,
    metavar="[[ADDR:]HOST:]GUEST",
    help="Forward a port of this host; without it, every port of the app gets a free one.",
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Give up on an app that is not healthy by then.",
)


enclave_option = click.option(
    "--enclave", is_flag=True, help="Go on in an emulated enclave (--profile prod)."
)


def start_options[F: Callable[..., object]](function: F) -> F:
    """Add what decides which machine is started, and how."""
    return profile_option(engine_option(enclave_option(publish_option(timeout_option(function)))))


@click.command(cls=Command)
@project_argument
@start_options
@click.pass_obj
def up(
    app: App,
    *,
    profile: str,
    engine: str | None,
    enclave: bool,
    publish: tuple[str, ...],
    timeout: float | None,
) -> None:
    """Build the project, start it in a VM, and return when it is healthy."""
    from vcr.runtime.machine import start  # noqa: PLC0415

    project, vm, records = _built(app, profile, engine, enclave=enclave)
    with records.locked(project.key):
        running = _still_up(records, project, vm)
        if running is None:
            running = _start_and_wait(
                app,
                lambda: start(project, vm, _forwards(publish), records, die_with_parent=False),
                timeout,
            )
        else:
            app.ui.note(f"{project.name} is up already")
    _announce(app, running)


@click.command(cls=Command)
@project_argument
@start_options
@click.pass_obj
def run(
    app: App,
    *,
    profile: str,
    engine: str | None,
    enclave: bool,
    publish: tuple[str, ...],
    timeout: float | None,
) -> None:
    """Build the project and run it in a VM in the foreground; Ctrl-C stops it."""
    from vcr.runtime.follow import follow  # noqa: PLC0415
    from vcr.runtime.machine import start  # noqa: PLC0415

    project, vm, records = _built(app, profile, engine, enclave=enclave)
    with records.locked(project.key):
        if _still_up(records, project, vm) is not None:
            raise UsageError(f"{project.name} is up already", fix="`vcr down`, or `vcr logs -f`")
        running = start(project, vm, _forwards(publish), records, die_with_parent=True)
        watch = _Watch(app, running, timeout)
        say = app.ui.note if app.ui.is_json else app.ui.data
        try:
            watch.start()
            for line in follow(running.channels.log, watch.is_over):
                say(line)
            if watch.error is not None:
                raise watch.error
        finally:
            app.ui.detail("stopping")
            running.stop()


@click.command(cls=Command)
@project_argument
@click.option("--all", "everything", is_flag=True, help="Stop the VMs of all projects.")
@click.option("-t", "--time", "grace", type=click.IntRange(0), default=10, metavar="SECONDS",
              help="Between the app's stop signal and SIGKILL (10).")  # fmt: skip
@click.pass_obj
def down(app: App, *, everything: bool, grace: int) -> None:
    """Stop the VM of the project."""
    from vcr.runtime.machine import Running  # noqa: PLC0415
    from vcr.runtime.record import Records  # noqa: PLC0415

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
            _announce(self._app, self._running.wait_until_healthy(self._timeout))
        except VcrError as error:
            self.error = error


def _built(
    app: App, profile: str, engine: str | None, *, enclave: bool
) -> "tuple[Project, Path, Records]":
    if enclave and profile != "prod":
        raise UsageError("an enclave goes on from a sealed snapshot", fix="add --profile prod")
    from vcr.model.arch import Arch  # noqa: PLC0415
    from vcr.runtime.record import Records  # noqa: PLC0415
    from vcr.stages import machine_of, stages_of  # noqa: PLC0415
    from vcr.stages.build import Builder  # noqa: PLC0415
    from vcr.stages.prepare import prepare  # noqa: PLC0415

    project, plan = prepare(app.directory, arch=Arch.RISCV64, profile=profile, engine=engine)
    if enclave:
        check_enclave(plan.machine.engine)
    machine = machine_of(profile, enclave=enclave)
    stages = (*stages_of(profile, enclave=enclave), machine)
    built = Builder(app.settings, app.ui, project).build(plan, stages)
    return project, built.path(machine), Records(app.settings)


def _still_up(records: "Records", project: "Project", vm: "Path") -> "Running | None":
    """Return the machine if it runs and is the one just built; stop an older one."""
    from vcr.runtime.machine import Running  # noqa: PLC0415

    record = records.load(project.key)
    if record is None:
        return None
    running = Running.of(record, records)
    if record.is_running and record.vm == str(vm) and record.status == "healthy":
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
    from vcr.model.project import load_project  # noqa: PLC0415

    record = records.load(load_project(app.directory).key)
    return [record] if record is not None else []


def _forwards(publish: tuple[str, ...]) -> "list[Forward]":
    from vcr.runtime.ports import parse_forward  # noqa: PLC0415

    return [parse_forward(text) for text in publish]


def _announce(app: App, running: "Running") -> None:
    record = running.record
    if app.ui.is_json:
        app.ui.json("machine", {**record_json(record), "status": record.status})
        return
    for forward in record.forwards:
        app.ui.data(f"http://{forward.address}:{forward.host}/ → port {forward.guest}")


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
