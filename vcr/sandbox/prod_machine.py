"""A prod machine on QEMU: its hardware, and the builder that runs it from step 0 to healthy.

Deterministic by construction: the clock counts instructions, one CPU, a fixed seed, no
disk (the root is in the initramfs), no network (a card whose cable leads nowhere). When
the app is healthy guest/agent stops the machine at that very instruction.

Output: `ram`, guest memory as a sparse file; `state`, all devices, QEMU's migration
stream in canonical form; `machine.json`; `console.log` and `app.log` so far; rungs.json.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vcr.formats.cpio import write_initrd
from vcr.formats.failure import Failure, guarded
from vcr.formats.merkle import machine_hash, memory_root
from vcr.formats.migration import canonical
from vcr.formats.oci import sha256_of
from vcr.formats.qmp import Monitor
from vcr.formats.rungs import Rung, write_rungs
from vcr.formats.tree import Content, Node, Tree
from vcr.model.board import SEALED
from vcr.sandbox.build_machine import COUNTED, TAIL, kernel_line, option

SCHEMA = 1
RAM, STATE, DESCRIPTION, CONSOLE, LOG = "ram", "state", "machine.json", "console.log", "app.log"
# Addresses of QEMU's user network, which a restored machine is connected to:
# https://wiki.qemu.org/Documentation/Networking#User_Networking_.28SLIRP.29
NETWORK = "vcr.ip=10.0.2.15/24,10.0.2.2 vcr.dns=10.0.2.3"
KERNEL_LINE = f"console={SEALED.console} quiet panic=-1 rootfstype=ramfs vcr.snapshot {NETWORK}"
# seccomp: no privileges, no other programs; nothing here needs them
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
# The app's door to an enclave around the machine: nobody is there but in one.
DOOR_PORT, NOBODY = "vcr.attest", "null"
# Ports for commands of a machine of a debug profile; each takes one client of this host.
DEBUG_PORT, DEBUG_PORTS = "vcr.debug", 8
AGENT, MONITOR = "agent", "qmp"  # what the agent said, and a socket
HEALTHY = "healthy"  # guest/agent says so just before it stops the machine
SECONDS_TO_END = 10.0


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


def devices(
    console: Path, log: Path, agent: str, door: str, network: str, debug: Sequence[str]
) -> list[str]:
    """Return the argv of devices: files to print to, and backends of the others.

    Those are the agent's port, the app's DOOR, the card, and DEBUG: ports for commands, where
    there are some.
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
        *("-chardev", f"{agent},id=agent"),
        *("-device", "virtserialport,chardev=agent,name=vcr.agent"),
        *("-chardev", f"{door},id=door"),
        *("-device", f"virtserialport,chardev=door,name={DOOR_PORT}"),
        *debug_ports(debug),
        *("-netdev", f"{network},id=net"),
        *("-device", "virtio-net-pci,netdev=net,romfile=,ioeventfd=off"),
    ]


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
    """Paths of the sockets that QEMU makes for a machine that goes on."""

    agent: Path
    monitor: Path
    debug: Path | None = None  # what those for commands are named after, where it takes some
    door: Path | None = None  # the app's, in an enclave


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
            socket_backend(sockets.agent),
            socket_backend(door) if door else NOBODY,
            network,
            [socket_backend(path) for path in debug_sockets(debug)] if debug else (),
        ),
        *("-qmp", f"unix:{option(sockets.monitor)},server=on,wait=off"),
        *("-incoming", "defer"),
    ]


def socket_backend(path: Path) -> str:
    """Return the backend of a port that is a socket at PATH."""
    return f"socket,path={option(path)},server=on,wait=off"


def main(specification: str, out: str) -> None:
    """Build what the JSON file SPECIFICATION describes into directory OUT."""
    job = json.loads(Path(specification).read_bytes())
    guarded(lambda: _build(job, Path(out), Path("scratch").resolve()))


def _build(job: dict[str, Any], out: Path, scratch: Path) -> None:
    out.mkdir(parents=True)
    begun = at_step0(job, out, scratch)
    version = _carry_out(begun.argv, job["step0"], out, scratch)
    found = canonical((scratch / "state").read_bytes())
    (out / STATE).write_bytes(found.stream)
    made = {"memory_mib": begun.memory_mib, "engine_version": version}
    _describe(job, begun.initrd, {**made, "instructions": found.instructions}, out)
    name = "snapshot" if job["step0"] else "machine"
    size = sum((out / file).stat().st_size for file in (RAM, STATE, DESCRIPTION))
    write_rungs(out, [Rung(name, machine_hash(out), size, DESCRIPTION)])


