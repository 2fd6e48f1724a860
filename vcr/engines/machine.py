"""What every machine has: a name, ports, a health check, and files and sockets of this host."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vcr.errors import UsageError
from vcr.model.health import CommandProbe, HealthCheck, HttpProbe

VM_FILE = "vm.json"
VM_SCHEMA = 1
TCP, UDP = "tcp", "udp"  # of Forward


@dataclass(frozen=True)
class Forward:
    """A port of this host that leads to one of the guest."""

    address: str  # of IPv4 or IPv6, without brackets
    host: int
    guest: int
    protocol: str = TCP

    def __str__(self) -> str:
        return f"{self.place}:{self.target}"

    @property
    def target(self) -> str:
        """Return the port of the guest as EXPOSE has it, without the protocol where it is TCP."""
        return f"{self.guest}" if self.protocol == TCP else f"{self.guest}/{self.protocol}"

    @property
    def place(self) -> str:
        """Return the address and the port of this host, as a URL has them."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.host}"


@dataclass(frozen=True)
class Channels:
    """Files and sockets of a running machine; socket paths are at most 107 bytes."""

    console: Path  # file: kernel and init
    log: Path  # file: the app's output
    agent: Path  # socket
    monitor: Path  # socket, QMP

    @property
    def debug(self) -> Path:
        """Return what sockets for commands are named after, where there are some."""
        return self.agent.with_name("debug")

    @property
    def scratch(self) -> Path:
        """Return the directory for what a machine needs only while it runs."""
        return self.console.with_name("scratch")

    @property
    def layers(self) -> Path:
        """Return the directory of unpacked layers, which all containers of this user share."""
        return self.console.parents[2] / "layers"


class Machine(Protocol):
    """A machine that can be started on this host."""

    @property
    def ports(self) -> tuple[int, ...]:
        """TCP ports of the guest that are forwarded."""

    @property
    def udp_ports(self) -> tuple[int, ...]:
        """UDP ports of the guest that are forwarded."""

    @property
    def health(self) -> HealthCheck | None:
        """How its health is asked for."""

    def prepare(self, channels: Channels) -> None:
        """Check and lay out what it is started from; raises VcrError."""

    def command_line(self, forwards: Sequence[Forward], channels: Channels) -> list[str]:
        """Return the argv that runs it."""

    def begin(self, channels: Channels) -> None:
        """Bring it to where the app serves, right after its process was started."""


def read_vm(output: Path) -> dict[str, Any]:
    """Read vm.json of a build's OUTPUT; raises UsageError when another version wrote it."""
    data = json.loads((output / VM_FILE).read_bytes())
    if data.pop("schema") != VM_SCHEMA:
        raise UsageError(f"{output} was built by another version of vcr", fix="build it again")
    for key in {"ports", "udp_ports"} & data.keys():
        data[key] = tuple(data[key])
    data["health"] = _health(data["health"])
    return dict(data)


def refuse_datagrams(forwards: Sequence[Forward], where: str) -> None:
    """Raise UsageError for one of FORWARDS that is of UDP: WHERE says where nothing carries it."""
    for each in forwards:
        if each.protocol == UDP:
            raise UsageError(
                f"no port of UDP leads {where}, so not {each.target}",
                why="only connections of TCP are carried there",
                fix="leave that -p out, or use --profile vm, dev, or prod on the engine qemu",
            )


def _health(data: dict[str, Any] | None) -> HealthCheck | None:
    if data is None:
        return None
    probe = data["probe"]
    made = HttpProbe(**probe) if "path" in probe else CommandProbe(tuple(probe["argv"]))
    return HealthCheck(**{**data, "probe": made})
