"""The hash of a machine: a Merkle tree over its memory, and its state beside it.

Leaves are pages of 4 KiB. With SHA-256 and the prefixes of RFC 9162, section 2.1.1, so
that a leaf is never taken for a node: leaf = H(0x00 ‖ page), node = H(0x01 ‖ left ‖
right). Memory is a power of two of pages, the rest being zero; so every page has a
proof of the same length.

machine hash = H("vcr machine v1", newline ‖ memory root ‖ H(state) ‖ H(machine.json))
"""

import hashlib
import mmap
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vcr.formats.failure import Failure
from vcr.formats.hashes.progress import Counter

PAGE = 4096
DOMAIN = b"vcr machine v1\n"
CHUNK_LEVEL = 9  # a task hashes a subtree of 2⁹ pages: 2 MiB
_ZERO_PAGE = bytes(PAGE)


def leaf(page: bytes) -> bytes:
    """Return the hash of a PAGE."""
    return hashlib.sha256(b"\x00" + page).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above LEFT and RIGHT."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def zero_roots(levels: int) -> list[bytes]:
    """Return the roots of trees of 2⁰, 2¹, ... 2^LEVELS pages of zeros."""
    roots = [leaf(_ZERO_PAGE)]
    for _ in range(levels):
        roots.append(node(roots[-1], roots[-1]))
    return roots


def memory_root(path: Path) -> bytes:
    """Return the root of the memory in the file at PATH; raises Failure for an odd size."""
    size = path.stat().st_size
    levels = _levels(size)
    zeros = zero_roots(levels)
    chunk = min(CHUNK_LEVEL, levels)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        holes = set(_holes(file.fileno(), size, PAGE << chunk))

        def subtree(number: int) -> bytes:
            if number in holes:
                return zeros[chunk]
            begin = number * (PAGE << chunk)
            return _root(_leaves(memory, begin, 1 << chunk, zeros), zeros)

        count = -(-size // (PAGE << chunk))
        counter, hashes = Counter("the memory", size), []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for root in pool.map(subtree, range(count)):
                hashes.append(root)
                counter.add(PAGE << chunk)
    while chunk < levels:
        hashes = _pairs(hashes, zeros[chunk])
        chunk += 1
    return hashes[0]


def machine_hash(directory: Path) -> str:
    """Return the hash of the machine whose files are in DIRECTORY, as sha256:HEX."""
    parts = [
        hashlib.sha256((directory / name).read_bytes()).digest()
        for name in ("state", "machine.json")
    ]
    whole = hashlib.sha256(DOMAIN + memory_root(directory / "ram") + b"".join(parts))
    return f"sha256:{whole.hexdigest()}"


def proof(path: Path, page: int) -> list[bytes]:
    """Return the siblings from PAGE's leaf up to the root of the memory in the file at PATH."""
    size = path.stat().st_size
    levels = _levels(size)
    zeros = zero_roots(levels)
    if not 0 <= page < size // PAGE:
        raise Failure(f"there is no page {page}")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        hashes = _leaves(memory, 0, size // PAGE, zeros)
    siblings = []
    for level in range(levels):
        other = page ^ 1
        siblings.append(hashes[other] if other < len(hashes) else zeros[level])
        hashes = _pairs(hashes, zeros[level])
        page >>= 1
    return siblings


def proven_root(page: bytes, number: int, siblings: Sequence[bytes]) -> bytes:
    """Return the memory root that SIBLINGS prove for PAGE, which is the NUMBERth."""
    found = leaf(page)
    for sibling in siblings:
        found = node(sibling, found) if number & 1 else node(found, sibling)
        number >>= 1
    return found


def _levels(size: int) -> int:
    if size <= 0 or size % PAGE:
        raise Failure(f"memory of {size} bytes is not a number of pages")
    return (size // PAGE - 1).bit_length()


def _leaves(memory: mmap.mmap, begin: int, count: int, zeros: list[bytes]) -> list[bytes]:
    """Hash up to COUNT pages from BEGIN; a page of zeros is known."""
    end = min(begin + count * PAGE, len(memory))
    pages = (memory[at : at + PAGE] for at in range(begin, end, PAGE))
    return [zeros[0] if page == _ZERO_PAGE else leaf(page) for page in pages]


def _root(hashes: list[bytes], zeros: list[bytes]) -> bytes:
    """Return the root of a subtree of 2^CHUNK_LEVEL pages (or the whole, if it is smaller)."""
    levels = min(CHUNK_LEVEL, len(zeros) - 1)
    for level in range(levels):
        hashes = _pairs(hashes, zeros[level])
    return hashes[0]


def _pairs(hashes: list[bytes], missing: bytes) -> list[bytes]:
    if len(hashes) % 2:
        hashes = [*hashes, missing]
    return [node(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]


def _holes(fd: int, size: int, chunk: int) -> Iterator[int]:
    """Yield the numbers of chunks that are wholly in holes of the file: lseek(2), SEEK_DATA."""
    at = 0
    while at < size:
        try:
            data = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            data = size
        first, last = -(-at // chunk), data // chunk if data < size else -(-size // chunk)
        yield from range(first, last)
        if data >= size:
            return
        at = os.lseek(fd, data, os.SEEK_HOLE)
