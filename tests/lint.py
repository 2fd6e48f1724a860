"""What bin/lint checks of the source; tests/unit/test_style.py runs the same checks.

A check is commands of one program over all files that it is for, found by their kind and not
by a list. Programs are those of the pinned toolchain, which VCR_LINT_TOOLS names, or of PATH.
None of them takes the network.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from shell_parts import write_parts

REPO = Path(__file__).resolve().parents[1]
# What is not source: of git, of caches, of Nix.
UNTOLD = {".git", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__"}
SHELLS = ("#!/bin/sh", "#!/bin/busybox sh")
# Sourced: they have no first line that says so.
SOURCED = ("guest/lib", "nix/lib/setup.sh")
# Scripts of the guest are read where they are not run: /etc/vcr/lib is guest/lib (SC1091, SC2034,
# SC2154), and they split words on purpose (SC2013). A comment in them would change digests.
BUSYBOX = ("-s", "busybox", "-e", "SC1091,SC2013,SC2034,SC2154")
OF_A_HOST = ("guest/check",)
# Builders: paths of the store have no spaces (SC2086, SC2046), what Nix puts in is one word here
# (SC2043, SC2194) or a variable of the derivation (SC2154), and the shell ends when cd fails.
BUILDER = "SC2043,SC2046,SC2086,SC2154,SC2164,SC2194"
PLACES = {
    "go": "go/usr/lib/go-1.24/bin",
    "ruff": "test/usr/bin",
    "shellcheck": "test-programs/usr/bin",
}


@dataclass(frozen=True)
class Check:
    """One program, and the commands that it is run with, by the directory that is checked."""

    name: str
    program: str
    commands: Callable[[Path], Iterator[list[str]]]

    def is_possible(self) -> bool:
        """Whether the program is there."""
        return find(self.program) is not None

    def run(self, root: Path = REPO) -> str:
        """Check what is below ROOT; return what is wrong, or nothing."""
        program = find(self.program)
        if program is None:
            return f"{self.name} needs {self.program}"
        path = f"{Path(program).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        wrong = ""
        for argv in self.commands(root):
            done = subprocess.run(
                argv, cwd=root, env=env, capture_output=True, text=True, check=False
            )
            if done.returncode:
                wrong += done.stdout + done.stderr or f"{argv}: exit {done.returncode}\n"
        return wrong


def find(program: str) -> str | None:
    """Return where PROGRAM is, of the toolchain or of this host."""
    if program == "python3":
        return sys.executable
    tools = os.environ.get("VCR_LINT_TOOLS")
    places = [str(Path(tools) / PLACES[program])] if tools and program in PLACES else []
    places.append(os.environ["PATH"])
    return shutil.which(program, path=":".join(places))


def files(root: Path) -> Iterator[Path]:
    """Yield the source below ROOT, sorted, relative to it."""
    for directory, names, leaves in root.walk():
        names[:] = sorted(name for name in names if name not in UNTOLD)
        for leaf in sorted(leaves):
            path = directory / leaf
            if not path.is_symlink():
                yield path.relative_to(root)


def first_line(path: Path) -> str:
    """Return the first line of the file at PATH, or nothing of one that is not text."""
    with path.open("rb") as file:
        return file.readline(200).decode("ascii", "replace").rstrip("\n")


def shell_scripts(root: Path) -> list[str]:
    """Return every file below ROOT that a shell reads."""
    return [
        str(path)
        for path in files(root)
        if str(path) in SOURCED or path.suffix == ".sh" or first_line(root / path) in SHELLS
    ]


def _ruff_check(_: Path) -> Iterator[list[str]]:
    yield ["ruff", "check", "--no-cache", "--quiet", "."]


def _ruff_format(_: Path) -> Iterator[list[str]]:
    yield ["ruff", "format", "--no-cache", "--quiet", "--diff", "."]


def _mypy(root: Path) -> Iterator[list[str]]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vcr/lint"
    place = cache / hashlib.sha256(bytes(root)).hexdigest()[:16]
    yield [sys.executable, "-m", "mypy", "--no-error-summary", "--cache-dir", str(place)]


def _go(root: Path) -> Iterator[list[str]]:
    programs = [str(path.parent) for path in sorted(root.glob("guest/*/go.mod"))]
    yield ["sh", str(REPO / "guest/check"), "lint", *programs]


def _shellcheck(root: Path) -> Iterator[list[str]]:
    busybox: list[str] = []
    others: list[str] = []
    for path in shell_scripts(root):
        is_of_guest = path.startswith("guest/") and path not in OF_A_HOST
        is_busybox = is_of_guest or first_line(root / path) == SHELLS[1]
        (busybox if is_busybox else others).append(path)
    if others:
        yield ["shellcheck", "-x", "-s", "sh", *others]
    if busybox:
        yield ["shellcheck", *BUSYBOX, *busybox]


def _shell_parts(root: Path) -> Iterator[list[str]]:
    """Yield one run for builders and one for workflows, on files that are there meanwhile."""
    kinds = {".nix": ("-s", "busybox", "-e", BUILDER), ".yml": ("-s", "bash")}
    for suffix, options in kinds.items():
        with tempfile.TemporaryDirectory(prefix="vcr-lint-") as name:
            paths = [root / path for path in files(root) if path.suffix == suffix]
            written = [part for path in paths for part in write_parts(path, Path(name))]
            if written:
                yield ["shellcheck", *options, *map(str, written)]


def _nix(root: Path) -> Iterator[list[str]]:
    paths = [str(path) for path in files(root) if path.suffix == ".nix"]
    yield ["nix-instantiate", "--parse", *paths]


CHECKS = (
    Check("mypy", "python3", _mypy),
    Check("go vet, gofmt", "go", _go),
    Check("ruff check", "ruff", _ruff_check),
    Check("ruff format", "ruff", _ruff_format),
    Check("shellcheck", "shellcheck", _shellcheck),
    Check("shell parts", "shellcheck", _shell_parts),
    Check("nix syntax", "nix-instantiate", _nix),
)


def timed(check: Check) -> str:
    """Carry CHECK out, say how long it took, and return what is wrong."""
    begun = time.monotonic()
    wrong = check.run()
    word = "FAILED" if wrong else "ok"
    print(f"{check.name:<14} {word:<6} {time.monotonic() - begun:5.1f} s", flush=True)
    return wrong


def main() -> None:
    """Carry out the checks that the arguments name, or all; exit 1 if something is wrong."""
    names = {check.name for check in CHECKS}
    if unknown := set(sys.argv[1:]) - names:
        sys.exit(f"there is no check {unknown.pop()!r}: {', '.join(sorted(names))}")
    wanted = [check for check in CHECKS if check.name in (sys.argv[1:] or names)]
    begun = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = "".join(pool.map(timed, wanted))
    print(f"{'all':<14} {'FAILED' if wrong else 'ok':<6} {time.monotonic() - begun:5.1f} s")
    if wrong:
        sys.exit(wrong)


if __name__ == "__main__":
    main()
