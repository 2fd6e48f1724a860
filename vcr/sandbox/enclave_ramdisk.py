"""Builder of the enclave's first ramdisk: the loader and QEMU, for every app the same.

QEMU and the libraries it loads lie where they lie in the store, since it looks for them
there. How it is started is restore.json, made by what starts it on a host, too; the loader
puts in what is a snapshot's own: `{memory}` and `{clock}`. It has the command line, too, which
the loader compares with the one that there is. Output: `runtime`, a cpio archive.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.formats.cpio import write_cpio
from vcr.formats.eif import KERNEL_LINE
from vcr.formats.failure import Failure, guarded
from vcr.formats.job import read_job
from vcr.formats.tree import Content, Node, Tree, directory, text_file
from vcr.sandbox.hardware import RAM, Prod, Sockets, restored, socket_backend

RUNTIME = "runtime"
RESTORE = "vcr/restore.json"
DRIVE = Path("/drive")  # where the loader mounts it
AGENT, DOOR, RELAY = Path("/run/agent"), Path("/run/door"), Path("/run/relay")
MONITOR = Path("/run/qmp")
# Pipes of the loader, QEMU's files 3 and 4: guest/loader/console.go.
CONSOLE, LOG = Path("/proc/self/fd/3"), Path("/proc/self/fd/4")


@dataclass(frozen=True)
class Job:
    """What nix/stages/enclave.nix gives for the first ramdisk."""

    loader: Path
    qemu: Path
    data: Path  # QEMU's directory of firmware
    ld: Path  # the dynamic linker that QEMU is loaded by


def main(specification: str, out: str) -> None:
    """Build what the JSON file SPECIFICATION describes into directory OUT."""
    guarded(lambda: _build(read_job(Job, specification), Path(out)))


def _build(job: Job, out: Path) -> None:
    out.mkdir(parents=True)
    tree = Tree()
    for name in ("dev", "proc", "sys", "run", "tmp", str(DRIVE).lstrip("/")):
        tree.put(name, directory())
    tree.put("dev/console", Node("char", 0o600, device=(5, 1)))
    tree.put("init", Node("file", 0o755, content=Content.of_file(job.loader)))
    loader = job.ld
    for path in (loader, job.qemu, *_libraries(loader, job.qemu)):
        content = Content.of_file(path.resolve())
        tree.put(str(path).lstrip("/"), Node("file", 0o755, content=content))
    tree.put(RESTORE, text_file(json.dumps(_restore(job), indent=1, sort_keys=True) + "\n"))
    write_cpio(out / RUNTIME, tree, 0)


def _libraries(loader: Path, program: Path) -> list[Path]:
    """Return the shared libraries of PROGRAM, as its LOADER finds them."""
    argv = [str(loader), "--inhibit-cache", "--list", str(program)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{program.name} cannot be loaded", why=done.stderr)
    found = (line.partition("=> ")[2].split() for line in done.stdout.splitlines())
    return sorted({Path(fields[0]) for fields in found if fields})


def _restore(job: Job) -> dict[str, Any]:
    """Return restore.json; the argv is that of `vcr up`, with other paths."""
    machine = Prod(str(job.qemu), str(job.data), "{memory}", "{clock}")
    made = Sockets(AGENT, MONITOR, door=DOOR, relay=socket_backend(RELAY))
    argv = restored(machine, DRIVE / RAM, CONSOLE, LOG, made, "user")
    paths = {"agent": AGENT, "door": DOOR, "relay": RELAY, "monitor": MONITOR}
    sockets = {name: str(path) for name, path in paths.items()}
    return {"argv": argv, "cmdline": KERNEL_LINE, **sockets}
