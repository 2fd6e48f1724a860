"""The hardware of a prod machine on QEMU: the same at step 0, on a host and in an enclave.

No disk (the root is in the initramfs), and a card whose cable leads nowhere at first. What a
restored machine has at its ports only differs in what is behind them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vcr.model.board import SEALED
from vcr.sandbox.build_machine import option

# Files of a machine that was stopped: its memory, its devices, what it is, what it printed.
RAM, STATE, DESCRIPTION, CONSOLE, LOG = "ram", "state", "machine.json", "console.log", "app.log"
# Addresses of QEMU's user network, which a restored machine is connected to:
# https://wiki.qemu.org/Documentation/Networking#User_Networking_.28SLIRP.29
NETWORK = "vcr.ip=10.0.2.15/24,10.0.2.2 vcr.dns=10.0.2.3"
# seccomp: no privileges, no other programs; nothing here needs them
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
# The app's door to an enclave around the machine: nobody is there but in one.
DOOR_PORT, NOBODY = "vcr.attest", "null"
# Connections to the app, as vcr.engines.streams has them; nobody is there before it continues.
RELAY_PORT = "vcr.relay"
# Ports for commands of a machine of a debug profile; each takes one client of this host.
DEBUG_PORT, DEBUG_PORTS = "vcr.debug", 8


@dataclass(frozen=True)
class Prod:
    """What a machine is made of: store paths, and what it is given."""

    qemu: str
    data: str  # QEMU's directory of firmware
    memory: str  # in MiB
    clock: str  # what it says at step 0, as QEMU has it

    @classmethod
    def of(cls, qemu: str, data: str, memory_mib: int, epoch: int) -> "Prod":
        """Make one of numbers; EPOCH is in seconds since 1970."""
        clock = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return cls(qemu, data, str(memory_mib), clock)


def hardware(machine: Prod, ram: Path, *, private: bool) -> list[str]:
    """Return the argv that is the same at step 0 and after a restore; memory is the file RAM.

    PRIVATE memory is read from the file and never written to it.
    """
    backend = f"memory-backend-file,id=ram0,size={machine.memory}M,mem-path={option(ram)}"
    backend += ",prealloc=off"
    backend += ",share=off,readonly=on,rom=off" if private else ",share=on"
    return [
        *(machine.qemu, "-L", machine.data, "-nodefaults", "-no-user-config", "-display", "none"),
        *("-M", f"{SEALED.machine},memory-backend=ram0,suppress-vmdesc=on"),
        *(*SEALED.processor(SEALED.prod_cpu), "-smp", "1"),
        *("-object", backend, "-m", f"{machine.memory}M"),
        *("-rtc", f"base={machine.clock},clock=vm"),
    ]


@dataclass(frozen=True)
class Ports:
    """Backends of ports."""

    agent: str
    door: str = NOBODY  # the app's, to an enclave around the machine
    relay: str = NOBODY  # for connections to the app


def devices(
    console: Path,
    log: Path,
    ports: "Ports",
    network: str,
    debug: Sequence[str],
) -> list[str]:
    """Return the argv of devices: files to print to, and backends of the others.

    Those are PORTS, the card, and DEBUG: ports for commands, where there are some.
    ioeventfd=off: a request is served while the CPU waits, not some time later.
    """
    return [
        *(
            "-chardev",
            f"file,id=console,path={option(console)},append=on",
            "-serial",
            "chardev:console",
        ),
        *("-device", "virtio-serial-pci,ioeventfd=off"),
        *("-chardev", f"file,id=log,path={option(log)},append=on"),
        *("-device", "virtserialport,chardev=log,name=vcr.log"),
        *("-chardev", f"{ports.agent},id=agent"),
        *("-device", "virtserialport,chardev=agent,name=vcr.agent"),
        *("-chardev", f"{ports.door},id=door"),
        *("-device", f"virtserialport,chardev=door,name={DOOR_PORT}"),
        *relay_port(ports.relay),
        *debug_ports(debug),
        *("-netdev", f"{network},id=net"),
        *("-device", "virtio-net-pci,netdev=net,romfile=,ioeventfd=off"),
    ]


def relay_port(backend: str) -> list[str]:
    """Return the argv of the port for connections to the app with BACKEND of this host."""
    port = f"virtserialport,chardev=relay,name={RELAY_PORT}"
    return ["-chardev", f"{backend},id=relay", "-device", port]


def debug_ports(backends: Sequence[str]) -> list[str]:
    """Return the argv of ports for commands with BACKENDS of this host."""
    argv: list[str] = []
    for number, backend in enumerate(backends):
        argv += ["-chardev", f"{backend},id=debug{number}"]
        argv += ["-device", f"virtserialport,chardev=debug{number},name={DEBUG_PORT}{number}"]
    return argv


def debug_sockets(base: Path) -> list[Path]:
    """Return the sockets of ports for commands, which are all named after BASE."""
    return [base.with_name(f"{base.name}{number}") for number in range(DEBUG_PORTS)]


@dataclass(frozen=True)
class Sockets:
    """Paths of the sockets that QEMU makes for a machine that continues."""

    agent: Path
    monitor: Path
    debug: Path | None = None  # what those for commands are named after, where it takes some
    door: Path | None = None  # the app's, in an enclave
    relay: str = NOBODY  # the backend of the port for connections to the app


def restored(
    machine: Prod, ram: Path, console: Path, log: Path, sockets: Sockets, network: str
) -> list[str]:
    """Return the argv that waits for a snapshot's state, on a host or in an enclave."""
    debug, door = sockets.debug, sockets.door
    return [
        *hardware(machine, ram, private=True),
        *("-accel", "tcg,thread=single", "-bios", "none", "-sandbox", SANDBOX, "-no-reboot"),
        *devices(
            console,
            log,
            Ports(
                socket_backend(sockets.agent),
                socket_backend(door) if door else NOBODY,
                sockets.relay,
            ),
            network,
            [socket_backend(path) for path in debug_sockets(debug)] if debug else (),
        ),
        *("-qmp", f"unix:{option(sockets.monitor)},server=on,wait=off"),
        *("-incoming", "defer"),
    ]


def socket_backend(path: Path) -> str:
    """Return the backend of a port that is a socket at PATH."""
    return f"socket,path={option(path)},server=on,wait=off"