@dataclass(frozen=True)
class Step0:
    """A machine before its first instruction."""

    argv: list[str]  # of QEMU, which waits for the monitor to let it go on
    initrd: Path
    memory_mib: int


def at_step0(job: dict[str, Any], out: Path, scratch: Path) -> Step0:
    """Lay out the machine of JOB: its memory and what it prints in OUT, the rest in SCRATCH."""
    scratch.mkdir(parents=True, exist_ok=True)
    initrd = scratch / "initrd"
    tree = Tree()
    content = Content.of_file(Path(job["squashfs"]))
    tree.put("root.squashfs", Node("file", 0o444, content=content))
    write_initrd(initrd, Path(job["initramfs"]), tree, 0)
    memory = _memory(job["memory_mib"], initrd)
    machine = Prod.of(job["qemu"], job["data"], memory, job["epoch"])
    for name in (CONSOLE, LOG):
        (out / name).touch()
    argv = [
        *hardware(machine, out / RAM, private=False),
        *COUNTED,
        *("-action", "reboot=shutdown,shutdown=pause,panic=pause"),
        *("-bios", job["firmware"], "-kernel", job["kernel"], "-initrd", str(initrd)),
        *("-append", kernel_line(KERNEL_LINE, debian=job["debian"])),
        *devices(
            out / CONSOLE,
            out / LOG,
            f"file,path={option(scratch / AGENT)}",
            NOBODY,
            "hubport,hubid=0",
            [NOBODY] * DEBUG_PORTS if job["debug"] else (),
        ),
        *("-S", "-qmp", f"unix:{option(scratch / MONITOR)},server=on,wait=off"),
    ]
    return Step0(argv, initrd, memory)


def _carry_out(argv: list[str], step0: str, out: Path, scratch: Path) -> str:
    """Start QEMU, with STEP0 run it to health, save its state; return its version."""
    with running(argv) as qemu, Monitor(scratch / MONITOR) as monitor:
        if step0:
            run(monitor, memory_root(Path(step0) / RAM), out, scratch)
        version = monitor.command("query-version")["package"]
        monitor.save_state(scratch / "state")
        monitor.command("quit")
        qemu.wait(SECONDS_TO_END)
    return str(version)


@contextmanager
def running(argv: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Start QEMU, and see that it does not outlive the block."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as qemu:
        try:
            yield qemu
        finally:
            qemu.kill()


def run(monitor: Monitor, expected: bytes, out: Path, scratch: Path) -> None:
    """Run to the moment of health; EXPECTED is the root of memory at step 0. Raises Failure."""
    if memory_root(out / RAM) != expected:
        raise Failure("the machine differs at step 0 from the one that was built")
    monitor.command("cont")
    reason = monitor.wait_for("SHUTDOWN").get("reason")
    monitor.wait_for("STOP")
    said = _tail(scratch / AGENT)
    if said[-1:] == [HEALTHY]:
        return
    console, log = _tail(out / CONSOLE), _tail(out / LOG)
    sys.stderr.writelines(f"console: {line}\n" for line in console)
    sys.stderr.writelines(f"app: {line}\n" for line in log)
    exits = [line for line in console if line.startswith("vcr: exit app")]
    raise Failure(
        "the app never became healthy",
        why=" ".join((said or exits)[-1:]) or f"the machine ended by itself ({reason})",
        fix="the lines above are its last; check [health] in vcr.toml or HEALTHCHECK",
        code="unhealthy",
    )


def _tail(path: Path) -> list[str]:
    text = path.read_bytes()[-TAIL:].decode("utf-8", "replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _memory(wanted_mib: int, initrd: Path) -> int:
    """Return the MiB of a machine that leaves WANTED_MIB: its root is in memory, at first twice."""
    return wanted_mib + 2 * -(-initrd.stat().st_size >> 20)


def _describe(job: dict[str, Any], initrd: Path, made: dict[str, object], out: Path) -> None:
    """Write machine.json: all that a machine is restored by, and nothing of this host."""
    files = {
        "firmware": Path(job["firmware"]),
        "kernel": Path(job["kernel"]),
        "initrd": initrd,
        "squashfs": Path(job["squashfs"]),
    }
    description = {
        "schema": SCHEMA,
        "name": job["name"],
        "engine": "qemu",
        "cpu": SEALED.prod_cpu,
        "epoch": job["epoch"],
        "kernel_line": kernel_line(KERNEL_LINE, debian=job["debian"]),
        "ports": job["ports"],
        **({"debug": True} if job["debug"] else {}),
        **made,
        "inputs": {name: sha256_of(path) for name, path in files.items()},
    }
    (out / DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
