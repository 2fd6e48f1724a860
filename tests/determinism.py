"""Builds again, while this host is busy, and compares."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def busy_host() -> Iterator[None]:
    """Keep three CPUs busy."""
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(3)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def assert_same_again(drv: Path | str, *before: str) -> None:
    """Build DRV once more, by a command that begins with BEFORE: the store's bytes come out."""
    argv = [*before, "nix-store", "--realise", "--check", drv]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def deriver(output: Path | str) -> str:
    """Return the derivation that made OUTPUT."""
    query = ["nix-store", "--query", "--deriver", output]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
