"""The stage machine: qemu-system-riscv64 that boots, fast and not deterministic.

https://www.qemu.org/docs/master/system/riscv/virt.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.engines.machine import Channels, Forward, network
from vcr.model.health import HealthCheck
from vcr.sandbox.prod import NETWORK, SANDBOX, debug_ports, debug_sockets, socket_backend


@dataclass(frozen=True)
class BootMachine:
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
    debug: bool = False  # it has ports for commands
    symbols: str = ""  # where those of the kernel are, for whoever looks into the machine

    @classmethod
    def of(cls, data: dict[str, Any]) -> "BootMachine":
        """Make it of what `read_vm` returns."""
        paths = ("qemu", "qemu_data", "firmware", "kernel", "initramfs", "squashfs")
        return cls(**{**data, **{key: Path(data[key]) for key in paths}})

    def prepare(self, channels: Channels) -> None:
        """Do nothing: it is started from the store."""

    def begin(self, channels: Channels) -> None:
        """Do nothing: it boots."""

    def command_line(self, forwards: Sequence[Forward], channels: Channels) -> list[str]:
        """Return the argv that runs it."""
        append = f"{self.append} {NETWORK}"
        sockets = debug_sockets(channels.debug) if self.debug else ()
        return [
            str(self.qemu),
            *("-L", str(self.qemu_data)),  # Debian's QEMU looks below /usr otherwise
            *("-name", self.name),
            *("-machine", "virt"),
            *("-accel", "tcg,thread=multi"),  # a thread of this host for each CPU
            *("-m", f"{self.memory_mib}M"),
            *("-smp", str(self.cpus)),
            *("-nodefaults", "-no-user-config", "-display", "none"),
            "-no-reboot",  # a reboot ends QEMU, so that nothing loops
            *("-sandbox", SANDBOX),
            *("-bios", str(self.firmware)),
            *("-kernel", str(self.kernel)),
            *("-initrd", str(self.initramfs)),
            *("-append", append),
            *("-drive", f"file={self.squashfs},format=raw,if=none,id=root,readonly=on"),
            *("-device", "virtio-blk-pci,drive=root"),
            *("-netdev", f"{network(forwards)},id=net"),
            *("-device", "virtio-net-pci,netdev=net,romfile="),
            *("-device", "virtio-rng-pci"),
            *("-serial", f"file:{channels.console}"),
            *("-device", "virtio-serial-pci"),
            *("-chardev", f"file,id=log,path={channels.log}"),
            *("-device", "virtserialport,chardev=log,name=vcr.log"),
            *("-chardev", f"socket,id=agent,path={channels.agent},server=on,wait=off"),
            *("-device", "virtserialport,chardev=agent,name=vcr.agent"),
            *debug_ports([socket_backend(path) for path in sockets]),
            *("-qmp", f"unix:{channels.monitor},server=on,wait=off"),
        ]
