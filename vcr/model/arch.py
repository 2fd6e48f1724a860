"""Architectures, by their OCI names (Go's GOARCH).

https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md#properties
"""

import enum
import os
import platform

from vcr.errors import HostError


class Arch(enum.StrEnum):
    """An architecture vcr builds images for; Debian uses the same three names."""

    RISCV64 = "riscv64"
    AMD64 = "amd64"
    ARM64 = "arm64"


# What $BUILDPLATFORM is unless vcr.toml says otherwise: compilers for other architectures are
# made for it first, and authors of Dockerfiles expect it.
BUILD_ARCH = Arch.AMD64
# What uname(2) calls the architectures.
MACHINES = {Arch.AMD64: "x86_64", Arch.ARM64: "aarch64", Arch.RISCV64: "riscv64"}


def platform_arch(text: str) -> Arch:
    """Return the architecture of the platform TEXT, `linux/ARCH`; raises ValueError for another."""
    system, _, name = text.partition("/")
    if system != "linux" or name not in set(Arch):
        raise ValueError(f"{text!r} is none of {', '.join(f'linux/{arch}' for arch in Arch)}")
    return Arch(name)


def native_arch() -> Arch:
    """Return the architecture of this host; raises HostError when vcr has no images for it."""
    machine = platform.machine()
    found = next((arch for arch, name in MACHINES.items() if name == machine), None)
    if found is None:
        raise HostError(f"this host is {machine}, for which vcr cannot build images")
    return found


def has_kvm(arch: Arch) -> bool:
    """Return whether this host runs machines of ARCH by itself: fast, and never the same twice."""
    return platform.machine() == MACHINES.get(arch) and os.access("/dev/kvm", os.R_OK | os.W_OK)
