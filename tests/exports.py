"""A small build, made by hand, that can be exported: every file is what its rung says."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from vcr.build.builder import Built, BuiltStage
from vcr.formats.hashes import verity
from vcr.formats.oci import TAG, Layout, platform
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.ladder import Rung
from vcr.model.plan import BuildMachine, Image, Machine, Plan

EPOCH = 1_700_000_000
BLOCKS = 300  # two levels of hashes


def make_built(root: Path, profile: str = "prod") -> Built:
    """Write the outputs of stages below ROOT and return the build of them."""
    rungs = [make_image(root / "image"), *make_kernel(root / "kernel")]
    stages = ["image", "kernel", "squashfs", "vm"]
    write(root / "squashfs/root.squashfs", noise(4096))
    rungs.append(rung_of(root / "squashfs/root.squashfs", "squashfs"))
    vm: dict[str, Any] = {"schema": 1, "kind": "boot", "name": "app", "ports": [80], "health": None}
    boot = {"append": "quiet", "cpus": 1, "memory_mib": 256, "qemu": "/nix/store/x/qemu"}
    write(root / "vm/vm.json", json.dumps({**vm, **boot}).encode())
    if profile == "prod":
        write(root / "prod/vm.json", json.dumps({**vm, "kind": "snapshot"}).encode())
        rungs += make_sealed(root)
        stages += ["snapshot", "seal", "prod"]
    machine = Machine(256, 1, (80,), None, writable=False, engine_version="10.0")
    plan = Plan(
        "app", profile, Arch.RISCV64, EPOCH, "/app", {}, Image(()), machine, BuildMachine(256, ())
    )
    built = tuple(BuiltStage(name, root / name, cached=True, reason="") for name in stages)
    return Built(plan, built, tuple(rungs))


def make_image(out: Path) -> Rung:
    layout = Layout(out / "layout")
    write(out / "layer.tar", noise(10240))
    manifest = layout.add_image([out / "layer.tar"], {"Cmd": ["x"]}, "riscv64", EPOCH)
    layout.finish([manifest.to_json(platform=platform("riscv64"), annotations={"ref": TAG})])
    return Rung("image", Digest(manifest.digest), 10240, layout.blob(manifest.digest))


def make_kernel(out: Path) -> list[Rung]:
    names = ("kernel", "initramfs")
    for name in names:
        write(out / name, noise(3000, name))
    return [rung_of(out / name, name) for name in names]


def make_sealed(root: Path) -> list[Rung]:
    """Write a drive with its tree, as veritysetup would, and what belongs to it."""
    write(root / "snapshot/machine.json", b'{"schema": 1}\n')
    snapshot = Digest.of_bytes(b"machine")
    drive = root / "seal/drive"
    write(drive, noise(BLOCKS * verity.BLOCK))
    found = verity.parameters(drive, snapshot)
    _, levels = verity._tree(drive, BLOCKS, bytes.fromhex(found.salt))
    with drive.open("ab") as file:
        file.write(verity._superblock(found).ljust(verity.BLOCK, b"\x00"))
        file.write(b"".join(reversed(levels)))
    told = {"schema": 1, "machine_hash": snapshot, **found.as_json()}
    text = json.dumps(told, indent=1, sort_keys=True) + "\n"
    write(root / "seal/verity.json", text.encode())
    sealed = Digest(f"sha256:{found.root_hash}")
    return [
        Rung("snapshot", snapshot, 1, root / "snapshot/machine.json"),
        Rung("sealed", sealed, drive.stat().st_size, drive),
    ]


def rung_of(path: Path, name: str) -> Rung:
    return Rung(name, Digest.of_file(path), path.stat().st_size, path)


def noise(size: int, seed: str = "") -> bytes:
    return random.Random(f"{size}{seed}").randbytes(size)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def state_of(root: Path) -> dict[str, tuple[int, int, str]]:
    """Return mode, time and content's digest of all below ROOT."""
    found = {}
    for path in (root, *root.rglob("*")):
        content = "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        info = path.lstat()
        found[str(path.relative_to(root))] = (info.st_mode, info.st_mtime_ns, content)
    return found
