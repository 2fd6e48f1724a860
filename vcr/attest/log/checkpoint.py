"""Checkpoints: what a log signs of its tree, as a note.

https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md in
https://github.com/C2SP/C2SP/blob/main/signed-note.md. A note is read whole: a line that is no
signature is refused, and one of another key, such as of a witness, is left alone.
"""

import hashlib
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from vcr.attest import strict_json
from vcr.attest.keys import PublicKey, key_id, verifies

_HINT = 4  # bytes of a key's id before its signature
_ED25519 = b"\x01"  # the type of a signature of Ed25519, which its key's id has
_DASH = "\N{EM DASH} "
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_HASH_SIZE = 32


@dataclass(frozen=True)
class Checkpoint:
    """The tree of a log when it was so big, and the signatures over the text that says so."""

    origin: str  # the log's name; Rekor's version 1 adds its tree's number
    size: int  # leaves
    root: bytes
    text: bytes
    signatures: tuple[tuple[str, bytes], ...]  # name, and hint with signature


def read_checkpoint(note: str) -> Checkpoint:
    """Read the NOTE; raises ValueError when it is not a checkpoint."""
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n") or _CONTROL.search(note):
        raise ValueError("it is not a signed note")
    signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
    origin, size, root, *_ = [*text.split("\n"), "", ""]
    if not origin or not _SIZE.fullmatch(size):
        raise ValueError("it does not say of which log, and of which size, it is")
    digest = strict_json.read_base64(root)
    if len(digest) != _HASH_SIZE:
        raise ValueError("its root is not a SHA-256")
    return Checkpoint(origin, int(size), digest, f"{text}\n".encode(), signatures)


def is_signed(checkpoint: Checkpoint, key: PublicKey) -> bool:
    """Return whether KEY, of the log that is the origin of CHECKPOINT, signed it."""
    for name, data in checkpoint.signatures:
        is_origin = checkpoint.origin == name or checkpoint.origin.startswith(f"{name} - ")
        is_hinted = data[:_HINT] in {ident[:_HINT] for ident in log_ids(key, name)}
        if is_origin and is_hinted and verifies(key, data[_HINT:], checkpoint.text):
            return True
    return False


def log_ids(key: PublicKey, name: str) -> set[bytes]:
    """Return by which ids the log called NAME, whose key is KEY, is known.

    That of the key itself, and of Ed25519 that of signed notes, which has the name.
    """
    found = {bytes.fromhex(key_id(key))}
    if isinstance(key, Ed25519PublicKey):
        told = name.encode() + b"\n" + _ED25519 + key.public_bytes_raw()
        found.add(hashlib.sha256(told).digest())
    return found


def _signature(line: str) -> tuple[str, bytes]:
    name, space, text = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not name or not space:
        raise ValueError("a line of its signatures is none")
    data = strict_json.read_base64(text)
    if len(data) <= _HINT:
        raise ValueError("a signature is too short")
    return name, data
