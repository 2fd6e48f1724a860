"""Builder of a RUN: boots a build machine with the layers below and takes its changes.

Writes `layer.tar`, and `caches/NAME.squashfs` for caches that later steps reuse.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vcr.formats.cpio import write_initrd
from vcr.formats.failure import Failure, guarded
from vcr.formats.job import read_job
from vcr.formats.tar import LAYER_FILE, write
from vcr.formats.tree import Node, Tree, parent
from vcr.sandbox.build_machine import (
    CACHE,
    COUNTED,
    KVM,
    LAYER,
    OUTPUT,
    Machine,
    Result,
    command_line,
    disk_size,
    job_tree,
    run,
    runs_by_kvm,
)
from vcr.sandbox.lower import make_squashfs
from vcr.sandbox.normalize import normalize
from vcr.sandbox.qemu.layer_port import layer_nodes
from vcr.sandbox.qemu.mapped import map_files
from vcr.sandbox.qemu.memory import machine_memory
from vcr.sandbox.qemu.parts import NONE, Mapping

LOCK = "lock"  # the failure means: vcr.lock is out of date
SIGNALS = {9: "SIGKILL", 15: "SIGTERM", 11: "SIGSEGV", 6: "SIGABRT", 2: "SIGINT", 4: "SIGILL"}


@dataclass(frozen=True)
class Mount:
    """A `RUN --mount`, as vcr.model.plan.RunMount says."""

    kind: str
    target: str
    path: str
    writable: bool
    size: int
    content: str
    mode: int
    uid: int
    gid: int
    carry: str


@dataclass(frozen=True)
class Exchange:
    """A request to the network and its answer, as vcr.model.plan.Exchange says."""

    method: str
    url: str
    accept: str
    body: str
    status: int
    headers: dict[str, str]
    sha256: str
    size: int


@dataclass(frozen=True)
class Spec:
    """A RUN, as vcr.model.plan.Run says."""

    argv: tuple[str, ...]
    env: tuple[str, ...]
    user: str
    workdir: str
    script: str
    mounts: tuple[Mount, ...]
    network: str
    exchanges: tuple[Exchange, ...]
    op: Literal["run"]


@dataclass(frozen=True)
class Job:
    """What nix/stages/image.nix gives."""

    spec: Spec
    lower: tuple[Path, ...]  # squashfs files of the layers below, bottom first
    mounts: tuple[str, ...]  # the squashfs file of each mount, or ""
    bodies: dict[str, Path]  # of answers, by SHA-256
    machine: Machine
    kvm: bool
    normalize: tuple[str, ...]  # names of rules
    epoch: int
    mksquashfs: str


def main(specification: str, out: str) -> None:
    """Run the RUN that the JSON file SPECIFICATION describes into directory OUT."""
    guarded(lambda: _build(read_job(Job, specification), Path(out), Path("scratch").resolve()))


def title(argv: Sequence[str]) -> str:
    """Return what to call the RUN of ARGV in messages: the instruction, shortened."""
    lines = [line.strip() for line in argv[-1].splitlines() if line.strip()]
    text = (lines or [""])[0] if len(argv) == 3 else " ".join(argv)
    return f"RUN {text[:60]}{'…' if len(text) > 60 or len(lines) > 1 else ''}"


def _build(job: Job, out: Path, scratch: Path) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    initrd = scratch / "initrd"
    mapping = mapping_of(job)
    tree = job_tree(request(job, mapping), machine_files(job))
    write_initrd(initrd, Path(job.machine.initramfs), tree, job.epoch)
    with machine_memory(job.machine, scratch) as memory:
        result = boot(job.machine, initrd, scratch, memory, kvm=job.kvm, mapping=mapping)
        check(result, title(job.spec.argv), disk_mib=job.machine.disk_mib)
        initrd.unlink()
        out.mkdir(parents=True, exist_ok=True)
        nodes = layer_nodes(scratch / LAYER, memory, job.machine.arch)
        for path, what in normalize(nodes, job.normalize).items():
            sys.stderr.write(f"normalize: /{path} {what}\n")
        write(out / LAYER_FILE, _ordered(nodes), job.epoch)
        _write_caches(job, out, scratch, memory)


def boot(
    machine: Machine,
    initrd: Path,
    scratch: Path,
    memory: Path,
    *,
    kvm: bool,
    mapping: Mapping = NONE,
) -> Result:
    """Run MACHINE with INITRD and MAPPING to its end, by KVM if it is wanted and runs here.

    MEMORY is the file that its memory is in.
    """

    def argv(clock: Sequence[str]) -> list[str]:
        return command_line(machine, initrd, scratch, clock=clock, mapping=mapping, memory=memory)

    if kvm and runs_by_kvm(machine):
        try:
            return run(argv(KVM), scratch, _show)
        except Failure as failure:
            # It may run the kernel and end later: such a machine has done nothing.
            if (scratch / OUTPUT).exists() and (scratch / OUTPUT).stat().st_size:
                raise
            sys.stderr.write(f"vcr: without KVM, because: {failure.report['why']}\n")
    os.truncate(memory, 0)  # nothing of another machine is in it
    return run(argv(COUNTED), scratch, _show)


def _show(piece: bytes) -> None:
    sys.stderr.buffer.write(piece)
    sys.stderr.buffer.flush()


def machine_files(job: Job) -> dict[str, Path]:
    """Return what the machine's initramfs holds: path there → file on this host."""
    return {f"bodies/{sha256}": body for sha256, body in job.bodies.items()}


