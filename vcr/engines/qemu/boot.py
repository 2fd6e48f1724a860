"""A machine that boots, fast and not deterministic: of the profile vm, or of dev in a VM.

https://www.qemu.org/docs/master/system/arm/virt.html
https://www.qemu.org/docs/master/system/riscv/virt.html
https://www.qemu.org/docs/master/system/i386/microvm.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.engines.machine import Channels, Forward
from vcr.engines.qemu.kvm import runs_guests
from vcr.engines.qemu.network import RELAY_BACKEND, connected
from vcr.model.arch import Arch, has_kvm
from vcr.model.board import BOARDS, Board
from vcr.model.health import HealthCheck
from vcr.sandbox.build_machine import option
from vcr.sandbox.hardware import (
    NETWORK,
    SANDBOX,
    debug_ports,
    debug_sockets,
    relay_port,
    socket_backend,
)

KVM = "kvm"  # an accelerator of QEMU
KVM_CPU = "max"  # with it: the host's own


@dataclass(frozen=True)
class BootMachine:
    """What nix/stages/vm.nix describes: everything but this host's ports and paths."""

    name: str
    qemu: Path
    qemu_data: Path
    firmware: str  # "" for none
    kernel: Path
    initramfs: Path
    squashfs: Path
    append: str
    memory_mib: int
    cpus: int
    ports: tuple[int, ...]
    health: HealthCheck | None
    arch: str = "riscv64"
    debug: bool = False  # it has ports for commands
    symbols: str = ""  # where those of the kernel are, for whoever looks into the machine
    passt: str = ""  # the network's other end, "" in what an older vcr has built
    udp_ports: tuple[int, ...] = ()

    @classmethod
    def of(cls, data: dict[str, Any]) -> "BootMachine":
        """Make it of what `read_vm` returns."""
        paths = ("qemu", "qemu_data", "kernel", "initramfs", "squashfs")
        return cls(**{**data, **{key: Path(data[key]) for key in paths}})

    @property
    def board(self) -> Board:
        """Return the board that its kernel is for."""
        return BOARDS[self.arch]

    def prepare(self, channels: Channels) -> None:
        """Do nothing: it is started from the store."""

    def begin(self, channels: Channels) -> None:
        """Do nothing: it boots."""

    def command_line(self, forwards: Sequence[Forward], channels: Channels) -> list[str]:
        """Return the argv that runs it."""
        return connected(self.passt, forwards, channels, lambda net: self.qemu_argv(net, channels))

    def qemu_argv(self, network: str, channels: Channels) -> list[str]:
        """Return the argv of QEMU with NETWORK, the backend of its card."""
        board = self.board
        no_rom = ",romfile=" if board.bus == "pci" else ""
        append = " ".join(filter(None, (self.append, board.boot_line, NETWORK)))
        sockets = debug_sockets(channels.debug) if self.debug else ()
        return [
            *self._computer(self._accelerator()),
            *("-name", self.name),
            *("-initrd", str(self.initramfs)),
            *("-append", append),
            *("-drive", f"file={option(self.squashfs)},format=raw,if=none,id=root,readonly=on"),
            *("-device", f"virtio-blk-{board.bus},drive=root"),
            *("-netdev", f"{network},id=net"),
            *("-device", f"virtio-net-{board.bus},netdev=net{no_rom}"),
            *("-device", f"virtio-rng-{board.bus}"),
            *("-chardev", f"file,id=console,path={option(channels.console)},append=on"),
            *("-serial", "chardev:console"),
            *("-device", f"virtio-serial-{board.bus}"),
            *("-chardev", f"file,id=log,path={option(channels.log)},append=on"),
            *("-device", "virtserialport,chardev=log,name=vcr.log"),
            *("-chardev", f"socket,id=agent,path={option(channels.agent)},server=on,wait=off"),
            *("-device", "virtserialport,chardev=agent,name=vcr.agent"),
            *relay_port(RELAY_BACKEND),
            *debug_ports([socket_backend(path) for path in sockets]),
            *("-qmp", f"unix:{option(channels.monitor)},server=on,wait=off"),
        ]

    def _computer(self, accelerator: str) -> list[str]:
        """Return the argv of the machine without its devices."""
        board = self.board
        cpu = KVM_CPU if accelerator == KVM else board.boot_cpu
        return [
            str(self.qemu),
            *("-L", str(self.qemu_data)),  # Debian's QEMU looks below /usr otherwise
            *("-machine", board.machine, *board.processor(cpu)),
            *("-accel", accelerator),
            *("-m", f"{self.memory_mib}M"),
            *("-smp", str(min(self.cpus, board.max_cpus))),
            *("-nodefaults", "-no-user-config", "-display", "none"),
            "-no-reboot",  # a reboot ends QEMU, so that nothing loops
            *("-sandbox", SANDBOX),
            *(("-bios", self.firmware) if self.firmware else ()),
            *("-kernel", str(self.kernel)),
        ]

    def _accelerator(self) -> str:
        """Return KVM for a machine of this host's architecture, if it works here."""
        if has_kvm(Arch(self.arch)):
            ends = f"panic=-1 {self.board.boot_line}".rstrip()
            if runs_guests((*self._computer(KVM), "-append", ends)):
                return KVM
        return "tcg,thread=multi"  # a thread of this host for each CPU
