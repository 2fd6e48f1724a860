"""From the first rung that differs to the file, entry or page, and to a known cause."""

import mmap
import struct
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.errors import UsageError
from vcr.foreign import MAX_LADDER, load_json, read_bytes
from vcr.model.digest import Digest
from vcr.model.ladder import Rung
from vcr.sandbox.failure import Failure
from vcr.sandbox.migration import Section, device_sections
from vcr.verify.archives import changes, content
from vcr.verify.causes import UNKNOWN, Cause, cause_of, cause_of_memory
from vcr.verify.memory import MEMORY_BEGINS, PAGE, Layout, layout

CONTEXT = 48  # bytes of memory that are shown
MACHINES = ("machine", "snapshot")
CHUNK = 1 << 20  # bytes that are compared at once
MAX_FILE = 64 << 20  # bytes that are read to compare by hand
MALFORMED = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError,
    OSError, struct.error, tarfile.TarError, Failure,
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """One thing that differs: where, in what way, why, and what helps."""

    where: str
    how: str
    cause: Cause = UNKNOWN
    # both contents, for a tool that compares files
    pair: tuple[bytes, bytes] | None = None


def explain(left: Rung, right: Rung, *, ladder: tuple[Rung, ...] = ()) -> list[Difference]:
    """Return what differs between two rungs of one name, the first thing first.

    LADDER is that of LEFT; of a machine, its kernel gives the symbols. Raises UsageError when
    the files are not at hand.
    """
    for rung in (left, right):
        if not rung.path.exists():
            raise UsageError(
                f"{rung.path} is not on this host",
                why="a difference is found by comparing the files, not the digests",
                fix="bring it, such as with `nix copy`, or build it: `vcr build`",
            )
    try:
        if left.name in MACHINES:
            kernel = next((rung.path for rung in ladder if rung.name == "kernel"), None)
            return list(_machine(left.path, right.path, kernel))
        return list(_EXPLAINERS.get(left.name, _bytes)(left.path, right.path))
    except MALFORMED:  # it need not be what its name says: it is somebody else's
        return list(_bytes(left.path, right.path))


def _object(path: Path) -> dict[str, Any]:
    return dict(load_json(read_bytes(path, MAX_LADDER)))


def _image(left: Path, right: Path) -> Iterator[Difference]:
    before, after = (_object(path) for path in (left, right))
    pairs = zip(before["layers"], after["layers"], strict=False)
    for number, (old, new) in enumerate(pairs, 1):
        if old["digest"] != new["digest"]:
            archives = (_blob(left, old["digest"]), _blob(right, new["digest"]))
            for difference in _archive(*archives):
                yield Difference(f"layer {number}: {difference.where}", difference.how,
                                 difference.cause, difference.pair)  # fmt: skip
            return
    if len(before["layers"]) != len(after["layers"]):
        yield Difference("the layers", f"{len(before['layers'])} ≠ {len(after['layers'])}")
    configs = (
        _object(_blob(p, m["config"]["digest"])) for p, m in ((left, before), (right, after))
    )
    yield from _fields("the image's config", *configs)


def _blob(manifest: Path, digest: str) -> Path:
    return manifest.parent / Digest(digest).hex


def _archive(left: Path, right: Path) -> Iterator[Difference]:
    is_first = True
    for change in changes(left, right):
        pair = None
        if is_first and "content" in change.fields:
            # Only one is ever shown, and each takes a walk through both archives.
            pair = (content(left, change.path), content(right, change.path))
            is_first = False
        cause = cause_of(change.path, change.fields)
        yield Difference(f"/{change.path}", change.words(), cause, pair)


def _machine(left: Path, right: Path, kernel: Path | None) -> Iterator[Difference]:
    """Compare machines: the paths are those of machine.json, beside which the rest lies."""
    made = [_object(path) for path in (left, right)]
    yield from _fields("machine.json", *made)
    rams, states = ([p.with_name(name) for p in (left, right)] for name in ("ram", "state"))
    if not all(path.exists() for path in (*rams, *states)):
        return  # another engine's, which has no such files
    has_run = any(each.get("instructions", 0) for each in made)
    pages = list(_memory(*rams, places=layout(rams[0], kernel), has_run=has_run))
    # Pages may be many thousands, so what their sum is and the devices come first.
    yield from pages[:1]
    yield from _devices(*states)
    yield from pages[1:]


