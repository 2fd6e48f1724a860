"""Architectures, by their OCI names (Go's GOARCH).

https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md#properties
"""

import enum


class Arch(enum.StrEnum):
    """An architecture vcr builds images for; Debian uses the same three names."""

    RISCV64 = "riscv64"
    AMD64 = "amd64"
    ARM64 = "arm64"

    @property
    def debian_triplet(self) -> str:
        """Return Debian's multiarch triplet, the directory name under /usr/lib."""
        machine = {"riscv64": "riscv64", "amd64": "x86_64", "arm64": "aarch64"}[self.value]
        return f"{machine}-linux-gnu"
