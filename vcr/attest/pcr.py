"""Platform configuration registers of a Nitro enclave, computed without running anything.

https://docs.aws.amazon.com/enclaves/latest/user/set-up-attestation.html: each is
SHA384(48 zero bytes ‖ SHA384(content)). PCR0 is of the kernel, its command line and all
ramdisks; PCR1 of the same with the first ramdisk only; PCR2 of the other ramdisks. There
is no framing between them: a verifier must demand all three.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

BYTES, COUNT = 48, 32  # SHA-384; how many registers there are
SEALED = "sealed"  # as a value: the register that the loader extended with the root hash
ROOT_REGISTER = 16  # the first that an enclave may extend; vcr's loader extends the root hash
CHUNK = 1 << 20
ZERO = bytes(BYTES)


def extend(register: bytes, data: bytes) -> bytes:
    """Return REGISTER extended with DATA, as the Nitro hypervisor does it."""
    return hashlib.sha384(register + data).digest()


def of_root(root: bytes) -> bytes:
    """Return the register that was extended once with the verity ROOT of a drive."""
    return extend(ZERO, root)


def of_image(kernel: Path, command_line: str, ramdisks: Sequence[Path]) -> dict[int, bytes]:
    """Return PCR0, PCR1 and PCR2 of an enclave image; raises OSError."""
    line = command_line.encode()
    return {
        0: _measure([kernel, line, *ramdisks]),
        1: _measure([kernel, line, *ramdisks[:1]]),
        2: _measure(ramdisks[1:]),
    }


def of_certificate(der: bytes) -> bytes:
    """Return PCR8 of an image signed with the certificate DER."""
    return _measure([der])


def parse_register(text: object) -> object:
    """Read the value of a register: hex, or "sealed", which is given as empty bytes.

    What is no text is left as it is; raises ValueError.
    """
    if not isinstance(text, str):
        return text
    found = b"" if text == SEALED else bytes.fromhex(text)
    if text != SEALED and len(found) != BYTES:
        raise ValueError(f"a register is {BYTES} bytes in hex, or {SEALED!r}")
    return found


def parse_index(text: str) -> int:
    """Read the number of a register; raises ValueError."""
    if not text.isascii() or not text.isdigit() or int(text) >= COUNT:
        raise ValueError(f"{text!r} is not a register: 0 to {COUNT - 1}")
    return int(text)


def _measure(parts: Iterable[Path | bytes]) -> bytes:
    content = hashlib.sha384()
    for part in parts:
        if isinstance(part, bytes):
            content.update(part)
            continue
        with part.open("rb") as file:
            while chunk := file.read(CHUNK):
                content.update(chunk)
    return extend(ZERO, content.digest())
