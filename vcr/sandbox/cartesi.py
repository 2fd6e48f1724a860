"""A prod machine on the Cartesi emulator: its command line, and the builder of its snapshot.

The emulator is deterministic by itself. guest/agent stops the machine with a manual
yield when the app is healthy. Written for 0.21:
https://github.com/cartesi/machine-emulator/blob/v0.21.0/src/cartesi-machine.lua

Output: `machine`, the directory that the emulator stored; `console.log`, what was written
on its console so far, by the kernel and the app; machine.json; rungs.json.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.formats.failure import Failure, guarded
from vcr.formats.job import read_job
from vcr.formats.oci import sha256_of
from vcr.formats.rungs import Rung, write_rungs

SCHEMA = 1
FACTS = "vcr: facts "  # as vcr.diagnosis.facts has it, and guest/agent
STORED, DESCRIPTION, CONSOLE = "machine", "machine.json", "console.log"
# Exit codes: parked at a manual yield; an error of Lua; parked, but by another yield. A
# machine that halted or reached the limit of cycles is such an error, which says NOT_YIELDED.
PARKED, ERROR, NOT_PARKED = 0, 1, 2
NOT_YIELDED, HALTED = "machine is not yielded", "Halted"
CYCLES_PER_SECOND = 128_000_000  # of the time a machine sees: src/rtc-defines.h
BOOT_SECONDS = 60
BOOT_ARGUMENTS = "root=/dev/pmem0 ro rootfstype=squashfs init=/sbin/init loglevel=4"
VERIFY = """
local cartesi = require("cartesi")
local machine = cartesi.new():load(arg[1])
print(cartesi.VERSION, machine:read_reg("mcycle"))
os.exit(machine:verify_hash_tree() and 0 or 1)
"""


@dataclass(frozen=True)
class Emulator:
    """The emulator, and what it runs on: store paths of the tools that have Lua."""

    emulator: Path
    tools: Path
    libraries: Path  # the directory of its shared libraries


@dataclass(frozen=True)
class Patience:
    """How long guest/agent waits for health, in seconds: of [health]."""

    start_period: float
    interval: float
    retries: int


@dataclass(frozen=True)
class Job(Emulator):
    """What nix/stages/machine.nix gives."""

    name: str
    memory_mib: int
    squashfs: Path
    kernel: Path
    package: Path  # what the emulator was unpacked of
    pinned: bool  # neither it nor the kernel is one's own
    health: Patience | None
    healthy: bool  # or it stays before its first instruction


def lua(emulator: Emulator) -> str:
    """Return the interpreter that runs the emulator's command line."""
    return f"{emulator.tools}/usr/bin/lua5.4"


def program(emulator: Emulator) -> list[str]:
    """Return the argv that starts it. The script in the package looks below /usr only."""
    return [lua(emulator), f"{emulator.emulator}/usr/share/lua/5.4/cartesi-machine.lua"]


def environment(emulator: Emulator) -> dict[str, str]:
    """Return what makes Lua find the emulator's modules."""
    root = emulator.emulator
    return {
        "LUA_PATH_5_4": f"{root}/usr/share/lua/5.4/?.lua;;",
        "LUA_CPATH_5_4": f"{root}/usr/lib/lua/5.4/?.so;;",
        "LD_LIBRARY_PATH": f"{root}/usr/lib:{emulator.libraries}",
    }


def arguments(job: Job, out: Path, root_hash: Path) -> list[str]:
    """Return what the emulator is told to build the machine of JOB, up to its limit of cycles."""
    drive = f"label:root,data_filename:{job.squashfs},read_only,mount:false"
    options = [
        f"--ram-image={job.kernel}",
        f"--ram-length={job.memory_mib}Mi",
        "--no-root-flash-drive",
        f"--flash-drive={drive}",
        f"--append-bootargs={BOOT_ARGUMENTS}",
        "--no-init-splash",
        # The cache of page hashes is no part of the hash; without it a snapshot is small.
        "--hash-tree=hash_function:sha256,phtc_size:1",
        f"--console-io=output_filename:{out / CONSOLE}",
        f"--final-hash={root_hash}",
        f"--max-mcycle={limit(job.health) if job.healthy else 0}",
        f"--store={out / STORED}",
    ]
    return [*options, "--assert-rolling-template"] if job.healthy else options


