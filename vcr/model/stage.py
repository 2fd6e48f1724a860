"""The stages of a build, bottom up; each is one function in nix/stages of the same name."""

# Stages that carry rungs of the digest ladder, each built on the ones before.
STAGES = ("image", "rootfs", "squashfs", "kernel")
# What a release goes on with: the machine at step 0, when it is healthy, and sealed.
PROD_STAGES = (*STAGES, "machine", "snapshot", "seal")
# Every word that `vcr build` takes. An enclave's image is built only when asked for.
ALL_STAGES = (*PROD_STAGES, "enclave")
ENGINES = ("qemu", "cartesi")
