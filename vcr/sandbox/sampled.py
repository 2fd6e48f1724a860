"""Builder of a boot's profile: a prod machine that is sampled from step 0 until it is healthy.

It is the machine whose snapshot is taken, in the same QEMU, with a plugin of it that looks
every so many instructions, and that the machine cannot see. The same machine gives the same
samples. Output: `samples`, as nix/plugin/samples.c says, with what it takes to read them:
`System.map`.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from vcr.formats.failure import Failure, guarded
from vcr.formats.merkle import memory_root
from vcr.formats.qmp import Monitor
from vcr.sandbox.build_machine import option
from vcr.sandbox.prod_machine import MONITOR, RAM, SECONDS_TO_END, at_step0, run, running

SAMPLES = "samples"
SYMBOLS = "System.map"  # beside the kernel
EVERY = 100_000  # instructions
# The first task's name, which is where all tasks have theirs, and where the kernel begins.
TASK, TASK_NAME, BEGIN = "init_task", b"swapper\0", "_start"
TASK_SIZE = 16 << 10  # bytes, more than any


def main(specification: str, out: str) -> None:
    """Build what the JSON file SPECIFICATION describes into directory OUT."""
    job = json.loads(Path(specification).read_bytes())
    guarded(lambda: _build(job, Path(out), Path("scratch").resolve()))


def _build(job: dict[str, Any], out: Path, scratch: Path) -> None:
    files = scratch / "files"
    files.mkdir(parents=True)
    symbols = Path(job["kernel"]).with_name(SYMBOLS)
    samples = scratch / SAMPLES
    words = f"out={option(samples)},every={EVERY},comm={name_offset(Path(job['kernel']), symbols)}"
    argv = [*at_step0(job, files, scratch).argv, "-plugin", f"{job['plugin']},{words}"]
    with running(argv) as qemu, Monitor(scratch / MONITOR) as monitor:
        run(monitor, memory_root(Path(job["step0"]) / RAM), files, scratch)
        monitor.command("quit")
        qemu.wait(SECONDS_TO_END)
    out.mkdir(parents=True)
    shutil.copyfile(samples, out / SAMPLES)
    shutil.copyfile(symbols, out / SYMBOLS)


def name_offset(kernel: Path, symbols: Path) -> int:
    """Return where in a task's structure its name is, from a KERNEL that is not compressed."""
    found: dict[str, int] = {}
    for line in symbols.read_text(encoding="ascii").splitlines():
        address, _, name = line.split(" ", 2)
        found.setdefault(name, int(address, 16))
    begin = found[TASK] - found[BEGIN]
    data = kernel.read_bytes()[begin : begin + TASK_SIZE]
    at = data.find(TASK_NAME)
    if at < 0:
        raise Failure("the kernel's first task has no name", why=f"{kernel} is of another form")
    return at
