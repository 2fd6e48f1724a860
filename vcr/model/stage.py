"""The stages of a build, bottom up; each is one function in nix/stages of the same name."""

from vcr.model.arch import Arch

# Stages that carry rungs of the digest ladder, each built on the ones before.
STAGES = ("image", "rootfs", "squashfs", "kernel")
# What a release goes on with: the machine at step 0, when it is healthy, and sealed.
PROD_STAGES = (*STAGES, "machine", "snapshot", "seal")
# Every word that `vcr build` takes. An enclave's image is built only when asked for.
ALL_STAGES = (*PROD_STAGES, "enclave")
PROFILES = ("stage", "stage-release", "prod", "prod-debug", "dev")
# Whose machines have tools to look inside, and a channel for the host to use them; and the
# same without.
RELEASE_OF = {"stage": "stage-release", "prod-debug": "prod"}
DEBUG_PROFILES = tuple(RELEASE_OF)
SEALED_PROFILES = ("prod", "prod-debug")
ENGINES = ("qemu", "cartesi")


def stages_of(
    profile: str, *, arch: Arch = Arch.RISCV64, enclave: bool = False, vm: bool = False
) -> tuple[str, ...]:
    """Return the stages of PROFILE for ARCH, of prod with its ENCLAVE if wanted.

    Machines are riscv64; for another architecture there is the image and, for dev, a VM if wanted.
    """
    if vm:
        return STAGES
    if profile == "dev" or arch is not Arch.RISCV64:
        return STAGES[:1]
    if enclave:
        return ALL_STAGES
    return PROD_STAGES if profile in SEALED_PROFILES else STAGES


def machine_of(profile: str, *, enclave: bool = False, vm: bool = False) -> str:
    """Return the attribute that describes the machine to start for PROFILE, for dev a VM or not."""
    if enclave:
        return "emulation"
    if profile == "dev" and not vm:
        return "container"
    return "prod" if profile in SEALED_PROFILES else "vm"
