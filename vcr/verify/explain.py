"""From the first rung that differs to the file, entry or page, and to a known cause.

The files are what two ladders name, of which one may be a stranger's: vcr.verify.material.
"""

import mmap
import os
import struct
import tarfile
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Any

from vcr.foreign import MAX_LADDER, load_json
from vcr.formats.failure import Failure
from vcr.formats.migration import Section, device_sections
from vcr.model.digest import Digest
from vcr.model.ladder import Rung
from vcr.verify.archives import changes, content
from vcr.verify.causes import UNKNOWN, Cause, cause_of, cause_of_memory
from vcr.verify.kernel_log import mapped
from vcr.verify.material import Material
from vcr.verify.memory import MEMORY_BEGINS, PAGE, Layout, layout, stored
from vcr.words import counted

CONTEXT = 48  # bytes of memory that are shown
MACHINES = ("machine", "snapshot")
CHUNK = 1 << 20  # bytes that are compared at once
MAX_FILE = 64 << 20  # bytes that are read to compare by hand
MAX_PAGES = 10_000  # that are told one by one; all are counted
# What a file can do that is not what its name says.
_BROKEN = (
    OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError,
    EOFError, struct.error, tarfile.TarError, Failure,
)  # fmt: skip

type Both = tuple[Path, Path]
type Materials = tuple[Material, Material]


@dataclass(frozen=True)
class Difference:
    """One thing that differs: where, in what way, why, and what helps."""

    where: str
    how: str
    cause: Cause = UNKNOWN
    # both contents, for a tool that compares files
    pair: tuple[bytes, bytes] | None = None


def explain(
    left: Rung, right: Rung, *, within: Materials, ladder: tuple[Rung, ...] = ()
) -> list[Difference]:
    """Return what differs between two rungs of one name, the first thing first.

    WITHIN is what their ladders may name. LADDER is that of LEFT; of a machine, its kernel
    gives the symbols. Raises UsageError when the files are not at hand, or none to read.
    """
    paths = (within[0].file(left.path), within[1].file(right.path))
    try:
        if left.name in MACHINES:
            kernel = next((rung.path for rung in ladder if rung.name == "kernel"), None)
            return list(_machine(paths, within, kernel))
        return list(_EXPLAINERS.get(left.name, _bytes)(paths, within))
    except _BROKEN:  # it need not be what its name says: it is somebody else's
        return list(_bytes(paths, within))


def _image(paths: Both, within: Materials) -> Iterator[Difference]:
    before, after = _objects(paths, within)
    pairs = zip(before["layers"], after["layers"], strict=False)
    for number, (old, new) in enumerate(pairs, 1):
        if old["digest"] != new["digest"]:
            blobs = _blobs(paths, within, (old["digest"], new["digest"]))
            for difference in _archive(blobs, within):
                yield Difference(f"layer {number}: {difference.where}", difference.how,
                                 difference.cause, difference.pair)  # fmt: skip
            return
    if len(before["layers"]) != len(after["layers"]):
        yield Difference("the layers", f"{len(before['layers'])} ≠ {len(after['layers'])}")
    configs = _blobs(paths, within, (before["config"]["digest"], after["config"]["digest"]))
    yield from _fields("the image's config", *_objects(configs, within))


def _objects(paths: Both, within: Materials) -> list[dict[str, Any]]:
    """Read two files of JSON; raises UsageError, ValueError, TypeError."""
    return [
        dict(load_json(material.read(path, MAX_LADDER)))
        for path, material in zip(paths, within, strict=True)
    ]


def _blobs(manifests: Both, within: Materials, digests: tuple[str, str]) -> Both:
    """Return the files beside MANIFESTS that have DIGESTS; raises UsageError, ValueError."""
    first, second = (
        material.file(manifest.parent / Digest(digest).hex)
        for manifest, material, digest in zip(manifests, within, digests, strict=True)
    )
    return first, second


def _archive(paths: Both, _: Materials) -> Iterator[Difference]:
    left, right = paths
    is_first = True
    for change in changes(left, right):
        pair = None
        if is_first and "content" in change.fields:
            # Only one is ever shown, and each takes a walk through both archives.
            pair = (content(left, change.path), content(right, change.path))
            is_first = False
        cause = cause_of(change.path, change.fields)
        yield Difference(f"/{change.path}", change.words(), cause, pair)


def _machine(paths: Both, within: Materials, kernel: Path | None) -> Iterator[Difference]:
    """Compare machines: the paths are those of machine.json, beside which the rest lies."""
    made = _objects(paths, within)
    yield from _fields("machine.json", *made)
    beside = [[path.with_name(name) for path in paths] for name in ("ram", "state")]
    if not all(os.path.lexists(path) for pair in beside for path in pair):
        return  # another engine's, which has no such files
    rams = (within[0].file(beside[0][0], holes=True), within[1].file(beside[0][1], holes=True))
    states = (within[0].file(beside[1][0]), within[1].file(beside[1][1]))
    if kernel is not None:
        symbols = kernel.with_name("System.map")
        kernel = kernel if within[0].places.lead(str(symbols), "the ladder") else None
    has_run = any(each.get("instructions", 0) for each in made)
    pages = list(_memory(rams, places=layout(rams[0], kernel), has_run=has_run))
    # Pages may be many thousands, so what their sum is and the devices come first.
    yield from pages[:1]
    yield from _devices(states, within)
    yield from pages[1:]


