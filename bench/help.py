#!/usr/bin/env python3
"""What `vcr --help` costs: CPU seconds of the process and its children, user and system.

    bench/help.py [--rounds 20] [PROGRAM...]

PROGRAM is what starts vcr (default: this Python with this repository). Beside it: Python
that does nothing, and the help of one verb. Medians and the worst; the aim is 0.2 s.
"""

import resource
import subprocess
import sys

from build import REPO
from rows import Row, options, show

VCR = (sys.executable, "-c", "from vcr.cli import main; main()")


def cpu(argv: list[str]) -> float:
    """Return the CPU seconds that ARGV takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=REPO, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("program", nargs="*", default=VCR)
    given = parser.parse_args()
    program = list(given.program)
    cases = {
        "vcr --help, CPU": [*program, "--help"],
        "vcr build --help, CPU": [*program, "build", "--help"],
    }
    rows = []
    for name, argv in cases.items():
        ours, nothing = [], []
        for _ in range(given.rounds):
            nothing.append(cpu([sys.executable, "-c", "pass"]))
            ours.append(cpu(argv))
        rows.append(Row.of(name, ours).beside("python that does nothing", nothing))
    show(rows, as_json=given.json)


if __name__ == "__main__":
    main()
