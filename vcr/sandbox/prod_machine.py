"""A prod machine on QEMU: the builder that runs it from step 0 to healthy.

Deterministic by construction: the clock counts instructions, one CPU, a fixed seed, no
disk (the root is in the initramfs), no network (a card whose cable leads nowhere). When
the app is healthy guest/agent stops the machine at that very instruction.

Output: `ram`, guest memory as a sparse file; `state`, all devices, QEMU's migration
stream in canonical form; `machine.json`; `console.log` and `app.log` so far; rungs.json.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vcr.formats.cpio import write_initrd
from vcr.formats.failure import Failure, guarded
from vcr.formats.hashes.merkle import machine_hash, memory_root
from vcr.formats.hashes.progress import printed, shown_to
from vcr.formats.job import read_job
from vcr.formats.migration import canonical
from vcr.formats.oci import sha256_of
from vcr.formats.qmp import Monitor
from vcr.formats.rungs import Rung, write_rungs
from vcr.formats.tree import Content, Node, Tree
from vcr.model.board import SEALED
from vcr.sandbox.build_machine import COUNTED, TAIL, kernel_line, option
from vcr.sandbox.hardware import (
    CONSOLE,
    DEBUG_PORTS,
    DESCRIPTION,
    LOG,
    NETWORK,
    NOBODY,
    RAM,
    STATE,
    Ports,
    Prod,
    devices,
    hardware,
)

SCHEMA = 1
KERNEL_LINE = f"console={SEALED.console} quiet panic=-1 rootfstype=ramfs vcr.snapshot {NETWORK}"
AGENT, MONITOR = "agent", "qmp"  # what the agent said, and a socket
HEALTHY = "healthy"  # guest/agent says so just before it stops the machine
FACTS = "vcr: facts "  # as vcr.diagnosis.facts has it, and guest/agent
SECONDS_TO_END = 10.0


@dataclass(frozen=True)
class Job:
    """What nix/stages/machine.nix gives."""

    name: str
    epoch: int
    memory_mib: int
    squashfs: Path
    qemu: str
    data: str  # QEMU's directory of firmware
    firmware: Path
    kernel: Path
    initramfs: Path
    debian: bool  # the kernel is Debian's
    debug: bool
    ports: tuple[int, ...]
    step0: str  # the machine before its first instruction, "" to make it


def main(specification: str, out: str) -> None:
    """Build what the JSON file SPECIFICATION describes into directory OUT."""
    with shown_to(printed):
        guarded(lambda: _build(read_job(Job, specification), Path(out), Path("scratch").resolve()))


def _build(job: Job, out: Path, scratch: Path) -> None:
    out.mkdir(parents=True)
    begun = at_step0(job, out, scratch)
    version = _carry_out(begun.argv, job.step0, out, scratch)
    state = canonical((scratch / "state").read_bytes())
    (out / STATE).write_bytes(state.stream)
    made = {"memory_mib": begun.memory_mib, "engine_version": version}
    _describe(job, begun.initrd, {**made, "instructions": state.instructions}, out)
    name = "snapshot" if job.step0 else "machine"
    size = sum((out / file).stat().st_size for file in (RAM, STATE, DESCRIPTION))
    write_rungs(out, [Rung(name, machine_hash(out), size, DESCRIPTION)])


@dataclass(frozen=True)
class Step0:
    """A machine before its first instruction."""

    argv: list[str]  # of QEMU, which waits for the monitor to let it go on
    initrd: Path
    memory_mib: int


def at_step0(job: Job, out: Path, scratch: Path) -> Step0:
    """Lay out the machine of JOB: its memory and what it prints in OUT, the rest in SCRATCH."""
    scratch.mkdir(parents=True, exist_ok=True)
    initrd = scratch / "initrd"
    tree = Tree()
    content = Content.of_file(job.squashfs)
    tree.put("root.squashfs", Node("file", 0o444, content=content))
    write_initrd(initrd, job.initramfs, tree, 0)
    memory = _memory(job.memory_mib, initrd)
    machine = Prod.of(job.qemu, job.data, memory, job.epoch)
    for name in (CONSOLE, LOG):
        (out / name).touch()
    argv = [
        *hardware(machine, out / RAM, private=False),
        *COUNTED,
        *("-action", "reboot=shutdown,shutdown=pause,panic=pause"),
        *("-bios", str(job.firmware), "-kernel", str(job.kernel), "-initrd", str(initrd)),
        *("-append", kernel_line(KERNEL_LINE, debian=job.debian)),
        *devices(
            out / CONSOLE,
            out / LOG,
            Ports(f"file,path={option(scratch / AGENT)}"),
            "hubport,hubid=0",
            [NOBODY] * DEBUG_PORTS if job.debug else (),
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
    reports = _tail(scratch / AGENT)
    if reports[-1:] == [HEALTHY]:
        return
    console, log = _tail(out / CONSOLE), _tail(out / LOG)
    seen = [line for line in (*console, *reports) if line.startswith(FACTS)]
    reports = [line for line in reports if line not in seen]
    console = [line for line in console if line not in seen]
    sys.stderr.writelines(f"console: {line}\n" for line in console)
    sys.stderr.writelines(f"app: {line}\n" for line in log)
    exits = [line for line in console if line.startswith("vcr: exit app")]
    failure = Failure(
        "the app never became healthy",
        why=" ".join((reports or exits)[-1:]) or f"the machine ended by itself ({reason})",
        fix="the lines above are its last output; check [health] in vcr.toml or HEALTHCHECK",
        code="unhealthy",
    )
    failure.report["facts"] = "".join(seen[-1:]).removeprefix(FACTS)
    raise failure


def _tail(path: Path) -> list[str]:
    text = path.read_bytes()[-TAIL:].decode("utf-8", "replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _memory(wanted_mib: int, initrd: Path) -> int:
    """Return the MiB of a machine that leaves WANTED_MIB: its root is in memory, at first twice."""
    return wanted_mib + 2 * -(-initrd.stat().st_size >> 20)


def _describe(job: Job, initrd: Path, made: dict[str, object], out: Path) -> None:
    """Write machine.json: all that a machine is restored by, and nothing of this host."""
    files = {
        "firmware": job.firmware,
        "kernel": job.kernel,
        "initrd": initrd,
        "squashfs": job.squashfs,
    }
    description = {
        "schema": SCHEMA,
        "name": job.name,
        "engine": "qemu",
        "cpu": SEALED.prod_cpu,
        "epoch": job.epoch,
        "kernel_line": kernel_line(KERNEL_LINE, debian=job.debian),
        "ports": job.ports,
        **({"debug": True} if job.debug else {}),
        **made,
        "inputs": {name: sha256_of(path) for name, path in files.items()},
    }
    (out / DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
