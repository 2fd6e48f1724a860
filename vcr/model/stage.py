"""The stages of a build, bottom up; each is one function in nix/stages of the same name."""

import enum

# Stages that carry rungs of the digest ladder, each built on the ones before.
STAGES = ("image", "rootfs", "squashfs", "kernel")
# What a release goes on with: the machine at step 0, when it is healthy, and sealed.
PROD_STAGES = (*STAGES, "machine", "snapshot", "seal")
# Every word that `vcr build` takes. An enclave's image is built only when asked for.
ALL_STAGES = (*PROD_STAGES, "enclave")
ENGINES = ("qemu", "cartesi")


@enum.unique
class Rebuilt(enum.StrEnum):
    """How much was built again: the words of the field `rebuilt`, but statements lack NOTHING."""

    NOTHING = "nothing"  # what the store and its caches have was taken as it is
    PROJECT = "project"  # layers, roots and machines; of the rest, what others have built
    TOOLCHAIN = "toolchain"  # everything that is not pinned by hash
