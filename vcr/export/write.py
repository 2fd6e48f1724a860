"""Writes an export: a directory with all that a deployment needs, and the digest of each file.

Whole or not at all, and with the same bytes, modes and times wherever the same ladder
was built. What was copied is read again and checked before the directory gets its name.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vcr.atomic import new_directory
from vcr.build.builder import Built
from vcr.engines.machine import VM_FILE
from vcr.errors import HostError
from vcr.export.check import check_export
from vcr.export.manifest import (
    BLOBS,
    DEPLOY,
    DRIVE,
    IMAGE,
    LADDER,
    MACHINE,
    MANIFEST,
    VERITY,
    File,
    Manifest,
)
from vcr.model.board import BOARDS
from vcr.model.profile import PROFILES
from vcr.sandbox.squashfs import SQUASHFS

SCHEMA = 1
VERIFY = Path(__file__).with_name("verify.sh")
# Of vm.json, what is not a path of the host that builds.
DEPLOYED = ("append", "cpus", "health", "kind", "memory_mib", "name", "ports", "udp_ports")
SPARE = 1 << 20  # bytes: directories and small files on top of what is copied
# rung → file of the export that it is of
RUNG_FILES = {"kernel": "kernel", "initramfs": "initramfs", "squashfs": SQUASHFS, "sealed": DRIVE,
              "snapshot": MACHINE}  # fmt: skip


def stages_for(profile: str) -> tuple[str, ...]:
    """Return what has to be built for an export of PROFILE."""
    return (*PROFILES[profile].stages(), PROFILES[profile].machine())


def write_export(built: Built, target: Path) -> Manifest:
    """Write what was BUILT into TARGET, which is empty or missing; return its manifest.

    Raises UsageError, HostError and, when the store does not hold what the ladder says,
    MismatchError.
    """
    sources = dict(_sources(built))
    made = {LADDER: _ladder(built, sources), DEPLOY: _deployment(built)}
    with new_directory(target) as root:
        _check_space(root, sources)
        for path, source in sources.items():
            _keep(root / path, source)
        for path, text in made.items():
            (root / path).write_text(text, encoding="utf-8")
        (root / VERIFY.name).write_bytes(VERIFY.read_bytes())
        manifest = _describe(built, root, sorted([*sources, *made, VERIFY.name]))
        (root / MANIFEST).write_bytes(manifest.to_bytes())
        settle(root, built.plan.epoch)
        check_export(root)
    return manifest


def _sources(built: Built) -> Iterator[tuple[str, Path]]:
    """Yield (path in the export, file in the store)."""
    layout = built.path("image") / "layout"
    for name in ("index.json", "oci-layout"):
        yield f"{IMAGE}/{name}", layout / name
    for blob in (layout / "blobs/sha256").iterdir():
        yield f"{BLOBS}/{blob.name}", blob
    for name in ("kernel", "initramfs"):
        yield name, built.path("kernel") / name
    if "seal" not in PROFILES[built.plan.profile].stages():
        yield SQUASHFS, built.path("squashfs") / SQUASHFS
        return
    for name in (DRIVE, VERITY):
        yield name, built.path("seal") / name
    yield MACHINE, built.path("snapshot") / MACHINE


def _ladder(built: Built, sources: dict[str, Path]) -> str:
    """Return the ladder as `vcr build --json` has it, with paths in the export."""
    rows: list[dict[str, Any]] = []
    for rung in built.ladder:
        row = {"name": rung.name, "digest": rung.digest, "size": rung.size}
        path = f"{BLOBS}/{rung.digest.hex}" if rung.name == "image" else RUNG_FILES.get(rung.name)
        rows.append({**row, "path": path} if path in sources else row)
    return _text({**built.plan.terms, "schema": SCHEMA, "kind": "build", "ladder": rows})


def _deployment(built: Built) -> str:
    """Return how the machine is started: its ports, its health, what a boot needs."""
    vm = json.loads((built.path(PROFILES[built.plan.profile].machine()) / VM_FILE).read_bytes())
    told = {key: vm[key] for key in DEPLOYED if key in vm}
    if "append" in told:  # with what the board of its architecture wants besides
        words = (told["append"], BOARDS[built.plan.arch].boot_line)
        told["append"] = " ".join(filter(None, words))
    return _text({**told, "schema": SCHEMA})


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _check_space(root: Path, sources: dict[str, Path]) -> None:
    needed = sum(source.stat().st_size for source in sources.values()) + SPARE
    free = shutil.disk_usage(root).free
    if free < needed:
        raise HostError(
            f"there is no room for the export in {root.parent}",
            details=(("needed", f"{needed} bytes"), ("free", f"{free} bytes")),
            fix="free some space, or choose a directory on another disk",
        )


def _keep(path: Path, source: Path) -> None:
    """Copy the content of SOURCE, and see to it that it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _describe(built: Built, root: Path, paths: list[str]) -> Manifest:
    files = [File.of(root, path) for path in paths]
    told = {"schema": SCHEMA, "kind": "export", "files": files}
    return Manifest.model_validate({**built.plan.terms, **told})


def settle(root: Path, epoch: int) -> None:
    """Give all below ROOT the modes and times that do not depend on umask and clock."""
    for path in sorted(root.rglob("*"), reverse=True):
        path.chmod(0o755 if path.is_dir() or path.name == VERIFY.name else 0o644)
        os.utime(path, (epoch, epoch))
    os.utime(root, (epoch, epoch))
