"""The process that listens on the ports of this host which lead into a machine of QEMU.

It ends with QEMU.
"""

import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vcr.engines.python_child import python_child
from vcr.engines.qemu.relay import Relay
from vcr.formats.job import as_record

NAME = "vcr-relay"  # as ps(1) shows the process


@dataclass(frozen=True)
class Task:
    """What a process of this module does, with sockets that it inherits."""

    channel: int
    listeners: tuple[int, ...]
    ports: tuple[int, ...]  # of the app, one for each listener
    console: str


def relay_argv(
    channel: socket.socket, listeners: Sequence[socket.socket], ports: Sequence[int], console: str
) -> list[str]:
    """Return the argv of a process that carries what comes to LISTENERS through CHANNEL.

    PORTS are those of the app. The process inherits the sockets; what is wrong goes to the file
    CONSOLE.
    """
    for each in (channel, *listeners):
        each.set_inheritable(True)
    numbers = tuple(each.fileno() for each in listeners)
    task = Task(channel.fileno(), numbers, tuple(ports), console)
    return python_child("vcr.engines.qemu.ports", json.dumps(asdict(task)))


def main(text: str) -> None:
    """Do what the JSON TEXT of a Task says, until QEMU ends."""
    task = as_record(Task, json.loads(text))
    with suppress(OSError):
        Path("/proc/self/comm").write_text(NAME)
    listeners = [socket.socket(fileno=number) for number in task.listeners]
    try:
        pairs = list(zip(listeners, task.ports, strict=True))
        Relay(socket.socket(fileno=task.channel), pairs).run()
    except (ValueError, OSError) as error:
        with suppress(OSError), Path(task.console).open("a") as file:
            file.write(f"vcr: the ports lead nowhere any more: {error}\n")
