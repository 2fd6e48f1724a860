"""What vcr's derivations are called, what each is to people, and which of them are kept.

The one list that `why` (vcr.build.reason), `vcr prune` (vcr.tools.nix_store) and progress
(vcr.tools.nix_log) go by. The names are those of nix/; tests/unit/test_derivations.py
compares the two. No name fits two kinds, whatever a project is called.
"""

from dataclasses import dataclass

ANY = "*"  # at the end of a pattern: a project, a package, a version or an architecture


@dataclass(frozen=True)
class Kind:
    """One kind of derivation."""

    pattern: str  # its name; one that ends in ANY is the beginning of many
    meaning: str
    # Built for one project. Tools and kernels are not, nor is what was fetched: `vcr prune`
    # keeps them, because getting those again costs more than they take.
    of_project: bool

    @property
    def hashes(self) -> bool:
        """Return whether its builder is vcr's own and says how far the hashing of a file is."""
        return self.pattern in {"vcr-machine-*", "vcr-snapshot-*", "vcr-seal-*"}

    def fits(self, name: str) -> bool:
        """Return whether a derivation called NAME is of this kind."""
        if self.pattern.endswith(ANY):
            return name.startswith(self.pattern.removesuffix(ANY))
        return name == self.pattern


_OF_PROJECTS = {
    "vcr-container-*": "the container",
    "vcr-emulation-*": "the emulated enclave",
    "vcr-enclave-*": "the enclave image",
    "vcr-image-*": "the image's config",
    "vcr-kernel-*": "the kernel",
    "vcr-layer-additions": "what [base] adds",
    "vcr-layer-base": "the base",
    "vcr-layer-copy": "a COPY or ADD",
    "vcr-layer-run": "a RUN",
    "vcr-layer-workdir": "a WORKDIR",
    "vcr-lower": "the layers below",
    "vcr-machine-*": "the machine at step 0",
    "vcr-mounted": "what a RUN mounts",
    "vcr-prod-*": "the sealed machine",
    "vcr-rootfs-*": "the machine's settings",
    "vcr-run-job": "the job of a RUN",
    "vcr-samples-*": "the profile of a boot",
    "vcr-seal-*": "the sealed drive",
    "vcr-snapshot-*": "the snapshot",
    "vcr-squashfs-*": "the root file system",
    "vcr-vm-*": "the machine's settings",
}
_KEPT = {
    "vcr-agent-*": "the machine's agent",
    "vcr-attest-*": "the program that asks for attestations",
    "vcr-build-machine-*": "the build machine",
    "vcr-busybox": "busybox",
    "vcr-cartesi-*": "the Cartesi emulator",
    "vcr-check-*": "a check of vcr itself",
    "vcr-git-tree": "the git repository",
    "vcr-lib": "vcr itself",
    "vcr-linux-*": "the kernel",
    "vcr-linuxkit-*": "linuxkit",
    "vcr-loader-*": "the enclave's loader",
    "vcr-oci-blob": "a part of the base image",
    "vcr-patchelf": "patchelf",
    "vcr-plugin": "QEMU's plugin",
    "vcr-ramdisk-*": "what enclaves run QEMU with",
    "vcr-repository": "vcr itself",
    "vcr-sampler-*": "the sampler",
    "vcr-sandbox": "what builders run",
    "vcr-shell": "the development shell",
    "vcr-step-*": "the build machine",
    "vcr-tools-*": "the toolchain",
    "vcr-vectors": "vcr itself",
}
KINDS = (
    *(Kind(pattern, meaning, of_project=True) for pattern, meaning in _OF_PROJECTS.items()),
    *(Kind(pattern, meaning, of_project=False) for pattern, meaning in _KEPT.items()),
)


def kind_of(name: str) -> Kind | None:
    """Return the kind of the derivation or output called NAME, None when it is not vcr's."""
    return next((kind for kind in KINDS if kind.fits(name)), None)


def meaning_of(name: str) -> str:
    """Return what the derivation called NAME is to people; NAME itself when it is not vcr's."""
    kind = kind_of(name)
    return kind.meaning if kind else name


def described(name: str) -> str:
    """Return what the derivation called NAME is to people, and its name."""
    meaning = meaning_of(name)
    return name if meaning == name else f"{meaning} ({name})"
