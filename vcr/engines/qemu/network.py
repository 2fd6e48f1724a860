"""The network of a machine of QEMU: passt, between its card and sockets of this host.

passt, of the pinned toolchain, opens sockets for what the machine asks for. It reaches what this
host reaches, and nothing that listens on this host's loopback: no address stands for it, and
packets to 127.0.0.0/8 are dropped. QEMU's own user network has no such choice: 10.0.2.2, and what
a machine makes up, lead to 127.0.0.1.

passt keeps itself in namespaces. Where this host does not let it, QEMU's network is there, and
the machine has no way out (`restrict`). https://passt.top, passt(1)

The ports of this host that lead to the app are vcr.engines.qemu.relay's.
"""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vcr.engines.addresses import DNS_ADDRESS, GATEWAY
from vcr.engines.machine import Channels, Forward
from vcr.engines.opened import listener_of
from vcr.engines.parent import die_with_parent
from vcr.engines.python_child import python_child
from vcr.engines.qemu.ports import relay_argv
from vcr.engines.qemu.relay import raise_limit
from vcr.formats.job import as_record

# Of the machine, as its kernel is told: vcr.sandbox.hardware.
ADDRESS, PREFIX = "10.0.2.15", "24"
CARD = 10  # file descriptor that QEMU has the network at
OPEN = f"stream,addr.type=fd,addr.str={CARD}"  # QEMU's backend, with passt at the other end
READY_SECONDS = 10.0  # for passt to begin
POLL_SECONDS = 0.005

RELAY = 11  # file descriptor that QEMU has the connections to the app at
RELAY_BACKEND = f"socket,fd={RELAY}"
CLOSED = "user,restrict=on"  # QEMU's backend that lets nothing out

type Argv = Callable[[str], list[str]]  # of QEMU, by the backend of its card


@dataclass(frozen=True)
class Task:
    """What a process of this module does."""

    passt: str  # "" for none
    pid: str  # file for its process ID
    console: str  # file
    forwards: tuple[Forward, ...]
    open: tuple[str, ...]  # the argv of QEMU with passt
    closed: tuple[str, ...]  # and without


def connected(passt: str, forwards: Sequence[Forward], channels: Channels, qemu: Argv) -> list[str]:
    """Return the argv of a process that starts PASST and becomes QEMU."""
    task = Task(
        passt=passt,
        pid=str(channels.agent.with_name("passt.pid")),
        console=str(channels.console),
        forwards=tuple(forwards),
        open=tuple(qemu(OPEN)),
        closed=tuple(qemu(CLOSED)),
    )
    return python_child("vcr.engines.qemu.network", json.dumps(asdict(task)))


def passt_argv(passt: str, fd: int, pid: Path) -> list[str]:
    """Return the argv of PASST for the machine at the socket FD; its process ID goes to PID."""
    return [
        *(passt, "--fd", str(fd), "--foreground", "--quiet", "--pid", str(pid)),
        *("--ipv4-only", "--no-dhcp"),
        *("--address", ADDRESS, "--netmask", PREFIX, "--gateway", GATEWAY),
        *("--map-host-loopback", "none", "--map-guest-addr", "none"),
        *("--dns-forward", DNS_ADDRESS),
        *("-t", "none", "-u", "none"),
    ]


def main(text: str) -> None:
    """Start passt and what leads to the app, and become QEMU as the JSON TEXT of a Task says."""
    task = as_record(Task, json.loads(text))
    _lead_in(task)
    has_way_out = bool(task.passt) and _start(task.passt, Path(task.pid))
    if not has_way_out:
        with suppress(OSError), Path(task.console).open("a") as console:
            console.write("vcr: the machine cannot reach the network\n")
    argv = task.open if has_way_out else task.closed
    os.execv(argv[0], argv)  # noqa: S606 -- no shell is meant


def _lead_in(task: Task) -> None:
    """Start what listens on the ports of TASK, and keep its other end as RELAY; or end."""
    raise_limit()
    ours, theirs = socket.socketpair()  # first: it is below RELAY, however many ports there are
    try:
        listeners = [listener_of(each) for each in task.forwards]
    except OSError as error:
        with suppress(OSError), Path(task.console).open("a") as console:
            console.write(f"vcr: cannot listen on a port of this host: {error}\n")
        raise SystemExit(1) from None
    if os.fork() == 0:
        ours.close()
        die_with_parent()
        ports = [each.guest for each in task.forwards]
        argv = relay_argv(theirs, listeners, ports, task.console)
        os.execv(argv[0], argv)  # noqa: S606 -- no shell is meant
    for each in (theirs, *listeners):
        each.close()
    os.dup2(ours.fileno(), RELAY)


def _start(passt: str, pid: Path) -> bool:
    """Start PASST with one end of a connection, and keep the other as CARD; return whether it runs.

    It ends with the connection, so with QEMU, however that ends.
    """
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        theirs.set_inheritable(True)
        os.close(RELAY)
        die_with_parent()
        with suppress(OSError):
            argv = passt_argv(passt, theirs.fileno(), pid)
            os.execv(passt, argv)  # noqa: S606 -- no shell is meant
        os._exit(1)
    theirs.close()
    if _is_ready(child, pid):
        os.dup2(ours.fileno(), CARD)
        return True
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return False


def _is_ready(child: int, pid: Path) -> bool:
    """Wait until passt, the process CHILD, has written to PID; return whether it still runs."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        written = pid.exists() and pid.stat().st_size > 0
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        if written:
            return True
        time.sleep(POLL_SECONDS)
    return False
