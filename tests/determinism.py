"""Builds again, while this host is busy, and compares."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vcr.settings import Settings
from vcr.tools.derivation import Derivation
from vcr.tools.nix import Nix

# Works and rests by turns of some milliseconds: more interrupts what runs beside it than work
# without end would, and it leaves more time to it.
IN_TURNS = """
import random, time
while True:
    end = time.monotonic() + random.uniform(0.001, 0.02)
    while time.monotonic() < end:
        pass
    time.sleep(random.uniform(0.001, 0.02))
"""


@contextmanager
def busy_host() -> Iterator[None]:
    """Keep three processes busy half of the time, which other tests beside this one add to."""
    busy = [subprocess.Popen([sys.executable, "-ISc", IN_TURNS]) for _ in range(3)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def deriver(output: Path | str) -> str:
    """Return the derivation that made OUTPUT."""
    query = ["nix-store", "--query", "--deriver", output]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()


def pinned(cpu: int) -> tuple[str, ...]:
    """Return the beginning of a command that runs on one CPU, where taskset is at hand."""
    return ("taskset", "-c", str(cpu % (os.cpu_count() or 1))) if shutil.which("taskset") else ()


def strange(
    argv: list[str], cpu: int = 0, config: str = "cores = 1"
) -> subprocess.CompletedProcess[str]:
    """Run ARGV on one processor, under a strange umask, locale, zone and environment."""
    env = {
        **os.environ,
        "NIX_CONFIG": f"{os.environ.get('NIX_CONFIG', '')}\n{config}",
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "tr_TR.UTF-8",
        "SOURCE_DATE_EPOCH": "1",
        "PYTHONHASHSEED": "7",
        "HOSTNAME": "elsewhere",
    }
    return subprocess.run(
        [*pinned(cpu), *argv], env=env, umask=0o077, capture_output=True, text=True, check=False
    )


def closure(drvs: list[Path]) -> dict[Path, Derivation]:
    """Read DRVS and all they are built from."""
    found: dict[Path, Derivation] = {}
    pending = list(drvs)
    while pending:
        drv = pending.pop()
        if drv not in found:
            found[drv] = Derivation.read(drv)
            pending += found[drv].inputs
    return found


def outputs_of(drvs: Iterable[Path]) -> list[str]:
    """Return the outputs of DRVS, made where they are not there.

    Nothing keeps what a result was only made from.
    """
    wanted = sorted(drvs)
    fill(wanted)
    ask = ["nix-store", "--realise", *map(str, wanted)]
    done = subprocess.run(ask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(Derivation.read(drv).env["out"] for drv in wanted)


def fill(drvs: Iterable[Path | str]) -> None:
    """Fetch what building DRVS takes and is not there."""
    ask = ["nix-store", "--realise", *map(str, drvs), "--dry-run"]
    dry = subprocess.run(ask, capture_output=True, text=True, check=True)
    lines = map(str.strip, dry.stderr.splitlines())
    missing = [Path(line) for line in lines if line.endswith(".drv")]
    Nix(Settings.load()).fill(missing, print)


def copy_to(
    root: Path, drvs: Iterable[Path | str], paths: Iterable[Path | str], *before: str
) -> str:
    """Copy derivations and store paths to a fresh store below ROOT, and return its name.

    By commands that begin with BEFORE.
    """
    store = f"local?root={root}"
    copy = ["nix", "copy", "--no-check-sigs", "--to", store]
    for argv in ([*copy, "--derivation", *map(str, drvs)], [*copy, *map(str, paths)]):
        done = subprocess.run([*before, *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return store
