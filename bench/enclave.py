#!/usr/bin/env python3
"""An emulated enclave: how fast it reads its drive, and how long until its app answers.

    PYTHONPATH=. bench/enclave.py [--example static] [--rounds 3]

drive      NBD over vsock, through dm-verity, read once from end to end, by this host's
           clock; the connection is made in that time, too
inside     the same by the enclave's own clock, which counts instructions
serving    from the start of QEMU to the first attestation document
answer     from the start of QEMU to the app's first 200, through the vsock forward

An emulator that runs an emulator, so none of it is what Nitro takes. Medians.
"""

import argparse
import re
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

from build import REPO

from vcr.build.builder import Builder
from vcr.engines.enclave.emulated import Emulation, Setup
from vcr.engines.enclave.machine import EnclaveMachine
from vcr.engines.registry import load_machine
from vcr.model.arch import Arch
from vcr.planner.prepare import prepare
from vcr.settings import Settings
from vcr.ui import Ui

CHECKED = re.compile(r"drive checked, (\d+) bytes in ([\d.]+) s, ([\d.]+) MB/s")


def setup_of(example: str) -> tuple[Setup, int]:
    """Build EXAMPLE's enclave; return what it is started from and a port of the app."""
    project, plan = prepare(REPO / "examples" / example, arch=Arch.RISCV64, profile="prod")
    built = Builder(Settings.load(), Ui(), project).build(plan, ("enclave", "emulation"))
    machine = load_machine(built.path("emulation"))
    if not isinstance(machine, EnclaveMachine):
        raise SystemExit(f"{example} has no enclave")
    return machine.setup, machine.ports[0]


def seen(console: Path, words: str) -> float:
    """Return when WORDS are on the CONSOLE, by this host's clock."""
    while words not in console.read_text(errors="replace"):
        time.sleep(0.05)
    return time.monotonic()


def once(setup: Setup, port: int) -> tuple[float, ...]:
    """Return MB/s of the drive, outside and inside, and the seconds to document and answer."""
    with tempfile.TemporaryDirectory(prefix="vcr-") as name:
        scratch, console = Path(name), Path(name) / "console"
        begin = time.monotonic()
        with Emulation(setup, scratch, console) as enclave:
            reading = -seen(console, "this enclave is emulated")
            reading += seen(console, "drive checked")
            enclave.wait_until_serving()
            serving = time.monotonic() - begin
            host = enclave.forward("127.0.0.1", 0, port)
            with urllib.request.urlopen(f"http://127.0.0.1:{host}/") as answer:
                answer.read()
            answered = time.monotonic() - begin
            match = CHECKED.search(console.read_text(errors="replace"))
    if match is None:
        raise SystemExit("the loader does not say how fast the drive is")
    return int(match[1]) / 1e6 / reading, float(match[3]), serving, answered


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--example", default="static")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    setup, port = setup_of(options.example)
    rounds = [once(setup, port) for _ in range(options.rounds)]
    drive, inside, serving, answer = (
        statistics.median(column) for column in zip(*rounds, strict=True)
    )
    print(f"{options.example}, drive of {setup.drive.stat().st_size / 1e6:.1f} MB")
    print(f"drive    {drive:6.1f} MB/s")
    print(f"inside   {inside:6.1f} MB/s")
    print(f"serving  {serving:6.1f} s")
    print(f"answer   {answer:6.1f} s")


if __name__ == "__main__":
    main()
