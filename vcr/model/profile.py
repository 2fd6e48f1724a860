"""Profiles: what a project is built for. One table; all that differs by profile is read off it."""

from dataclasses import dataclass
from typing import Literal

from vcr.model.arch import Arch
from vcr.model.board import BOARDS
from vcr.model.stage import ALL_STAGES, PROD_STAGES, STAGES

# What runs: a container of this host, a machine that boots, one that continues from a snapshot.
type Kind = Literal["container", "boot", "snapshot"]


@dataclass(frozen=True)
class Profile:
    """One profile."""

    name: str
    kind: Kind
    debug: bool  # its machine has tools to look inside, and a channel for the host to use them
    release: str  # the profile of the same machine without them; "" where there is none
    summary: str

    @property
    def is_container(self) -> bool:
        """Return whether the image runs as a container of this host."""
        return self.kind == "container"

    @property
    def is_sealed(self) -> bool:
        """Return whether it ends in a sealed snapshot."""
        return self.kind == "snapshot"

    @property
    def can_be_enclosed(self) -> bool:
        """Return whether an enclave can continue from its snapshot: nobody can look into it."""
        return self.is_sealed and self.is_release

    @property
    def is_release(self) -> bool:
        """Return whether it is made to be deployed: a machine that nobody can look into."""
        return self.release == self.name

    def has_machines(self, arch: Arch) -> bool:
        """Return whether a machine of it can be of ARCH: not every one can be sealed."""
        return not self.is_sealed or bool(BOARDS[arch].prod_cpu)

    def stages(
        self, *, arch: Arch = Arch.RISCV64, enclave: bool = False, vm: bool = False
    ) -> tuple[str, ...]:
        """Return its stages for ARCH, with those of an ENCLAVE if wanted.

        Of a container there is the image and, if wanted, a VM in its place. Where no machine of
        ARCH can be sealed, there is the image.
        """
        if vm:
            return STAGES
        if self.is_container or not self.has_machines(arch):
            return STAGES[:1]
        if enclave:
            return ALL_STAGES
        return PROD_STAGES if self.is_sealed else STAGES

    def machine(self, *, enclave: bool = False, vm: bool = False) -> str:
        """Return the attribute of Nix that describes the machine to start.

        ENCLAVE: in an emulated enclave; VM: a VM in place of a container.
        """
        if enclave:
            return "emulation"
        if self.is_container and not vm:
            return "container"
        return "prod" if self.is_sealed else "vm"


_TABLE = (
    Profile("vm", "boot", debug=True, release="vm-release", summary="a machine that boots"),
    Profile("vm-release", "boot", debug=False, release="vm-release", summary="as a release"),
    Profile("prod", "snapshot", debug=False, release="prod", summary="a sealed machine"),
    Profile("prod-debug", "snapshot", debug=True, release="prod", summary="one to look into"),
    Profile("dev", "container", debug=False, release="", summary="a container of this host"),
)
SEALED_ARCHS = tuple(arch for arch in Arch if BOARDS[arch].prod_cpu)
PROFILES = {profile.name: profile for profile in _TABLE}
DEFAULT = _TABLE[0].name
RELEASES = tuple(name for name, profile in PROFILES.items() if profile.is_release)
DEBUG_PROFILES = tuple(name for name, profile in PROFILES.items() if profile.debug)
SEALED_PROFILES = tuple(name for name, profile in PROFILES.items() if profile.is_sealed)
# Names until version 0.1; they are taken, with a warning, until version 0.3.
OLD_NAMES = {"stage": "vm", "stage-release": "vm-release"}


def current_name(name: str) -> str:
    """Return the name that a profile which was called NAME has now."""
    return OLD_NAMES.get(name, name)
