#!/usr/bin/env python3
"""How long it takes to verify statements and Nitro documents.

    bench/attest.py [--rounds 200]

Medians of wall-clock milliseconds, in one process; the last row is all of
`vcr attest verify`, the start of the program included.
"""

import argparse
import datetime as dt
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from vcr.attest.checks.checker import verify_files  # noqa: E402
from vcr.attest.checks.demand import Demand  # noqa: E402
from vcr.attest.dsse import sign  # noqa: E402
from vcr.attest.keys import create_pair, key_id, read_private, read_public  # noqa: E402
from vcr.attest.nitro.document import Expected, verify_document  # noqa: E402
from vcr.attest.predicates import Host  # noqa: E402
from vcr.attest.provenance import Pins, provenance  # noqa: E402
from vcr.attest.statement import Statement  # noqa: E402
from vcr.model.arch import Arch  # noqa: E402
from vcr.model.digest import Digest  # noqa: E402
from vcr.planner.prepare import prepare  # noqa: E402

DOCUMENT = REPO / "tests/golden/nitro/document.cbor"
THEN = dt.datetime(2023, 9, 18, 15, 5, tzinfo=dt.UTC)  # when it was new


def median(work: Callable[[], object], rounds: int) -> float:
    """Return the milliseconds WORK takes."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


def statement() -> bytes:
    """Return a statement of the size that real ones have."""
    project, plan = prepare(REPO / "examples/hello", arch=Arch.RISCV64, profile="prod")
    predicate = provenance(project, plan, None, Pins(REPO / "nix/pins"), Host("x86_64-linux"))
    names = ("image", "rootfs", "squashfs", "kernel", "initramfs", "machine", "snapshot", "sealed")
    subjects = {name: Digest.of_bytes(name.encode()) for name in names}
    return Statement(subjects, "https://slsa.dev/provenance/v1", predicate).to_bytes()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    document = DOCUMENT.read_bytes()
    expected = Expected(allow_debug=True)
    with tempfile.TemporaryDirectory() as name:
        private, public = create_pair(Path(name) / "bench")
        envelope = sign(statement(), [read_private(private)]).to_bytes()
        key = read_public(public)
        wanted = Demand(trusted={key_id(key): key})
        file = Path(name) / "statement.json"
        file.write_bytes(envelope)
        argv = [sys.executable, "-c", "from vcr.cli import main; main()", "attest", "verify"]
        argv += [str(file), "--key", str(public), "--quiet"]
        rows = (
            (
                f"statement, {len(envelope)} bytes",
                median(lambda: verify_files([("s", envelope)], wanted, THEN), rounds),
            ),
            (
                f"Nitro document, {len(document)} bytes",
                median(lambda: verify_document(document, expected, THEN), rounds),
            ),
            (
                "vcr attest verify",
                median(lambda: subprocess.run(argv, cwd=REPO, check=True, stdout=-3), 5),
            ),
        )
    for label, milliseconds in rows:
        print(f"{label:32}{milliseconds:9.2f} ms")


if __name__ == "__main__":
    main()
