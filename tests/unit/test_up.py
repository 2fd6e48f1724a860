"""The use-cases of what is up, called from Python."""

import io
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vcr.app import Context, UpOptions, Variant
from vcr.app.running.exec import copy_in, copy_out, execute, read_file, ssh_config
from vcr.app.running.logs import Listed, LogOptions, logs, ps
from vcr.app.running.start import Start
from vcr.app.running.up import Ready, check_down, down, still_up, up
from vcr.engines.container.machine import NO_ADDITIONS, Additions
from vcr.engines.machine import Forward
from vcr.errors import HostError, LockError, UsageError
from vcr.runtime import machine
from vcr.runtime.ports import are_forwarded, parse_forwards
from vcr.runtime.record import Record, Records, start_time
from vcr.settings import Settings
from vcr.ui import Ui

VM = Path("/nix/store/vm")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    variables = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    return Context(tmp_path, Settings.load(variables), Ui(err=io.StringIO()))


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """What stands for the machine: a process that listens to nobody."""
    monkeypatch.setattr(machine, "KILL_SECONDS", 0.1)
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.fixture
def record(context: Context, child: subprocess.Popen[bytes]) -> Record:
    """The record of the machine that is up."""
    project = context.load_project()
    began = start_time(child.pid)
    assert began is not None
    forwards = (Forward("127.0.0.1", 18123, 8080),)
    record = Record(
        project.key, project.name, str(project.root), str(VM), child.pid, began, 1.0, forwards,
        "healthy",
    )  # fmt: skip
    Records(context.settings).save(record)
    return record


def asked(
    context: Context, *publish: str, vm: Path = VM, additions: Additions = NO_ADDITIONS
) -> Ready:
    options = UpOptions(forwards=parse_forwards(publish))
    project, records = context.load_project(), Records(context.settings)
    return Ready(Start(Variant(), options), project, vm, additions, records)


def told(context: Context) -> str:
    assert isinstance(context.ui.err, io.StringIO)
    return context.ui.err.getvalue()


@pytest.mark.parametrize("publish", [[], ["18123:8080"], ["8080"]])
def test_what_is_up_as_asked_is_left_alone(
    context: Context, record: Record, publish: list[str]
) -> None:
    running = still_up(context, asked(context, *publish))
    assert running is not None
    assert running.record == record
    assert record.is_running
    assert told(context) == ""
    with pytest.raises(UsageError, match="is up already"):
        check_down(context, asked(context, *publish))


@pytest.mark.parametrize(
    ("publish", "vm", "additions", "why"),
    [
        (["18124:8080"], VM, NO_ADDITIONS, "its ports are 127.0.0.1:18123:8080"),
        (["0.0.0.0:18123:8080"], VM, NO_ADDITIONS, "its ports are 127.0.0.1:18123:8080"),
        ([], VM, Additions(env=("A=b",)), "it has other variables"),
        ([], Path("/nix/store/other"), NO_ADDITIONS, "it is of another build"),
    ],
)
def test_what_is_up_otherwise_is_stopped_and_said_to_be(
    context: Context,
    record: Record,
    publish: list[str],
    vm: Path,
    additions: Additions,
    why: str,
) -> None:
    assert still_up(context, asked(context, *publish, vm=vm, additions=additions)) is None
    assert f"is up, and is started again: {why}" in told(context)
    assert not record.is_running
    assert Records(context.settings).load(record.key) is None


def test_what_is_not_healthy_is_started_anew(context: Context, record: Record) -> None:
    Records(context.settings).save(replace(record, status="starting"))
    assert still_up(context, asked(context)) is None
    assert "it is starting" in told(context)


def test_it_is_not_stopped_for_a_port_that_is_taken(context: Context, record: Record) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(HostError, match="is not free"):
            still_up(context, asked(context, f"{listener.getsockname()[1]}:8080"))
    assert record.is_running


