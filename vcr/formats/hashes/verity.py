"""dm-verity, format 1, computed independently of veritysetup.

https://docs.kernel.org/admin-guide/device-mapper/verity.html; the superblock is that of
cryptsetup, lib/verity/verity.c. SHA-256, blocks of 4096 bytes. The tree follows the data
in the same file: superblock in a block of its own, then the levels, top first. A digest
is H(salt ‖ block); a level is padded to whole blocks.
"""

import hashlib
import mmap
import re
import struct
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vcr.formats.failure import Failure
from vcr.formats.hashes.progress import Counter

BLOCK = 4096
PART = 1024 * BLOCK  # after which it is said how far the hashing is
ALGORITHM = "sha256"
SIGNATURE = b"verity\x00\x00"
VERSION = 1
_SUPERBLOCK = struct.Struct("<8sII16s32sIIQH6x256s")
MISMATCH = "mismatch"
_DIGITS = re.compile(r"[0-9a-f]{64}")  # SHA-256, which the salt is, too
MAX_BYTES = (1 << 63) - 1  # of a file: off_t


@dataclass(frozen=True)
class Verity:
    """What a drive is checked by. None of it is taken from the drive itself."""

    root_hash: str
    salt: str
    uuid: str
    data_blocks: int
    hash_offset: int  # bytes: where the superblock is
    algorithm: str = ALGORITHM
    data_block_size: int = BLOCK
    hash_block_size: int = BLOCK

    @classmethod
    def of(cls, data: dict[str, Any]) -> "Verity":
        """Read it from verity.json; raises Failure for parameters that are not supported.

        KeyError when one is not there.
        """
        fields = {key: data[key] for key in cls.__dataclass_fields__}
        found = cls(**fields)
        supported = (found.algorithm, found.data_block_size, found.hash_block_size)
        if supported != (ALGORITHM, BLOCK, BLOCK) or not found.is_well_formed:
            raise Failure("the verity parameters are not supported")
        if found.uuid != _uuid8(bytes.fromhex(found.salt)):
            raise _differs("its UUID is not made of its salt")
        return found

    @property
    def is_well_formed(self) -> bool:
        """Return whether every value is of its kind: JSON promises none."""
        texts = (self.root_hash, self.salt, self.uuid)
        if not all(isinstance(text, str) for text in texts):
            return False
        numbers = (self.data_blocks, self.hash_offset)
        if not all(type(number) is int and 0 < number <= MAX_BYTES for number in numbers):
            return False
        return all(_DIGITS.fullmatch(text) for text in (self.root_hash, self.salt))

    def as_json(self) -> dict[str, Any]:
        """Return it as verity.json has it."""
        return asdict(self)


def parameters(drive: Path, machine_hash: str) -> Verity:
    """Return what the DRIVE's data hashes to; salt and UUID come from MACHINE_HASH (sha256:HEX).

    Raises Failure unless the data is a number of blocks.
    """
    salt = machine_hash.removeprefix("sha256:")
    size = drive.stat().st_size
    if size == 0 or size % BLOCK:
        raise Failure(f"a drive of {size} bytes is not a number of blocks")
    root, _ = _tree(drive, size // BLOCK, bytes.fromhex(salt))
    return Verity(root.hex(), salt, _uuid8(bytes.fromhex(salt)), size // BLOCK, size)


def check(drive: Path, verity: Verity) -> None:
    """Read all of DRIVE; raises Failure (code mismatch) unless every byte of it is VERITY's."""
    salt = bytes.fromhex(verity.salt)
    if verity.hash_offset != verity.data_blocks * BLOCK:
        raise _differs("its parameters do not fit together")
    if drive.stat().st_size < verity.hash_offset:
        raise _differs(f"it ends after {drive.stat().st_size} bytes")
    root, levels = _tree(drive, verity.data_blocks, salt)
    tail = _superblock(verity).ljust(BLOCK, b"\x00") + b"".join(reversed(levels))
    with drive.open("rb") as file:
        file.seek(verity.hash_offset)
        stored = file.read(len(tail) + 1)
    if root.hex() != verity.root_hash:
        changed = _first_block(stored, tail, levels)
        raise _differs(f"its root hash is {root.hex()}, not {verity.root_hash}{changed}")
    if stored != tail:
        at = next(
            (i for i, (a, b) in enumerate(zip(stored, tail, strict=False)) if a != b), len(tail)
        )
        raise _differs(f"its hash tree differs at byte {verity.hash_offset + at}")


def _first_block(stored: bytes, tail: bytes, levels: list[bytes]) -> str:
    """Say which block of data the stored tree does not agree with."""
    if not levels:
        return ""
    old = stored[len(tail) - len(levels[0]) :]
    size = hashlib.sha256().digest_size
    for at in range(0, len(levels[0]), size):
        if old[at : at + size] != levels[0][at : at + size]:
            return f"; block {at // size} (byte {at // size * BLOCK}) was changed"
    return ""


def _differs(why: str) -> Failure:
    return Failure(
        "the drive is not the one that was sealed", why=why, fix="get it again", code=MISMATCH
    )


def _tree(drive: Path, blocks: int, salt: bytes) -> tuple[bytes, list[bytes]]:
    """Return the root and the levels, the one above the data first."""
    size = blocks * BLOCK
    salted = hashlib.sha256(salt)
    with drive.open("rb") as file, mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as data:
        if blocks == 1:
            return _digest(salted, data[:size]), []
        levels = [_level(salted, data, Counter("the drive", size))]
    while len(levels[-1]) > BLOCK:
        levels.append(_level(salted, levels[-1]))
    return _digest(salted, levels[-1]), levels


def _level(salted: Any, blocks: "mmap.mmap | bytes", counter: Counter | None = None) -> bytes:
    hashes = bytearray()
    for begin in range(0, len(blocks), PART):
        for at in range(begin, min(begin + PART, len(blocks)), BLOCK):
            hashes += _digest(salted, blocks[at : at + BLOCK])
        if counter is not None:
            counter.add(PART)
    return bytes(hashes) + bytes(-len(hashes) % BLOCK)


def _digest(salted: Any, block: bytes) -> bytes:
    digest = salted.copy()
    digest.update(block)
    return bytes(digest.digest())


def _superblock(verity: Verity) -> bytes:
    salt = bytes.fromhex(verity.salt)
    return _SUPERBLOCK.pack(
        SIGNATURE, VERSION, 1, uuid.UUID(verity.uuid).bytes, ALGORITHM.encode(), BLOCK, BLOCK,
        verity.data_blocks, len(salt), salt,
    ).ljust(512, b"\x00")  # fmt: skip


def _uuid8(seed: bytes) -> str:
    """Return a UUID made of SEED: RFC 9562, section 5.8, for what one makes by one's own rule."""
    made = bytearray(seed[:16])
    made[6] = made[6] & 0x0F | 0x80
    made[8] = made[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(made)))
