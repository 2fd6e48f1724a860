"""Hosts of x86-64 and of arm64 build with the same machine, kernel and versions: T19.

What each would do is evaluated here for both; only one of them can run on this host. What
differs between them is which build of a Debian package runs, so its version must not.
"""

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from vcr.model.arch import Arch
from vcr.sandbox import build_machine

pytestmark = pytest.mark.nix

REPO = Path(__file__).resolve().parents[2]
HOSTS = ("x86_64-linux", "aarch64-linux")
MACHINE = """
let
  toolchain = import {nix} {{ system = "{host}"; }};
  sandbox = import {nix}/lib/sandbox.nix {{ inherit toolchain; }};
in
import {nix}/lib/machine.nix {{ inherit toolchain sandbox; }} "{arch}"
"""


def evaluate(expression: str) -> Any:
    argv = ["nix", "eval", "--json", "--impure", "--expr", expression]
    return json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def machine_of(host: str, arch: Arch) -> dict[str, Any]:
    told = evaluate(MACHINE.format(nix=REPO / "nix", host=host, arch=arch))
    assert isinstance(told, dict)
    return told


def recipe_of(host: str, attr: str) -> Any:
    """Return builder, arguments and environment of a derivation, what only a host has left out."""
    expression = f'(import {REPO}/nix {{ system = "{host}"; }}).{attr}'
    argv = ["nix-instantiate", "--expr", expression]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    text = Path(done.stdout.strip()).read_text()
    *_, system, builder, arguments, env = ast.literal_eval(text.removeprefix("Derive"))
    assert system == host
    return plain([builder, arguments, [pair for pair in env if pair[0] != "system"]])


def plain(value: Any) -> Any:
    """Return VALUE with what runs on a host called alike: hashes of its tools, its libraries."""
    text = re.sub(r"/nix/store/[0-9a-z]{32}-", "/nix/store/", json.dumps(value))
    text = re.sub(r"usr/lib(64)?/ld-linux-(x86-64|aarch64)\.so\.[12]", "LOADER", text)
    return json.loads(re.sub(r"usr/lib/(x86_64|aarch64)-linux-gnu", "LIBRARIES", text))


@pytest.mark.parametrize("arch", list(Arch))
def test_a_machine_is_started_alike_on_every_host(arch: Arch, tmp_path: Path) -> None:
    argvs = []
    for host in HOSTS:
        machine = build_machine.Machine(**machine_of(host, arch), memory_mib=512)
        argvs.append(
            plain(
                build_machine.command_line(machine, tmp_path, tmp_path, clock=build_machine.COUNTED)
            )
        )
    assert argvs[0] == argvs[1]


@pytest.mark.parametrize("attr", [f"kernels.{arch}" for arch in Arch])
def test_a_kernel_is_compiled_alike_on_every_host(attr: str) -> None:
    """By a compiler that both call by its triplet, since the kernel has its name in it."""
    ours, theirs = (recipe_of(host, attr) for host in HOSTS)
    assert ours == theirs
    names = {"riscv64-linux-gnu-", "x86_64-linux-gnu-", "aarch64-linux-gnu-"}
    assert dict(ours[2])["CROSS_COMPILE"] in names


@pytest.mark.parametrize("arch", list(Arch))
def test_the_first_program_is_compiled_alike_on_every_host(arch: Arch) -> None:
    ours, theirs = (recipe_of(host, f'step "{arch}"') for host in HOSTS)
    assert ours == theirs


def test_the_source_of_a_kernel_is_one_file() -> None:
    sources = [
        evaluate(
            f'let t = import {REPO}/nix {{ system = "{host}"; }}; a = t.platform.arch; in '
            '"${t.pins.deb a (builtins.head (t.pins.members a "kernel-source"))}"'
        )
        for host in HOSTS
    ]
    assert sources[0] == sources[1]


def pins_of(host: str) -> dict[str, Any]:
    found = json.loads((REPO / f"nix/pins/debian-{host}.json").read_text())
    assert isinstance(found, dict)
    return found


def version(packages: dict[str, Any], name: str) -> str:
    """Return the version of a package's source.

    A compiler for another machine has cross1 after it, what was only built again +b1.
    """
    return re.sub(r"(cross\d+|\+b\d+)$", "", packages[name]["version"])


def test_tools_are_of_one_version_on_every_host() -> None:
    one, other = (pins_of(arch)["packages"] for arch in ("amd64", "arm64"))
    for name in one.keys() & other.keys():
        assert version(one, name) == version(other, name), name
        if one[name]["path"].endswith("_all.deb"):  # firmware, sources
            assert one[name] == other[name]
    compilers = {"riscv64": "kernel-build", "x86-64": "kernel-build", "aarch64": "kernel-arm64"}
    for triplet, toolset in compilers.items():
        for tool in ("gcc-14", "cpp-14", "binutils"):
            name = f"{tool}-{triplet}-linux-gnu"
            assert version(one, name) == version(other, name)
            for host in ("amd64", "arm64"):
                assert {name} <= set(pins_of(host)["sets"][toolset])
