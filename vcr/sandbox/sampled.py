"""Builder of a boot's profile: a prod machine that is sampled from step 0 until it is healthy.

It is the machine whose snapshot is taken, in the same QEMU, with a plugin of it that looks
every so many instructions, and that the machine cannot see. The same machine gives the same
samples. Output: `samples`, as nix/plugin/samples.c says, with what it takes to read them:
`System.map`.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from vcr.formats.failure import Failure, guarded
from vcr.formats.hashes.merkle import memory_root
from vcr.formats.job import read_job
from vcr.formats.qmp import Monitor
from vcr.sandbox import prod_machine
from vcr.sandbox.build_machine import option
from vcr.sandbox.hardware import RAM
from vcr.sandbox.prod_machine import MONITOR, SECONDS_TO_END, at_step0, run, running

SAMPLES = "samples"
SYMBOLS = "System.map"  # beside the kernel
EVERY = 100_000  # instructions
# The first task's name, which is where all tasks have theirs, and where the kernel begins.
TASK, TASK_NAME, BEGIN = "init_task", b"swapper\0", "_start"
TASK_SIZE = 16 << 10  # bytes, more than any


@dataclass(frozen=True)
class Job(prod_machine.Job):
    """What nix/stages/machine.nix gives: the machine, and what looks at it."""

    plugin: str


def main(specification: str, out: str) -> None:
    """Build what the JSON file SPECIFICATION describes into directory OUT."""
    guarded(lambda: _build(read_job(Job, specification), Path(out), Path("scratch").resolve()))


def _build(job: Job, out: Path, scratch: Path) -> None:
    files = scratch / "files"
    files.mkdir(parents=True)
    symbols = job.kernel.with_name(SYMBOLS)
    samples = scratch / SAMPLES
    arguments = f"out={option(samples)},every={EVERY},comm={name_offset(job.kernel, symbols)}"
    argv = [*at_step0(job, files, scratch).argv, "-plugin", f"{job.plugin},{arguments}"]
    with running(argv) as qemu, Monitor(scratch / MONITOR) as monitor:
        run(monitor, memory_root(Path(job.step0) / RAM), files, scratch)
        monitor.command("quit")
        qemu.wait(SECONDS_TO_END)
    out.mkdir(parents=True)
    shutil.copyfile(samples, out / SAMPLES)
    shutil.copyfile(symbols, out / SYMBOLS)


def name_offset(kernel: Path, symbols: Path) -> int:
    """Return where in a task's structure its name is, from a KERNEL that is not compressed."""
    addresses: dict[str, int] = {}
    for line in symbols.read_text(encoding="ascii").splitlines():
        address, _, name = line.split(" ", 2)
        addresses.setdefault(name, int(address, 16))
    begin = addresses[TASK] - addresses[BEGIN]
    data = kernel.read_bytes()[begin : begin + TASK_SIZE]
    at = data.find(TASK_NAME)
    if at < 0:
        raise Failure("the kernel's first task has no name", why=f"{kernel} is of another form")
    return at
