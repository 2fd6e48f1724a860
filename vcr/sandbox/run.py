"""Builder of a RUN: boots a build machine with the layers below and takes its changes.

Writes `layer.tar`, and `caches/NAME.squashfs` for caches that later steps go on with.
The specification is JSON: a `Run` of vcr.model.plan as `spec`, `lower` (squashfs files,
bottom first), `mounts` (squashfs file or "" for each mount), `bodies` (SHA-256 → file),
`machine`, `normalize` (names of rules), `epoch`, `mksquashfs`.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from vcr.formats.cpio import write_initrd
from vcr.formats.failure import Failure, guarded
from vcr.formats.tar import LAYER_FILE, entries, write
from vcr.formats.tree import Node, Tree, parent
from vcr.sandbox.build_machine import (
    CACHE,
    COUNTED,
    KVM,
    LAYER,
    OUTPUT,
    Machine,
    command_line,
    disk_size,
    job_tree,
    run,
)
from vcr.sandbox.lower import make_squashfs
from vcr.sandbox.normalize import normalize

LOCK = "lock"  # the failure means: vcr.lock is out of date
SIGNALS = {9: "SIGKILL", 15: "SIGTERM", 11: "SIGSEGV", 6: "SIGABRT", 2: "SIGINT", 4: "SIGILL"}


def main(specification: str, out: str) -> None:
    """Carry out the RUN that the JSON file SPECIFICATION describes into directory OUT."""
    job = json.loads(Path(specification).read_bytes())
    guarded(lambda: _build(job, Path(out), Path("scratch").resolve()), title(job["spec"]))


def title(spec: dict[str, Any]) -> str:
    """Return what to call a RUN in messages: the instruction, shortened."""
    words = [line.strip() for line in spec["argv"][-1].splitlines() if line.strip()]
    text = (words or [""])[0] if len(spec["argv"]) == 3 else " ".join(spec["argv"])
    return f"RUN {text[:60]}{'…' if len(text) > 60 or len(words) > 1 else ''}"


def _build(job: dict[str, Any], out: Path, scratch: Path) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    initrd = scratch / "initrd"
    machine = Machine.of(job["machine"])
    tree = job_tree(machine_job(job), machine_files(job))
    write_initrd(initrd, Path(machine.initramfs), tree, job["epoch"])
    check(_boot(machine, initrd, scratch, kvm=job["kvm"]), job["spec"])
    initrd.unlink()
    out.mkdir(parents=True, exist_ok=True)
    nodes = layer_nodes(scratch / LAYER)
    for path, what in normalize(nodes, job["normalize"]).items():
        sys.stderr.write(f"normalize: /{path} {what}\n")
    write(out / LAYER_FILE, _ordered(nodes), job["epoch"])
    _write_caches(job, out, scratch)


def _boot(machine: Machine, initrd: Path, scratch: Path, *, kvm: bool) -> dict[str, Any]:
    if kvm:
        try:
            return run(command_line(machine, initrd, scratch, clock=KVM), scratch, _show)
        except Failure as failure:
            # Some hosts have a KVM that starts nothing; such a machine has done nothing.
            if (scratch / OUTPUT).exists() and (scratch / OUTPUT).stat().st_size:
                raise
            sys.stderr.write(f"vcr: without KVM, because: {failure.report['why']}\n")
    return run(command_line(machine, initrd, scratch, clock=COUNTED), scratch, _show)


def _show(piece: bytes) -> None:
    sys.stderr.buffer.write(piece)
    sys.stderr.buffer.flush()


def machine_files(job: dict[str, Any]) -> dict[str, Path]:
    """Return what the machine reads: path in its initramfs → file on this host."""
    files = {f"layers/{i}": Path(lower) for i, lower in enumerate(job["lower"])}
    files |= {f"images/{i}": Path(image) for i, image in enumerate(job["mounts"]) if image}
    return files | {f"bodies/{sha256}": Path(body) for sha256, body in job["bodies"].items()}


def machine_job(job: dict[str, Any], network: str = "") -> dict[str, Any]:
    """Return the job for guest/step; NETWORK says how, when not by what is locked."""
    spec = job["spec"]
    wanted = "none" if spec["network"] == "none" else "replay"
    keys = ("kind", "target", "writable", "size", "content", "mode", "uid", "gid", "carry")
    mounts = []
    for number, (mount, image) in enumerate(zip(spec["mounts"], job["mounts"], strict=True)):
        shown = {"source": mount["path"], "image": f"/images/{number}" if image else ""}
        mounts.append({**{key: mount[key] for key in keys}, **shown})
    return {
        "epoch": job["epoch"],
        "layers": len(job["lower"]),
        **{key: spec[key] for key in ("argv", "env", "user", "workdir", "script", "exchanges")},
        "mounts": mounts,
        "network": network or wanted,
        "disk": disk_size(Machine.of(job["machine"]), machine_files(job)),
    }


def check(result: dict[str, Any], spec: dict[str, Any]) -> None:
    """Raise Failure unless RESULT, of the machine, is that of a step that went well."""
    name = title(spec)
    if result["refused"]:
        raise Failure(
            f"{name} asks the network for what is not locked",
            why="; ".join(result["refused"][:5]),
            fix="run `vcr lock`, and commit the vcr.lock it writes",
            code=LOCK,
        )
    if result["error"]:
        raise Failure(f"{name} could not be started", why=result["error"])
    if not result["exit"] and not result["signal"]:
        return
    if result["signal"]:
        number = result["signal"]
        ended = f"was ended by {SIGNALS.get(number, f'signal {number}')}"
    else:
        # A shell says so when a program in it was ended by a signal.
        inner = SIGNALS.get(result["exit"] - 128)
        ended = f"exited with {result['exit']}" + (f" ({inner})" if inner else "")
    if result["oom"]:
        reason, fix = "the build machine ran out of memory", "raise memory in [build] of vcr.toml"
    elif result["full"]:
        reason = "the build machine's disk, which is in its memory, is full"
        fix = "raise memory in [build] of vcr.toml, or write less"
    else:
        reason, fix = "", "its last output is above"
    raise Failure(f"{name} {ended}", why=reason, fix=fix)


def layer_nodes(archive: Path) -> dict[str, Node]:
    """Return what the tar file that the machine sent holds; hard links share a node.

    Raises Failure for what guest/step does not send: the command can write there as well.
    """
    nodes: dict[str, Node] = {}
    for name, node in entries(archive):
        linked = nodes.get(node) if isinstance(node, str) else node
        if linked is None:
            raise Failure(f"the layer has a hard link {name!r} to {node!r}, which is not there")
        nodes[name] = linked
    return nodes


def _ordered(nodes: dict[str, Node]) -> list[tuple[str, Node]]:
    return sorted(nodes.items(), key=lambda item: item[0].split("/"))


def _write_caches(job: dict[str, Any], out: Path, scratch: Path) -> None:
    """Keep the caches that later steps go on with, each as a squashfs."""
    carried = sorted({mount["carry"] for mount in job["spec"]["mounts"] if mount["carry"]})
    if not carried:
        return
    nodes = layer_nodes(scratch / CACHE)
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