def test_down_returns_what_it_stopped(context: Context, record: Record) -> None:
    assert down(context, grace=0) == (record,)
    assert not record.is_running
    assert down(context) == ()


@pytest.mark.parametrize(
    ("wanted", "there", "fits"),
    [
        ([], ["1:80"], True),
        (["1:80"], ["1:80", "2:81"], True),
        (["81"], ["1:80", "2:81"], True),
        (["1:80", "80"], ["2:80", "1:80"], True),
        (["1:80"], ["1:80", "2:80"], False),
        (["1:80", "2:80"], ["1:80"], False),
        (["3:82"], ["1:80"], False),
    ],
)
def test_forwards_are_compared_by_port_of_the_app(
    wanted: list[str], there: list[str], fits: bool
) -> None:
    forwards = [parse_forwards(each) for each in (wanted, there)]
    assert are_forwarded(forwards[0], forwards[1]) is fits


def test_logs_are_lines_of_what_was_up(context: Context) -> None:
    with pytest.raises(UsageError, match="was never up"):
        logs(context)
    channels = Records(context.settings).channels(context.load_project().key)
    channels.log.parent.mkdir(parents=True)
    channels.log.write_text("one\ntwo\nthr")
    channels.console.write_text("boot\n")
    assert list(logs(context)) == ["one", "two", "thr"]
    assert list(logs(context, LogOptions(count=1))) == ["thr"]
    assert list(logs(context, LogOptions(system=True))) == ["boot"]
    with pytest.raises(UsageError, match="are unknown"):
        logs(context, LogOptions(since=1.0))
    with pytest.raises(UsageError, match="cannot be the name of a service"):
        logs(context, LogOptions(service="../x"))


def test_logs_tell_why_a_start_failed_before_the_app_ran(context: Context) -> None:
    (context.directory / "Dockerfile").write_text("FROM debian\n")
    with pytest.raises(LockError):
        up(context)
    with pytest.raises(UsageError, match="its last start failed before it ran") as caught:
        logs(context)
    assert "there is no vcr.lock" in caught.value.why
    assert "`vcr lock`" in caught.value.fix
    channels = Records(context.settings).channels(context.load_project().key)
    channels.log.write_text("of the start before\n")
    assert list(logs(context)) == ["of the start before"]
    assert "the last start failed before the app ran: there is no vcr.lock" in told(context)


def test_the_log_of_a_service_that_is_not_there_is_told_apart(context: Context) -> None:
    channels = Records(context.settings).channels(context.load_project().key)
    channels.log.parent.mkdir(parents=True)
    channels.log.write_text("one\n")
    with pytest.raises(UsageError, match="no log of a service 'db'") as caught:
        logs(context, LogOptions(service="db"))
    assert "vcr.toml has no services" in caught.value.why


def test_a_log_is_followed_to_its_end(
    context: Context, record: Record, child: subprocess.Popen[bytes]
) -> None:
    channels = Records(context.settings).channels(record.key)
    channels.log.write_text("one\ntwo\nthr")
    lines = logs(context, LogOptions(follow=True, count=1))
    assert next(lines) == "two"
    with channels.log.open("a") as log:
        log.write("ee\n")
    assert next(lines) == "three"
    child.kill()
    child.wait()
    assert list(lines) == []


def test_machines_are_listed_with_their_health(
    context: Context, record: Record, child: subprocess.Popen[bytes]
) -> None:
    assert ps(context) == (Listed(record, "unknown"),)  # its description is not in the store
    child.kill()
    child.wait()
    assert ps(context) == ()
    assert ps(context, everything=True) == (Listed(record, "exited"),)


def test_nothing_is_inside_of_what_is_not_up(context: Context) -> None:
    calls: list[Callable[[], object]] = [
        lambda: execute(context, ["true"]),
        lambda: read_file(context, "/etc/passwd"),
        lambda: copy_out(context, "/etc", "."),
        lambda: copy_in(context, context.directory, "/etc"),
        lambda: ssh_config(context),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="is not up"):
            call()
