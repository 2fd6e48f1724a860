"""The stages of a build, bottom up; each is one function in nix/stages of the same name."""

# Stages that carry rungs of the digest ladder, each built on the ones before.
STAGES = ("image", "rootfs", "squashfs", "kernel")
