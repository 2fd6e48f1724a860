"""Starts and stops the machine of a project."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vcr import process
from vcr.agent.client import Agent, NoAnswerError, quit_qemu
from vcr.diagnosis.facts import Facts, last_facts, without_facts
from vcr.diagnosis.words import LOGS, Cause, Situation, cause_of
from vcr.dockerfile.health_place import health_place
from vcr.engines.container.machine import NO_ADDITIONS, Additions
from vcr.engines.logs import last_lines
from vcr.engines.machine import Channels, Forward
from vcr.engines.python_child import python_child
from vcr.engines.qemu.boot import BootMachine
from vcr.engines.registry import load_machine
from vcr.errors import HostError, UnhealthyError
from vcr.model.project import Project
from vcr.runtime.health import Prober, wait_until_healthy
from vcr.runtime.log_index import index_of, wait_for_end
from vcr.runtime.patience import Outcome
from vcr.runtime.ports import choose_forwards, free_ports
from vcr.runtime.record import Record, Records, start_time

TAIL_LINES = 15
FIRMWARE = "Boot HART"  # how the lines of OpenSBI's banner begin, down to its last
STOP_SECONDS = 10  # between the stop signal and SIGKILL, as Docker
KILL_SECONDS = 5.0  # for QEMU to go after it was told to


@dataclass(frozen=True)
class Running:
    """A machine on this host and what is known about it."""

    record: Record
    channels: Channels
    records: Records
    project: Project | None = None  # where this process has started it

    @classmethod
    def of(cls, record: Record, records: Records) -> "Running":
        """Return the machine of RECORD."""
        return cls(record, records.channels(record.where), records)

    @property
    def prober(self) -> Prober:
        """Return what asks it for its health."""
        # Read when it is needed: the store may lose what an old machine was started from.
        health = load_machine(Path(self.record.vm)).health
        return Prober(health, self.record.forwards, Agent(self.channels.agent))

    def wait_until_healthy(
        self,
        timeout: float | None,
        check: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> "Running":
        """Return it with its status healthy; raises UnhealthyError with its last words.

        CHECK is called between probes and raises to give up. SAY gets what is waited for.
        """

        def go_on() -> None:
            check()
            self._check_alive()

        outcome = wait_until_healthy(self.prober, go_on, timeout, say)
        status = "healthy" if outcome.healthy else "unhealthy"
        record = replace(self.record, status=status)
        self.records.save(record)
        if not outcome.healthy:
            what = f"{record.name} did not become healthy"
            raise self._unhealthy(what, outcome, self.prober.facts())
        return replace(self, record=record)

    def _check_alive(self) -> None:
        if not self.record.is_running:
            what = f"{self.record.name} stopped before it was healthy"
            raise self._unhealthy(what, None, last_facts(last_lines(self.channels.console)))

    def _unhealthy(self, what: str, outcome: Outcome | None, facts: Facts | None) -> UnhealthyError:
        console, log = tail(self.channels.console, after=FIRMWARE), tail(self.channels.log)
        if facts is not None:
            cause = cause_of(facts, self._situation(outcome, log))
        else:
            why = outcome.detail if outcome is not None else ""
            cause = Cause(why or "the app ended; the lines above are its last output", LOGS)
        return UnhealthyError(
            what,
            why=cause.why,
            fix=cause.fix,
            tail=[*(f"console: {line}" for line in console), *(f"app: {line}" for line in log)],
        )

    def _situation(self, outcome: Outcome | None, log: list[str]) -> Situation:
        machine, prober = load_machine(Path(self.record.vm)), self.prober
        return Situation(
            port=prober.port,
            check=prober.check,
            seconds=outcome.seconds if outcome is not None else 0.0,
            detail=outcome.detail if outcome is not None else "",
            place=health_place(self.project) if self.project is not None else "",
            log=log,
            memory_mib=machine.memory_mib if isinstance(machine, BootMachine) else 0,
        )

    def stop(self, grace: int = STOP_SECONDS) -> None:
        """Stop it: the app's stop signal, GRACE seconds later SIGKILL, then QEMU itself."""
        if self.record.is_running:
            with suppress(NoAnswerError):
                Agent(self.channels.agent).ask(f"stop {grace}", 2.0)
                self._wait_for_end(grace + KILL_SECONDS)
        if self.record.is_running:
            quit_qemu(self.channels.monitor)
            self._wait_for_end(KILL_SECONDS)
        if self.record.is_running:
            os.kill(self.record.pid, signal.SIGKILL)
            self._wait_for_end(KILL_SECONDS)
        wait_for_end(self.channels.log)
        self.records.forget(self.record)

    def _wait_for_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.record.is_running and time.monotonic() < deadline:
            with suppress(ChildProcessError):
                os.waitpid(self.record.pid, os.WNOHANG)
            time.sleep(0.05)