def mapping_of(job: Job) -> Mapping:
    """Return how the squashfs files of JOB get into its machine: layers, then those of mounts."""
    files = [*job.lower, *(Path(image) for image in job.mounts if image)]
    return map_files(job.machine.board, job.machine.size, files)


def request(job: Job, mapping: Mapping, network: str = "") -> dict[str, Any]:
    """Return what guest/step is asked; NETWORK says how, when not by what is locked.

    MAPPING is that of the job. The names are those of a Job of guest/step/main.go.
    """
    spec = job.spec
    layers, images = mapping.pieces[: len(job.lower)], iter(mapping.pieces[len(job.lower) :])
    mounts = []
    for mount, image in zip(spec.mounts, job.mounts, strict=True):
        mounted = asdict(mount)
        shown = {"source": mounted.pop("path"), "image": next(images) if image else []}
        mounts.append({**mounted, **shown})
    return {
        "epoch": job.epoch,
        "layers": layers,
        "argv": spec.argv,
        "env": spec.env,
        "user": spec.user,
        "workdir": spec.workdir,
        "script": spec.script,
        "exchanges": [asdict(exchange) for exchange in spec.exchanges],
        "mounts": mounts,
        "network": network or ("none" if spec.network == "none" else "replay"),
        "disk": disk_size(job.machine, machine_files(job)),
    }


def check(result: Result, name: str, *, disk_mib: int = 0) -> None:
    """Raise Failure unless RESULT, of the machine, is that of a step that went well.

    NAME is its title, DISK_MIB what it may write, if that is not in the machine's memory.
    """
    if result.refused:
        raise Failure(
            f"{name} asks the network for what is not locked",
            why="; ".join(result.refused[:5]),
            fix="run `vcr lock`, and commit the vcr.lock that it writes",
            code=LOCK,
        )
    if result.error:
        raise Failure(f"{name} could not be started", why=result.error)
    if not result.exit and not result.signal:
        return
    if result.signal:
        ended = f"was ended by {SIGNALS.get(result.signal, f'signal {result.signal}')}"
    else:
        # A shell says so when a program in it was ended by a signal.
        inner = SIGNALS.get(result.exit - 128)
        ended = f"exited with {result.exit}" + (f" ({inner})" if inner else "")
    if result.oom:
        reason, fix = "the build machine ran out of memory", "raise memory in [build] of vcr.toml"
    elif result.full and disk_mib:
        reason = f"the build machine's disk of {disk_mib} MiB is full"
        fix = "raise disk in [build] of vcr.toml, or write less"
    elif result.full:
        reason = "the build machine's disk, which is in its memory, is full"
        fix = "set disk in [build] of vcr.toml, raise memory there, or write less"
    else:
        reason, fix = "", "its last output is above"
    raise Failure(f"{name} {ended}", why=reason, fix=fix)


def _ordered(nodes: dict[str, Node]) -> list[tuple[str, Node]]:
    return sorted(nodes.items(), key=lambda item: item[0].split("/"))


def _write_caches(job: Job, out: Path, scratch: Path, memory: Path) -> None:
    """Keep the caches that later steps reuse, each as a squashfs."""
    carried = sorted({mount.carry for mount in job.spec.mounts if mount.carry})
    if not carried:
        return
    nodes = layer_nodes(scratch / CACHE, memory, job.machine.arch)
    (out / "caches").mkdir()
    for name in carried:
        tree = Tree()
        for path, node in _ordered(nodes):
            first, _, rest = path.partition("/")
            if first == name and (rest or path == name):
                tree.nodes[rest] = replace(node) if not rest else node
        listed = [
            (path, tree.nodes[path]) for path in tree.nodes if path == "" or parent(path) in tree
        ]
        make_squashfs(out / "caches" / f"{name}.squashfs", listed, job, scratch)