def limit(health: Patience | None) -> int:
    """Return the cycles that a machine may take; guest/agent gives up before."""
    patience = health.start_period + health.retries * health.interval if health else 60
    return int((BOOT_SECONDS + patience) * CYCLES_PER_SECOND)


def main(specification: str, out: str) -> None:
    """Build what the JSON file SPECIFICATION describes into directory OUT."""
    guarded(lambda: build(read_job(Job, specification), Path(out), Path("scratch").resolve()))


def build(job: Job, out: Path, scratch: Path) -> None:
    """Run the machine of JOB and describe what it became; raises Failure."""
    scratch.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True)
    root_hash = scratch / "root-hash"
    done = subprocess.run(
        [*program(job), *arguments(job, out, root_hash)],
        env=environment(job), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    console = (out / CONSOLE).read_bytes() if (out / CONSOLE).exists() else b""
    output = (console + done.stdout).decode("utf-8", "replace")
    sys.stderr.write(output)
    check_end(done.returncode, output, job, out / STORED)
    version, cycles = _verify(job, out / STORED)
    digest = f"sha256:{root_hash.read_bytes().hex()}"
    outcome = {"engine_version": version, "root_hash": digest, "cycles": cycles}
    _describe(job, outcome, out)
    size = sum(path.stat().st_size for path in (out / STORED).rglob("*") if path.is_file())
    name = "snapshot" if job.healthy else "machine"
    write_rungs(out, [Rung(name, digest, size, DESCRIPTION)])


def check_end(code: int, output: str, job: Job, stored: Path) -> None:
    """Raise Failure, and remove what was STORED, unless the emulator ended as it should."""
    if code == PARKED:
        return
    shutil.rmtree(stored, ignore_errors=True)  # it is stored whatever happened
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if code not in {ERROR, NOT_PARKED} or (code == ERROR and NOT_YIELDED not in output):
        raise Failure("the Cartesi machine cannot be built", why="; ".join(lines[-3:]))
    ended = code == NOT_PARKED or any(line.startswith(HALTED) for line in lines)
    reasons = [line for line in lines if line.startswith(("unhealthy ", "vcr: exit app"))]
    failure = Failure(
        "the app never became healthy",
        why=" ".join(reasons[-1:])
        or ("the machine ended by itself" if ended else f"{limit(job.health)} cycles passed"),
        fix="the lines above are its last output; check [health] in vcr.toml or HEALTHCHECK",
        code="unhealthy",
    )
    seen = [line for line in lines if line.startswith(FACTS)]
    failure.report["facts"] = "".join(seen[-1:]).removeprefix(FACTS)
    raise failure


def _verify(job: Job, stored: Path) -> tuple[str, int]:
    """Have the emulator compute the hash tree again: a loaded machine trusts what is STORED.

    Returns the emulator's version and the cycles that the machine has run.
    """
    argv = [lua(job), "-", str(stored)]
    done = subprocess.run(
        argv, env=environment(job), input=VERIFY.encode(), capture_output=True, check=False
    )
    if done.returncode:
        raise Failure(
            "the stored machine does not have the hash that it claims",
            why=done.stderr.decode()[-500:],
        )
    return version_and_cycles(done.stdout)


def version_and_cycles(output: bytes) -> tuple[str, int]:
    """Read what VERIFY prints: another package has an unknown version."""
    version, cycles = output.decode().split()
    return version, int(cycles)


def _describe(job: Job, outcome: dict[str, Any], out: Path) -> None:
    inputs = {"kernel": job.kernel, "package": job.package, "squashfs": job.squashfs}
    description = {
        "schema": SCHEMA,
        "name": job.name,
        "engine": "cartesi",
        "pinned": job.pinned,
        "memory_mib": job.memory_mib,
        "kernel_line": BOOT_ARGUMENTS,
        "hash_function": "sha256",
        **outcome,
        "inputs": {name: sha256_of(path) for name, path in inputs.items()},
    }
    (out / DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
