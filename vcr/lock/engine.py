"""Which engine runs the prod machine, and of which version: an input like any other.

The version is that of vcr's toolchain, by its pins; so a lock says which hashes can
be expected of it.
"""

import json
from pathlib import Path
from typing import Any

from vcr.errors import UsageError
from vcr.model.digest import Digest
from vcr.model.lockfile import LockedEngine
from vcr.model.project import Project
from vcr.tools.nix import EXPRESSIONS

LABEL = "[machine] engine"
QEMU = "qemu-system-riscv"  # the Debian package
# Its version is the same on every host: tests/unit/test_engine.py.
QEMU_PINS, CARTESI_PINS = "debian-amd64.json", "cartesi.json"


def current_engine(project: Project, name: str | None = None) -> LockedEngine:
    """Return the engine NAME, or the one of vcr.toml, as this vcr has it; raises UsageError."""
    if (name or project.config.machine.engine) == "qemu":
        return LockedEngine(name="qemu", version=_pins(QEMU_PINS)["packages"][QEMU]["version"])
    pins = _pins(CARTESI_PINS)
    own, kernel = own_emulator(project), own_kernel(project)
    return LockedEngine(
        name="cartesi",
        version="" if own else pins["version"],
        kernel=str(Digest.of_file(kernel)) if kernel else Path(pins["kernel"]["url"]).stem,
        emulator=str(Digest.of_file(own)) if own else "",
    )


def own_emulator(project: Project) -> Path | None:
    """Return the package that [engine.cartesi] emulator names; raises UsageError."""
    own = project.config.engine.cartesi.emulator
    return _own_file(project, f"emulator {own}", own, "the .deb of machine-emulator")


def own_kernel(project: Project) -> Path | None:
    """Return what [engine.cartesi] kernel names; raises UsageError."""
    own = project.config.engine.cartesi.kernel
    return _own_file(project, f"kernel {own}", own, "a kernel in OpenSBI (fw_payload.bin)")


def _own_file(project: Project, key: str, own: str, what: str) -> Path | None:
    if not own:
        return None
    path = project.places.lead(own, "vcr.toml: [engine.cartesi]")
    if not path.is_file():
        raise UsageError(
            f"vcr.toml: [engine.cartesi] {key} is not a file",
            fix=f"give {what}, or remove it to use the pinned one",
        )
    return path


def engine_change(locked: LockedEngine | None, now: LockedEngine) -> str:
    """Say how the engine that is LOCKED differs from the one NOW, "" if it does not."""
    if locked is None:
        return f"{LABEL} is new"
    return "" if locked == now else f"{LABEL} changed: {locked} is {now} now"


def _pins(name: str) -> dict[str, Any]:
    return dict(json.loads((EXPRESSIONS / "pins" / name).read_bytes()))
