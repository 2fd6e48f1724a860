"""Names of store paths that are made of what is inside: computed again, to check the content.

The Nix manual, "Complete Store Path Calculation": a name begins with 160 bits, the folded
SHA-256 of a type, the hash of the content, the store's directory and the rest of the name.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

STORE = Path("/nix/store")
DIGITS = "0123456789abcdfghijklmnpqrsvwxyz"  # Nix's base 32
HASH_BYTES = 20
HASH_DIGITS = 32  # and a dash, before the rest of the name


def source_path(nar_sha256: str, name: str) -> Path:
    """Return where a tree or file that refers to nothing is added to the store.

    NAR_SHA256 is the hash of its NAR in hex, NAME the rest of the path's name.
    """
    return _path("source", nar_sha256, name)


def flat_path(sha256: str, name: str) -> Path:
    """Return where a file with the hash SHA256, in hex, is added to the store as NAME."""
    inner = hashlib.sha256(f"fixed:out:sha256:{sha256}:".encode()).hexdigest()
    return _path("output:out", inner, name)


def text_path(content: bytes, references: Iterable[Path], name: str) -> Path:
    """Return where text such as a derivation with CONTENT is added to the store."""
    kind = ":".join(["text", *sorted(map(str, references))])
    return _path(kind, hashlib.sha256(content).hexdigest(), name)


def name_of(path: Path) -> str:
    """Return the name of the store PATH without the hash."""
    return path.name[HASH_DIGITS + 1 :]


def _path(kind: str, sha256: str, name: str) -> Path:
    text = f"{kind}:sha256:{sha256}:{STORE}:{name}"
    digest = hashlib.sha256(text.encode()).digest()
    folded = bytearray(HASH_BYTES)
    for at, byte in enumerate(digest):
        folded[at % HASH_BYTES] ^= byte
    return STORE / f"{_base32(bytes(folded))}-{name}"


def _base32(data: bytes) -> str:
    number = int.from_bytes(data, "little")
    return "".join(DIGITS[number >> 5 * at & 31] for at in reversed(range(HASH_DIGITS)))
