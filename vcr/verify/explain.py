"""From the first rung that differs to the file, entry or page, and to a known cause."""

import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vcr.errors import UsageError
from vcr.model.ladder import Rung
from vcr.sandbox.merkle import PAGE
from vcr.verify.archives import changes, content
from vcr.verify.causes import UNKNOWN, Cause, cause_of

MEMORY_BEGINS = 0x8000_0000  # of QEMU's riscv `virt` machine
CONTEXT = 48  # bytes of memory that are shown
MAX_FILE = 64 << 20  # bytes that are read to compare by hand


@dataclass(frozen=True)
class Difference:
    """One thing that differs: where, in what way, why, and what helps."""

    where: str
    how: str
    cause: Cause = UNKNOWN
    # both contents, for a tool that compares files
    pair: tuple[bytes, bytes] | None = None


def explain(left: Rung, right: Rung) -> list[Difference]:
    """Return what differs between two rungs of one name, the first thing first.

    Raises UsageError when the files are not at hand.
    """
    for rung in (left, right):
        if not rung.path.exists():
            raise UsageError(
                f"{rung.path} is not on this host",
                why="a difference is found by comparing the files, not the digests",
                fix="bring it, such as with `nix copy`, or build it: `vcr build`",
            )
    return list(_EXPLAINERS.get(left.name, _bytes)(left.path, right.path))


def _image(left: Path, right: Path) -> Iterator[Difference]:
    before, after = (json.loads(path.read_bytes()) for path in (left, right))
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
    configs = (json.loads(_blob(p, m["config"]["digest"]).read_bytes())
               for p, m in ((left, before), (right, after)))  # fmt: skip
    yield from _fields("the image's config", *configs)


def _blob(manifest: Path, digest: str) -> Path:
    return manifest.parent / digest.removeprefix("sha256:")


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


def _machine(left: Path, right: Path) -> Iterator[Difference]:
    """Compare machines: the paths are those of machine.json, beside which the rest lies."""
    yield from _fields(
        "machine.json", json.loads(left.read_bytes()), json.loads(right.read_bytes())
    )
    yield from _memory(left.with_name("ram"), right.with_name("ram"))
    for difference in _bytes(left.with_name("state"), right.with_name("state")):
        yield Difference(f"state of the devices: {difference.where}", difference.how)


def _memory(left: Path, right: Path) -> Iterator[Difference]:
    if left.stat().st_size != right.stat().st_size:
        yield Difference("memory", "it is not of the same size")
        return
    with left.open("rb") as one, right.open("rb") as two:
        before = mmap.mmap(one.fileno(), 0, prot=mmap.PROT_READ)
        after = mmap.mmap(two.fileno(), 0, prot=mmap.PROT_READ)
        for at in range(0, len(before), PAGE):
            old, new = before[at : at + PAGE], after[at : at + PAGE]
            if old != new:
                first = next(i for i in range(PAGE) if old[i] != new[i])
                begin = max(0, first - CONTEXT // 4)
                shown = " ≠ ".join(_printable(page[begin : begin + CONTEXT]) for page in (old, new))
                where = f"memory page {at // PAGE} (address {MEMORY_BEGINS + at + first:#x})"
                yield Difference(where, shown)


def _printable(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in data)


def _fields(where: str, left: dict[str, object], right: dict[str, object]) -> Iterator[Difference]:
    for key in sorted(left.keys() | right.keys()):
        if left.get(key) != right.get(key):
            yield Difference(f"{where}: {key}", f"{left.get(key)} ≠ {right.get(key)}")


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


_EXPLAINERS = {"image": _image, "rootfs": _archive, "machine": _machine, "snapshot": _machine}
