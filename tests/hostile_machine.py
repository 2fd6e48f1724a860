"""A machine that has nothing of this host but its Nix and what a build takes from the store.

QEMU that emulates the CPU, with Debian's kernel, a clock that is years off, and a disk of
ext4 that is the root and the store. It builds derivations and says what came out.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from determinism import copy_to, outputs_of

from vcr.settings import Settings
from vcr.tools.nix import NIX_CONFIG, Nix

REPO = Path(__file__).resolve().parents[1]
INIT = REPO / "tests" / "repro" / "init-hostile"
# nix/lib/kernel.nix with Debian's kernel for x86-64: not the one that this host runs.
KERNEL = """
let
  toolchain = import {repo}/nix {{ system = "x86_64-linux"; }};
  sandbox = import {repo}/nix/lib/sandbox.nix {{ inherit toolchain; }};
in
import {repo}/nix/lib/kernel.nix {{ inherit toolchain sandbox; }} {{
  name = "vcr-hostile-kernel";
  arch = "amd64";
  kernel = "debian";
  init = {init};
  busybox = true;
  modules = [ "virtio_pci" "virtio_blk" "ext4" ];
}}
"""
BUILD = """\
#!/bin/sh
export PATH=/bin:/usr/bin HOME=/ NIX_CONFIG='{config}'
mount -t proc proc /proc
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/shm /dev/pts
mount -t devpts devpts /dev/pts
exec > /dev/ttyS1 2>&1
echo "kernel $(uname -r)"
echo "date $(date -u +%Y)"
nix-store --realise {drvs} > /dev/null 2> /log
echo "code $?"
tail -n 20 /log
for path in {outs}; do echo "hash $path $(nix-store --query --hash $path)"; done
sync
reboot -f
"""
SECONDS = 3000.0
MEMORY_MIB = 4096


@dataclass(frozen=True)
class Said:
    """What the machine said: about itself, and the NAR hash of each output."""

    kernel: str
    year: int
    hashes: dict[str, str]
    text: str


def build_there(
    directory: Path, drvs: Iterable[Path], paths: Iterable[Path | str], outs: list[str], date: str
) -> Said:
    """Build DRVS at DATE, YYYY-MM-DDTHH:MM:SS, from the store PATHS; return the hashes of OUTS."""
    drvs = list(drvs)
    (kernel,) = map(Path, outputs_of([kernel_drv()]))
    root = directory / "root"
    copy_to(root, drvs, paths)
    _lay_out(root, drvs, outs)
    disk = directory / "disk"
    with disk.open("wb") as file:
        file.truncate(12 << 30)
    subprocess.run(["mkfs.ext4", "-q", "-d", root, disk], check=True, capture_output=True)
    shutil.rmtree(root)
    said = _run(kernel, disk, directory, date)
    found = re.findall(r"^hash (\S+) (\S+)\r?$", said, re.MULTILINE)
    (release,) = re.findall(r"^kernel (\S+)", said, re.MULTILINE) or [""]
    (year,) = re.findall(r"^date (\d+)", said, re.MULTILINE) or ["0"]
    return Said(release, int(year), dict(found), said)


def kernel_drv() -> Path:
    """Return the derivation of Debian's kernel and the first ramdisk."""
    expression = KERNEL.format(repo=REPO, init=json.dumps(str(INIT)).replace('"', ""))
    argv = ["nix-instantiate", "--expr", expression]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def qemu() -> Path:
    """Return the tools that the machine is emulated with."""
    return Nix(Settings.load()).build("qemu-x86", lambda _: None)


def _lay_out(root: Path, drvs: Iterable[Path], outs: Iterable[str]) -> None:
    """Put this host's Nix, a shell and what is to be done beside the store in ROOT."""
    for name in ("bin", "dev", "etc", "proc", "tmp", "usr/bin", "sys"):
        (root / name).mkdir(parents=True, exist_ok=True)
    nix = Path(shutil.which("nix") or "").resolve()
    if nix.is_relative_to("/nix"):
        pytest.skip("needs a Nix that is not in /nix")
    shown = subprocess.run(["ldd", nix], capture_output=True, text=True, check=True).stdout
    for library in (nix, *map(Path, re.findall(r"(/\S+) \(0x", shown))):
        target = root / library.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library, target)
    hooks = nix.parents[1] / "libexec/nix"  # Debian's Nix starts one to be told that there is none
    if hooks.is_dir():
        shutil.copytree(hooks, root / hooks.relative_to("/"), symlinks=True)
    if not (root / "usr/bin/nix").exists():
        (root / "usr/bin/nix").symlink_to(nix)
    (root / "usr/bin/nix-store").symlink_to("nix")
    busybox = Nix(Settings.load()).build("busybox", lambda _: None) / "bin/busybox"
    shutil.copy2(busybox, root / "bin/busybox")
    for name in ("sh", "mount", "mkdir", "uname", "date", "tail", "sync", "reboot"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    config = f"{NIX_CONFIG}build-users-group =\nsubstituters =\n"
    build = BUILD.format(config=config, drvs=" ".join(map(str, drvs)), outs=" ".join(outs))
    (root / "build").write_text(build)
    (root / "build").chmod(0o755)


def _run(kernel: Path, disk: Path, directory: Path, date: str) -> str:
    """Start the machine, wait for its end, and return what it said."""
    toolset = qemu()
    console, said = directory / "console", directory / "said"
    argv: list[str | Path] = [
        *(toolset / "usr/bin/qemu-system-x86_64", "-L", toolset / "usr/share/qemu"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-M", "q35", "-m", f"{MEMORY_MIB}M", "-smp", "2", "-rtc", f"base={date}"),
        *("-accel", "tcg,thread=multi", "-cpu", "max"),
        *("-bios", toolset / "usr/share/qemu/qboot.rom"),
        *("-kernel", kernel / "kernel", "-initrd", kernel / "initramfs"),
        *("-append", "console=ttyS0 quiet panic=-1 rdinit=/init"),
        *("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"),
        *("-serial", f"file:{console}", "-serial", f"file:{said}"),
    ]
    subprocess.run(argv, check=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    text = said.read_text(errors="replace")
    return text or f"it said nothing; the console: {console.read_text(errors='replace')[-3000:]}"
