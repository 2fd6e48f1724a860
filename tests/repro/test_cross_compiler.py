"""What a host of arm64 compiles a kernel with gives what the compiler of this host gives.

Its compiler and assembler run here, emulated by qemu-user, on files of the kernel. Not the
whole of it, which would take hours.
"""

import json
import os
import platform
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from determinism import closure

from vcr.settings import Settings
from vcr.tools.nix import Nix

pytestmark = [
    pytest.mark.nix,
    pytest.mark.limit(7200),
    pytest.mark.skipif(
        "VCR_TEST_KERNEL" not in os.environ,
        reason="needs VCR_TEST_KERNEL=1: it compiles files of a kernel under emulation",
    ),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="needs a host of x86-64"),
]

REPO = Path(__file__).resolve().parents[2]
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
FILES = ("kernel/sched/core", "mm/page_alloc", "lib/vsprintf", "net/ipv4/tcp_input")
TRIPLETS = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
}
# The kernel's own derivation up to where it compiles, then FILES: preprocessed, how the compiler
# is called for each, and what it makes of them.
COMPILED = """
let
  toolchain = import {nix} {{ }};
  kernel = toolchain.kernels.{arch};
  script = builtins.elemAt kernel.drvAttrs.args 1;
  length = builtins.stringLength (builtins.head (builtins.split "make -j" script));
  begin = builtins.substring 0 length script; # with what it refers to, which split forgets
in
derivation (kernel.drvAttrs // {{
  name = "vcr-compiled-{arch}";
  args = [ "-euc" (begin + ''
    make -j"$jobs" {objects}
    mkdir $out
    for file in {files}; do
      make $file.i
      name=$(echo $file | tr / _)
      cp $file.i $out/$name.i
      sed -n 's/^savedcmd_[^ ]* := //p' $(dirname $file)/.$(basename $file).o.cmd | tr ' ' '\\n' |
        grep -E '^-(f|m|O|std=|g)|^--param' > $out/$name.flags
      "''${{CROSS_COMPILE}}gcc" $(cat $out/$name.flags) -S -o $out/$name.s $out/$name.i
    done
  '') ];
}})
"""
PACKAGES = """
let toolchain = import {nix} {{ system = "aarch64-linux"; }};
in toolchain.pins.debs "arm64" "kernel-build" ++ toolchain.pins.debs "arm64" "kernel-arm64"
"""


def realised(expression: str) -> list[Path]:
    argv = ["nix-instantiate", "--expr", expression]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    drvs = [Path(line) for line in done.stdout.splitlines()]
    known, nix = closure(drvs), Nix(Settings.load())
    nix.fill(sorted(known), lambda _: None)
    for drv in drvs:
        nix.realise(drv, None, lambda _: None)
    return [Path(known[drv].env["out"]) for drv in drvs]


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    """Return the beginning of a command of arm64, and the root with its compilers."""
    emulator = next(filter(None, map(shutil.which, EMULATORS)), None)
    if emulator is None:
        pytest.skip("needs qemu-aarch64")
    root = tmp_path_factory.mktemp("arm64")
    for name in ("bin", "lib"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in realised(PACKAGES.format(nix=REPO / "nix")):
        unpack = 'ar p "$1" data.tar.xz | tar -xJ -C "$2"'
        subprocess.run(["sh", "-euc", unpack, "sh", package, root], check=True)
    return emulator, "-L", root


@pytest.mark.parametrize("arch", TRIPLETS)
def test_the_compiler_of_another_host_gives_the_same(
    emulated: tuple[str, str, Path], tmp_path: Path, arch: str
) -> None:
    objects, files = (" ".join(f"{file}{end}" for file in FILES) for end in (".o", ""))
    expression = COMPILED.format(nix=REPO / "nix", arch=arch, objects=objects, files=files)
    (compiled,) = realised(expression)
    root, triplet = emulated[2], TRIPLETS[arch]
    (compiler,) = root.glob(f"usr/libexec/gcc*/{triplet}/14/cc1")
    native = Nix(Settings.load()).build(
        "kernel-arm64" if arch == "arm64" else "kernel-build", lambda _: None
    )
    for source in sorted(compiled.glob("*.i")):
        flags = source.with_suffix(".flags").read_text().split()
        assert "-O2" in flags
        made = tmp_path / source.with_suffix(".s").name
        # How the driver calls the compiler is part of what is compared.
        driver: list[str | Path] = [
            *emulated,
            root / f"usr/bin/{triplet}-gcc-14",
            "-###",
            *flags,
            "-S",
            "-o",
            made,
        ]
        done = subprocess.run([*driver, source], capture_output=True, text=True, check=True)
        (call,) = (line for line in done.stderr.splitlines() if f" {source}" in line)
        subprocess.run([*emulated, compiler, *shlex.split(call)[1:]], check=True)
        assert made.read_bytes() == source.with_suffix(".s").read_bytes(), source.name
        assembled: list[bytes] = []
        for before, tools in ((emulated, root), ((), native)):
            target = tmp_path / f"{len(assembled)}.o"
            argv = [*before, tools / f"usr/bin/{triplet}-as", "-o", target, made]
            subprocess.run(argv, check=True, cwd=tmp_path)
            assembled.append(target.read_bytes())
        assert assembled[0] == assembled[1], source.name
    assert len(list(compiled.glob("*.s"))) == len(FILES), json.dumps(FILES)