def _memory(left: Path, right: Path, *, places: Layout, has_run: bool) -> Iterator[Difference]:
    """Yield how many pages differ, if any, and each of them."""
    if left.stat().st_size != right.stat().st_size:
        yield Difference("memory", "it is not of the same size")
        return
    with left.open("rb") as one, right.open("rb") as two:
        before = mmap.mmap(one.fileno(), 0, prot=mmap.PROT_READ)
        after = mmap.mmap(two.fileno(), 0, prot=mmap.PROT_READ)
        pages = list(_pages(before, after))
        regions = Counter(places.region(MEMORY_BEGINS + at) for at in pages)
        if pages:
            count = ", ".join(f"{number} of {name}" for name, number in regions.most_common())
            how = f"{len(pages)} pages of {len(before) // PAGE} differ: {count}"
            yield Difference("memory", how, cause_of_memory(regions, has_run=has_run))
        for at in pages:
            old, new = before[at : at + PAGE], after[at : at + PAGE]
            first = next(i for i in range(len(old)) if old[i] != new[i])
            begin = max(0, first - CONTEXT // 4)
            shown = " ≠ ".join(_printable(page[begin : begin + CONTEXT]) for page in (old, new))
            address = MEMORY_BEGINS + at + first
            where = f"memory page {at // PAGE} (address {address:#x}, {places.words(address)})"
            cause = cause_of_memory([places.region(address)], has_run=has_run)
            yield Difference(where, shown, cause)


def _pages(before: mmap.mmap, after: mmap.mmap) -> Iterator[int]:
    """Yield the offsets of pages that differ."""
    for begin in range(0, len(before), CHUNK):
        if before[begin : begin + CHUNK] == after[begin : begin + CHUNK]:
            continue
        for at in range(begin, min(begin + CHUNK, len(before)), PAGE):
            if before[at : at + PAGE] != after[at : at + PAGE]:
                yield at


def _devices(left: Path, right: Path) -> Iterator[Difference]:
    """Compare the states of the devices, one by one."""
    old, new = left.read_bytes(), right.read_bytes()
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
        for difference in _bytes(left, right):
            yield Difference(f"state of the devices: {difference.where}", difference.how)


def _section(old: Section | None, new: Section | None) -> str:
    if old is None or new is None:
        return f"only in the {'second' if old is None else 'first'}"
    if len(old.content) != len(new.content):
        return f"{len(old.content)} and {len(new.content)} bytes"
    differ = [i for i, (a, b) in enumerate(zip(old.content, new.content, strict=True)) if a != b]
    at = differ[0]
    shown = " ≠ ".join(data.content[at : at + 8].hex() for data in (old, new))
    return f"{len(differ)} bytes, the first is {at}: {shown}"


def _printable(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in data)


def _fields(where: str, left: dict[str, object], right: dict[str, object]) -> Iterator[Difference]:
    for key in sorted(left.keys() | right.keys()):
        old, new = left.get(key), right.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _fields(f"{where}: {key}", old, new)
        elif old != new:
            yield Difference(f"{where}: {key}", f"{old} ≠ {new}")


def _bytes(left: Path, right: Path) -> Iterator[Difference]:
    if left.stat().st_size > MAX_FILE or right.stat().st_size > MAX_FILE:
        yield Difference(left.name, f"{left.stat().st_size} and {right.stat().st_size} bytes")
        return
    old, new = left.read_bytes(), right.read_bytes()
    if old != new:
        at = next(
            (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
            min(len(old), len(new)),
        )
        yield Difference(f"byte {at}", f"{len(old)} and {len(new)} bytes", pair=(old, new))


_EXPLAINERS = {"image": _image, "rootfs": _archive}
