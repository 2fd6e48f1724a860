"""qemu-system-riscv64: the command line of a stage machine, a pure function.

https://www.qemu.org/docs/master/system/riscv/virt.html
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.errors import UsageError
from vcr.model.health import CommandProbe, HealthCheck, HttpProbe

VM_SCHEMA = 1
# Addresses of QEMU's user network: https://wiki.qemu.org/Documentation/Networking#User_Networking_.28SLIRP.29
GUEST_ADDRESS = "10.0.2.15/24,10.0.2.2"
GUEST_DNS = "10.0.2.3"


@dataclass(frozen=True)
class Machine:
    """What nix/stages/vm.nix describes: everything but this host's ports and paths."""

    name: str
    qemu: Path
    qemu_data: Path
    firmware: Path
    kernel: Path
    initramfs: Path
    squashfs: Path
    append: str
    memory_mib: int
    cpus: int
    ports: tuple[int, ...]
    health: HealthCheck | None

    @classmethod
    def load(cls, output: Path) -> "Machine":
        """Read vm.json of the `vm` stage's OUTPUT directory."""
        data = json.loads((output / "vm.json").read_bytes())
        if data.pop("schema") != VM_SCHEMA:
            raise UsageError(f"{output} was built by another version of vcr", fix="build it again")
        paths = ("qemu", "qemu_data", "firmware", "kernel", "initramfs", "squashfs")
        data |= {key: Path(data[key]) for key in paths}
        data |= {"ports": tuple(data["ports"]), "health": _health(data["health"])}
        return cls(**data)


@dataclass(frozen=True)
class Forward:
    """A TCP port of this host that leads to one of the guest."""

    address: str
    host: int
    guest: int

    def __str__(self) -> str:
        return f"{self.address}:{self.host}:{self.guest}"


@dataclass(frozen=True)
class Channels:
    """Files and sockets of a running machine; socket paths are at most 107 bytes."""

    console: Path  # file: kernel and init
    log: Path  # file: the app's output
    agent: Path  # socket
    monitor: Path  # socket, QMP


def command_line(machine: Machine, forwards: Sequence[Forward], channels: Channels) -> list[str]:
    """Return the argv that runs MACHINE."""
    network = "".join(f",hostfwd=tcp:{f.address}:{f.host}-:{f.guest}" for f in forwards)
    append = f"{machine.append} vcr.ip={GUEST_ADDRESS} vcr.dns={GUEST_DNS}"
    return [
        str(machine.qemu),
        *("-L", str(machine.qemu_data)),  # Debian's QEMU looks below /usr otherwise
        *("-name", machine.name),
        *("-machine", "virt"),
        *("-accel", "tcg"),
        *("-m", f"{machine.memory_mib}M"),
        *("-smp", str(machine.cpus)),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        "-no-reboot",  # a reboot ends QEMU, so that nothing loops
        # seccomp: no privileges, no other programs; nothing here needs them
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-bios", str(machine.firmware)),
        *("-kernel", str(machine.kernel)),
        *("-initrd", str(machine.initramfs)),
        *("-append", append),
        *("-drive", f"file={machine.squashfs},format=raw,if=none,id=root,readonly=on"),
        *("-device", "virtio-blk-pci,drive=root"),
        *("-netdev", f"user,id=net{network}"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
        *("-device", "virtio-rng-pci"),
        *("-serial", f"file:{channels.console}"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"file,id=log,path={channels.log}"),
        *("-device", "virtserialport,chardev=log,name=vcr.log"),
        *("-chardev", f"socket,id=agent,path={channels.agent},server=on,wait=off"),
        *("-device", "virtserialport,chardev=agent,name=vcr.agent"),
        *("-qmp", f"unix:{channels.monitor},server=on,wait=off"),
    ]


def _health(data: dict[str, Any] | None) -> HealthCheck | None:
    if data is None:
        return None
    probe = data["probe"]
    made = HttpProbe(**probe) if "path" in probe else CommandProbe(tuple(probe["argv"]))
    return HealthCheck(**{**data, "probe": made})
