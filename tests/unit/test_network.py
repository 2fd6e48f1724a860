"""The network of a machine: what passt is told, and what becomes of a host without it."""

import json
import subprocess
from pathlib import Path

import pytest

from vcr.engines.machine import Channels, Forward
from vcr.engines.qemu.network import CARD, CLOSED, OPEN, Task, connected, passt_argv
from vcr.formats.job import as_record

FORWARDS = [Forward("127.0.0.1", 8080, 80), Forward("0.0.0.0", 53, 5353)]


def test_no_address_is_this_hosts_loopback() -> None:
    argv = passt_argv("/p", 9, Path("/r/pid"))
    for flag in ("--map-host-loopback", "--map-guest-addr", "-t", "-u"):
        assert argv[argv.index(flag) + 1] == "none"


def test_where_there_is_no_passt_nothing_leads_out() -> None:
    assert CLOSED == "user,restrict=on"


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def channels(tmp_path: Path) -> Channels:
    return Channels(*(tmp_path / name for name in ("console", "log", "agent", "qmp")))


def started(tmp_path: Path, channels: Channels, passt: str) -> str:
    """Return what a QEMU prints that PASST is the other end of: its arguments, and its card."""
    qemu = program(tmp_path / "qemu", f'echo "$@"; readlink /proc/self/fd/{CARD} | cut -d: -f1')
    argv = connected(passt, [], channels, lambda network: [qemu, network])
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


def test_qemu_has_passt_at_its_card(tmp_path: Path, channels: Channels) -> None:
    script = (
        'while [ "$1" != --fd ]; do shift; done; fd=$2\nwhile [ "$1" != --pid ]; do shift; done\n'
    )
    passt = program(tmp_path / "passt", f'{script} echo $$ > "$2"; exec sleep 9 > /dev/null')
    said = started(tmp_path, channels, passt)
    assert said.splitlines() == [OPEN, "socket"]
    assert not channels.console.exists()


@pytest.mark.parametrize("passt", ["", "/none/passt", "/bin/false"])
def test_a_passt_that_does_not_run_is_said(tmp_path: Path, channels: Channels, passt: str) -> None:
    assert started(tmp_path, channels, passt) == f"{CLOSED}\n"
    assert "cannot reach the network" in channels.console.read_text()


def test_what_is_told_is_all_that_is_taken(channels: Channels) -> None:
    argv = connected("/p", FORWARDS, channels, lambda network: ["/q", network])
    task = as_record(Task, json.loads(argv[-1]))
    assert task.open == ("/q", OPEN)
    assert task.closed == ("/q", CLOSED)
    assert task.forwards == tuple(FORWARDS)
