"""Merkle trees of transparency logs: from a leaf and its audit path to the root.

Hashes as in RFC 6962, 2.1; the path is followed as RFC 9162, 2.1.3.2 says.
"""

import hashlib
from collections.abc import Sequence


def leaf_hash(data: bytes) -> bytes:
    """Return the SHA-256 of the leaf with DATA."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the SHA-256 of the node above LEFT and RIGHT."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root of a tree of SIZE leaves, in which LEAF, a hash, is number INDEX, from 0.

    PATH has the hashes beside the way up. Raises ValueError where it is not as long as the way.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of size {size} has no leaf {index}")
    at, last, root = index, size - 1, leaf
    for beside in path:
        if last == 0:
            raise ValueError("the path is too long")
        if at & 1 or at == last:
            root = node_hash(beside, root)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, beside)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise ValueError("the path is too short")
    return root
