"""The network of a machine: what passt is told, and what becomes of a host without it."""

import json
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from vcr.engines.machine import Channels, Forward
from vcr.engines.qemu.network import CARD, CLOSED, OPEN, RELAY, Task, connected, passt_argv
from vcr.engines.streams import HEAD, Frame, Hello, Kind
from vcr.formats.job import as_record
from vcr.runtime.ports import holder_of

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


def test_a_port_that_somebody_has_taken_meanwhile_is_said(
    tmp_path: Path, channels: Channels
) -> None:
    qemu = program(tmp_path / "qemu", "echo started")
    with socket.create_server(("127.0.0.1", 0)) as other:
        forwards = [Forward("127.0.0.1", other.getsockname()[1], 80)]
        argv = connected("", forwards, channels, lambda _: [qemu])
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert "cannot listen on a port of this host: " in channels.console.read_text()


def test_what_is_told_is_all_that_is_taken(channels: Channels) -> None:
    argv = connected("/p", FORWARDS, channels, lambda network: ["/q", network])
    task = as_record(Task, json.loads(argv[-1]))
    assert task.open == ("/q", OPEN)
    assert task.closed == ("/q", CLOSED)
    assert task.forwards == tuple(FORWARDS)


def test_the_ports_lead_to_the_app_from_a_process_that_ends_with_qemu(
    tmp_path: Path, channels: Channels
) -> None:
    """QEMU is a program here that says what an agent says, and passes a frame of it on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hello = Frame(0, Kind.HELLO, Hello(bytes(16), 9, 9).encode()).encode().hex()
    script = (
        "import socket, sys, time\n"
        f"agent = socket.socket(fileno={RELAY})\n"
        f"agent.sendall(bytes.fromhex('{hello}'))\n"
        "got = b''\n"
        f"while len(got) < 16 + {HEAD.size} + 2: got += agent.recv(1)\n"
        "print(got[16:].hex(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    forwards = [Forward("127.0.0.1", port, 80)]
    argv = connected("", forwards, channels, lambda _: [sys.executable, "-c", script])
    opened = Frame(1, Kind.OPEN, (80).to_bytes(2)).encode().hex()
    holder, deadline = "", time.monotonic() + 60
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, text=True, stdin=pipe, stdout=pipe) as qemu:
        while "(vcr-relay" not in holder and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
                holder = holder_of(port)
            time.sleep(0.1)
        assert "the network of a machine or container (vcr-relay" in holder
        assert qemu.communicate()[0] == f"{opened}\n"
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    raise AssertionError("somebody still listens")