def start(
    project: Project,
    vm: Path,
    wanted: Iterable[Forward],
    records: Records,
    *,
    die_with_parent: bool,
    additions: Additions = NO_ADDITIONS,
    place: str = "",
    profile: str = "",
) -> Running:
    """Start the machine that VM describes for PROJECT; raises HostError, UsageError.

    The caller holds the lock of the project's record. PLACE: the key of a machine that is
    to replace the project's. PROFILE is what it was built for.
    """
    machine = load_machine(vm, replace(additions, source=project.context))
    forwards = choose_forwards(
        free_ports(machine.ports, machine.health), wanted, free_ports(machine.udp_ports, None)
    )
    channels = records.channels(place or project.key)
    record = Record(
        place or project.key, project.name, str(project.root), str(vm), 0, 0, time.time(), forwards,
        "starting", additions=additions.digest, runtime=additions.runtime,
        profile=profile,
    )  # fmt: skip
    with records.starting():
        _make_place(channels)
        machine.prepare(channels)
        argv = machine.command_line(forwards, channels)
        record = _spawn(argv, record, records, channels, die_with_parent=die_with_parent)
    running = Running(record, channels, records, project)
    with _stopped_on_error(running):
        machine.begin(channels)
    return running


def _spawn(
    argv: list[str], record: Record, records: Records, channels: Channels, *, die_with_parent: bool
) -> Record:
    """Start QEMU or the like by ARGV; return RECORD with what process it is, which is saved."""
    output = channels.console.with_name("qemu.log")
    with (
        output.open("ab") as file,
        process.spawned(argv, output=file, die_with_parent=die_with_parent) as child,
    ):
        started = start_time(child.pid)
        if started is None:
            child.wait()
            raise HostError("QEMU ended at once", tail=tail(output), why="see the lines above")
        record = replace(record, pid=child.pid, started=started)
        records.save(record)
    _watch_logs(record.pid, channels)
    return record


def _watch_logs(pid: int, channels: Channels) -> None:
    """Have it noted when the logs of the machine that is process PID are written."""
    told = {"pid": pid, "logs": [str(channels.log), str(channels.console)]}
    argv = python_child("vcr.runtime.log_index", json.dumps(told))
    with Path(os.devnull).open("wb") as nothing:
        process.spawn(argv, output=nothing, die_with_parent=False)


@contextmanager
def _stopped_on_error(running: Running) -> Iterator[None]:
    try:
        yield
    except BaseException:
        running.stop(grace=0)
        raise


def current_health(running: Running) -> Outcome:
    """Ask once, briefly: for listings."""
    return running.prober.probe(2.0)


def tail(path: Path, *, after: str = "") -> list[str]:
    """Return the last lines of the text file at PATH, none up to one that begins with AFTER."""
    lines = [line.rstrip() for line in without_facts(last_lines(path)) if line.strip()]
    begin = max(
        (n for n, line in enumerate(lines, 1) if after and line.startswith(after)), default=0
    )
    return lines[begin:][-TAIL_LINES:]


def _make_place(channels: Channels) -> None:
    """Make the directories, private to this user, without what an earlier machine left."""
    shutil.rmtree(channels.agent.parent, ignore_errors=True)
    for directory in (channels.console.parent, channels.agent.parent):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in channels.console.parent.glob("*.log"):  # a machine's, QEMU's, and of services
        file.unlink()
    for file in (channels.console, channels.log):
        index_of(file).unlink(missing_ok=True)
        for path in (file, index_of(file)):
            path.touch(mode=0o600)