def _memory(rams: Both, *, places: Layout, has_run: bool) -> Iterator[Difference]:
    """Yield how many pages differ, if any, and each of them."""
    if rams[0].stat().st_size != rams[1].stat().st_size:
        yield Difference("memory", "it is not of the same size")
        return
    with mapped(rams[0]) as before, mapped(rams[1]) as after:
        pages = array("Q", _pages(before, after, _stored(rams)))
        regions = Counter(places.region(MEMORY_BEGINS + at) for at in pages)
        if pages:
            count = ", ".join(f"{number} of {name}" for name, number in regions.most_common())
            verb = "differs" if len(pages) == 1 else "differ"
            how = f"{counted(len(pages), 'page')} of {len(before) // PAGE} {verb}: {count}"
            yield Difference("memory", how, cause_of_memory(regions, has_run=has_run))
        for at in pages[:MAX_PAGES]:
            old, new = before[at : at + PAGE], after[at : at + PAGE]
            first = next(i for i in range(len(old)) if old[i] != new[i])
            begin = max(0, first - CONTEXT // 4)
            shown = " ≠ ".join(_printable(page[begin : begin + CONTEXT]) for page in (old, new))
            address = MEMORY_BEGINS + at + first
            where = f"memory page {at // PAGE} (address {address:#x}, {places.words(address)})"
            cause = cause_of_memory([places.region(address)], has_run=has_run)
            yield Difference(where, shown, cause)


def _stored(paths: Both) -> Iterator[int]:
    """Yield where, at multiples of CHUNK, one of the files has bytes; elsewhere are holes."""
    last = -1
    for begin in merge(*(stored(path, CHUNK) for path in paths)):
        if begin != last:
            yield begin
        last = begin


def _pages(before: mmap.mmap, after: mmap.mmap, chunks: Iterator[int]) -> Iterator[int]:
    """Yield the offsets of pages that differ, of those in CHUNKS."""
    for begin in chunks:
        if before[begin : begin + CHUNK] == after[begin : begin + CHUNK]:
            continue
        for at in range(begin, min(begin + CHUNK, len(before)), PAGE):
            if before[at : at + PAGE] != after[at : at + PAGE]:
                yield at


def _devices(paths: Both, within: Materials) -> Iterator[Difference]:
    """Compare the states of the devices, one by one."""
    old, new = (m.read(path, MAX_FILE) for path, m in zip(paths, within, strict=True))
    if old == new:
        return
    try:
        pair = [{(s.name, s.instance): s for s in device_sections(data)} for data in (old, new)]
    except Failure:  # of a version of QEMU whose state has another form
        pair = [{}, {}]
    known = dict.fromkeys((*pair[0], *pair[1]))
    found = [key for key in known if pair[0].get(key) != pair[1].get(key)]
    for name, instance in found:
        sections = [each.get((name, instance)) for each in pair]
        yield Difference(f"device {name} {instance}", _section(*sections))
    if not found:
        for difference in _bytes(paths, within):
            yield Difference(f"state of the devices: {difference.where}", difference.how)


def _section(old: Section | None, new: Section | None) -> str:
    if old is None or new is None:
        return f"only in the {'second' if old is None else 'first'}"
    if len(old.content) != len(new.content):
        return f"{len(old.content)} and {counted(len(new.content), 'byte')}"
    differ = [i for i, (a, b) in enumerate(zip(old.content, new.content, strict=True)) if a != b]
    at = differ[0]
    shown = " ≠ ".join(data.content[at : at + 8].hex() for data in (old, new))
    return f"{counted(len(differ), 'byte')}, the first is {at}: {shown}"


def _printable(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in data)


def _fields(where: str, left: dict[str, object], right: dict[str, object]) -> Iterator[Difference]:
    for key in sorted(left.keys() | right.keys()):
        old, new = left.get(key), right.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _fields(f"{where}: {key}", old, new)
        elif old != new:
            yield Difference(f"{where}: {key}", f"{old} ≠ {new}")


def _bytes(paths: Both, within: Materials) -> Iterator[Difference]:
    left, right = (path.stat().st_size for path in paths)
    if left > MAX_FILE or right > MAX_FILE:
        yield Difference(paths[0].name, f"{left} and {counted(right, 'byte')}")
        return
    old, new = (m.read(path, MAX_FILE) for path, m in zip(paths, within, strict=True))
    if old != new:
        at = next(
            (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
            min(len(old), len(new)),
        )
        yield Difference(
            f"byte {at}", f"{len(old)} and {counted(len(new), 'byte')}", pair=(old, new)
        )


_EXPLAINERS = {"image": _image, "rootfs": _archive}
