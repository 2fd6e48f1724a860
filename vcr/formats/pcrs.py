"""Platform configuration registers (PCRs) of a Nitro enclave, computed without running it.

https://docs.aws.amazon.com/enclaves/latest/user/set-up-attestation.html says what each is
of; how content becomes a value is eif_hasher.rs of
https://github.com/aws/aws-nitro-enclaves-image-format: a PCR begins as 48 zero bytes and
is extended once with the SHA-384 of the content.
"""

import hashlib
from collections.abc import Sequence

SIZE = 48  # bytes of a SHA-384 digest
ZERO = bytes(SIZE)
# Ours to extend from inside the enclave; 0 to 15 are locked when it starts.
ROOT_PCR = 16


def extend(value: bytes, data: bytes) -> bytes:
    """Return what a PCR of VALUE is after an extension with DATA."""
    return hashlib.sha384(value + data).digest()


def measure(kernel: bytes, cmdline: bytes, ramdisks: Sequence[bytes]) -> dict[int, bytes]:
    """Return PCR0 (everything), PCR1 (kernel and first ramdisk) and PCR2 (the other ramdisks).

    Nothing separates the parts: check all three, and the command line, together.
    """
    return {
        0: _of(kernel, cmdline, *ramdisks),
        1: _of(kernel, cmdline, *ramdisks[:1]),
        2: _of(*ramdisks[1:]),
    }


def of_root(root: bytes) -> bytes:
    """Return PCR16 of an enclave that has opened a drive with the verity ROOT hash."""
    return extend(ZERO, root)


def _of(*parts: bytes) -> bytes:
    content = hashlib.sha384()
    for part in parts:
        content.update(part)
    return extend(ZERO, content.digest())
