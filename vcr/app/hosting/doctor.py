"""`doctor`: what this host has and lacks, and how to get it."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vcr import process
from vcr.app.context import Context
from vcr.errors import HostError, VcrError
from vcr.limits import available_memory
from vcr.settings import Settings
from vcr.tools.nix import Nix
from vcr.ui import human_size

MINIMUM_NIX = (2, 8)
WANTED_DISK = 5 << 30  # bytes: toolchain 1.5 GiB, a project's stages, room for the next
WANTED_MEMORY = 1 << 30  # bytes free for building and for one machine
STORE = Path("/nix")

type Grade = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    grade: Grade
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What this host has and lacks."""

    findings: tuple[Finding, ...]

    def check(self) -> None:
        """Raise HostError when something essential is missing."""
        missing = [finding.name for finding in self.findings if finding.grade == "missing"]
        if missing:
            raise HostError(
                f"this host lacks: {', '.join(missing)}", fix="each finding says how to get it"
            )


def doctor(context: Context) -> Diagnosis:
    """Return what this host has and lacks, and how to get it."""
    return Diagnosis(tuple(each for check in CHECKS for each in check(context.settings)))


def check_nix(_: Settings) -> Iterator[Finding]:
    """Nix is there and new enough."""
    get = "apt-get install --no-install-recommends nix-bin, or https://nixos.org/download"
    try:
        text = process.run(["nix", "--version"]).text
    except VcrError:
        yield Finding("nix", "missing", "not found", get)
        return
    match = re.search(r"(\d+)\.(\d+)", text)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    good = version >= MINIMUM_NIX
    yield Finding("nix", "ok" if good else "missing", text, "" if good else f"too old; {get}")


def check_store(settings: Settings) -> Iterator[Finding]:
    """Check whether the store is writable, directly or through a daemon."""
    if Path("/nix/var/nix/daemon-socket/socket").exists():
        yield Finding("store", "ok", "through the Nix daemon")
    elif _is_writable(STORE if STORE.exists() else STORE.parent):
        yield Finding("store", "ok", f"{STORE} is writable")
    else:
        user = settings.env.get("USER", "$USER")
        yield Finding(
            "store", "missing", f"{STORE} is not writable", f"sudo install -d -o {user} /nix"
        )


def check_sandbox(settings: Settings) -> Iterator[Finding]:
    """Nix can build in its sandbox here."""
    try:
        Nix(settings).try_sandbox()
    except VcrError as error:
        yield Finding(
            "sandbox",
            "missing",
            error.why or error.what,
            "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1",
        )
    else:
        yield Finding("sandbox", "ok", "a build runs in it")


def check_space(_: Settings) -> Iterator[Finding]:
    """There is room for the toolchain and the stages."""
    free = shutil.disk_usage(STORE if STORE.exists() else STORE.parent).free
    good = free >= WANTED_DISK
    fix = "" if good else f"vcr wants {human_size(WANTED_DISK)}; `vcr prune` frees some"
    yield Finding("disk", "ok" if good else "warning", f"{human_size(free)} free", fix)


def check_memory(_: Settings) -> Iterator[Finding]:
    """There is memory for a machine."""
    free = available_memory()
    good = free >= WANTED_MEMORY
    fix = "" if good else f"a machine wants {human_size(WANTED_MEMORY)}"
    yield Finding("memory", "ok" if good else "warning", f"{human_size(free)} available", fix)


def check_programs(_: Settings) -> Iterator[Finding]:
    """Programs that fetch pinned files; each is needed for some files only."""
    uses = {
        "git": "reading a git checkout of vcr as a flake",
        "apt-get": "finding Debian mirrors near this host",
        "curl": "fast downloads; wget or apt do, too",
        "npm": "the unpacker, if its public address cannot be reached",
    }
    for name, use in uses.items():
        path = shutil.which(name)
        if path:
            yield Finding(name, "ok", path)
        else:
            yield Finding(name, "warning", "not found", f"used for {use}")


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    check_nix,
    check_store,
    check_sandbox,
    check_space,
    check_memory,
    check_programs,
)


def _is_writable(path: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=path):
            return True
    except OSError:
        return False
