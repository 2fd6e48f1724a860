"""Readers of machines that were stopped: QEMU's state, memory, the kernel's log, profiles."""

import io
import json
import struct
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fuzz.target import Target
from vcr.formats import migration
from vcr.formats.hashes import merkle
from vcr.formats.migration import MAGIC, PAGE, canonical, device_sections
from vcr.perf import boot, profile, symbols
from vcr.perf.guest import _report
from vcr.perf.profile import rows
from vcr.perf.symbols import KernelSymbols
from vcr.report import flame_svg as flame
from vcr.report.flame_svg import draw
from vcr.sandbox import build_machine, run
from vcr.sandbox.build_machine import read_result
from vcr.sandbox.normalize import RULES, normalize
from vcr.sandbox.qemu import layer_port
from vcr.sandbox.qemu.layer_port import layer_nodes
from vcr.sandbox.run import check
from vcr.sandbox.sampled import SAMPLES, SYMBOLS
from vcr.verify import kernel_log, memory
from vcr.verify.memory import STEP, layout

NEVER = (1 << 64) - 1


def read_state(data: bytes, _directory: Path) -> None:
    """Bring a state into its canonical form, which is then as it was, and list its devices."""
    try:
        made = canonical(data)
        assert canonical(made.stream) == made, "the canonical form changes"
    finally:
        list(device_sections(data))


def _named(name: bytes) -> bytes:
    return bytes([len(name)]) + name


def _states() -> Iterator[bytes]:
    """Make states by the form of QEMU 10.0."""
    head = (
        MAGIC
        + b"\x07"
        + struct.pack(">I", 4)
        + b"virt"
        + b"\x05"
        + _named(b"configuration/capabilities")
    )
    head += struct.pack(">II", 1, 1) + _named(b"x-ignore-shared")
    end = struct.pack(">Q", 0x10) + b"\x7e" + struct.pack(">I", 2)
    sizes = struct.pack(">Q", 4 * PAGE | 4) + _named(b"rom") + struct.pack(">QQ", 4 * PAGE, 0)
    start = b"\x01" + struct.pack(">I", 2) + _named(b"ram") + struct.pack(">II", 0, 4) + sizes + end
    page = (
        struct.pack(">Q", 8)
        + _named(b"rom")
        + b"1" * PAGE
        + struct.pack(">Q", PAGE | 2 | 0x20)
        + b"\0"
    )
    pages = b"\x03" + struct.pack(">I", 2) + page + end
    over = b"\x08" + struct.pack(">HH", 11, 0)
    devices = b"".join(
        (
            b"\x04" + struct.pack(">I", 1) + _named(b"timer") + struct.pack(">II", 0, 2),
            struct.pack(">qqq", 7, 0, 7),
            _named(b"timer/icount") + struct.pack(">Iqq", 1, 1000, 500),
            b"\x7e" + struct.pack(">I", 1),
            b"\x04"
            + struct.pack(">I", 3)
            + _named(b"cpu/timer")
            + struct.pack(">IQQ", 1, 2000, NEVER),
            b"\x7e" + struct.pack(">I", 3),
            b"\x04" + struct.pack(">I", 4) + _named(b"globalstate") + struct.pack(">III", 0, 1, 7),
            b"paused\0".ljust(100, b"\0"),
            b"\x7e" + struct.pack(">I", 4) + b"\0",
        )
    )
    yield head + start + pages + over + devices
    yield head + start + pages + devices


# Memory as one input: 32 bits of address, 16 of length, what lies there; the rest is zeros.
SIZE = 4 * STEP


def _memory(data: bytes, directory: Path) -> Path:
    path, at = directory / "ram", 0
    with path.open("wb") as file:
        file.truncate(SIZE)
        while at + 6 <= len(data):
            address, length = struct.unpack_from("<IH", data, at)
            file.seek(address % SIZE)
            file.write(data[at + 6 : at + 6 + length][: SIZE - address % SIZE])
            at += 6 + length
    return path


def read_memory(data: bytes, directory: Path) -> None:
    """Say what lies where, and read the kernel's log and clock."""
    path = _memory(data, directory)
    try:
        layout(path)
    finally:
        kernel_log.read_log(path)


def _piece(at: int, data: bytes) -> bytes:
    return struct.pack("<IH", at, len(data)) + data


def _memories() -> Iterator[bytes]:
    kernel, link, mib = STEP, kernel_log.LINKED_AT, 1 << 20
    header = bytearray(1024)
    struct.pack_into("<Q", header, 16, 3 * mib)
    header[56:60] = memory.IMAGE_MAGIC
    struct.pack_into("<I", header, memory.PE_AT, 64)
    header[64:68] = memory.PE_MAGIC
    struct.pack_into("<H", header, 64 + 6, 2)
    struct.pack_into("<H", header, 64 + 20, 160)
    for number, (name, virtual, start) in enumerate(
        ((b".text", mib, 4096), (b".data", mib, mib + 4096))
    ):
        struct.pack_into(
            "<8sIIII", header, 64 + 24 + 160 + 40 * number, name, virtual, start, virtual, start
        )
    ring, infos, descriptors, text, clock = (mib + n * 0x10000 for n in range(5))
    line = b"Linux version 6.12"
    yield b"".join(
        (
            _piece(kernel, bytes(header)),
            _piece(
                kernel + ring,
                struct.pack(
                    "<8Q", 8, link + descriptors, link + infos, 3 << 62, 3 << 62, 4, 13, link + text
                ),
            ),
            _piece(kernel + infos, struct.pack("<QQHBBI", 0, 25, len(line), 0, 6 << 5, 0)),
            _piece(kernel + descriptors, struct.pack("<QQQ", 0, 0, 32)),
            _piece(kernel + text, struct.pack("<Q", 0) + line),
            _piece(
                kernel + clock,
                struct.pack("<Q", 4)
                + struct.pack(
                    "<QQQQII", 193_000 * 100 - 19_000_000, 193_000, NEVER, link + 64, 100 << 21, 21
                )
                * 2,
            ),
        )
    )
    strings = b"reg\0linux,initrd-start\0linux,initrd-end\0"
    nodes = struct.pack(">I", 1) + b"\0\0\0\0" + struct.pack(">I", 1) + b"chosen\0\0"
    for offset, value in ((4, mib), (23, 2 * mib)):
        nodes += struct.pack(">IIIQ", 3, 8, offset, value)
    nodes += struct.pack(">II", 2, 2) + struct.pack(">I", 9)
    tree = struct.pack(
        ">10I",
        0xD00DFEED,
        56 + len(nodes) + len(strings),
        56,
        56 + len(nodes),
        40,
        17,
        16,
        0,
        len(strings),
        len(nodes),
    )
    yield _piece(2 * STEP, tree + bytes(16) + nodes + strings)


def read_merkle(data: bytes, directory: Path) -> None:
    """Hash memory, and prove a page of it."""
    path = directory / "ram"
    path.write_bytes(data)
    root = merkle.memory_root(path)
    number = data[0] % (len(data) // PAGE)
    page = data[number * PAGE : (number + 1) * PAGE]
    assert merkle.proven_root(page, number, merkle.proof(path, number)) == root, (
        "a proof does not hold"
    )


def read_profile(data: bytes, directory: Path) -> None:
    """Read a profile, draw it, and list its functions."""
    path = directory / "profile.json"
    path.write_bytes(data)
    found = profile.read(path)
    draw(found)
    rows(found)
    profile.as_json(found)


PROFILE = json.dumps(
    {
        "schema": 1,
        "kind": "vcr-profile",
        "name": "x",
        "profile": "vm",
        "clock": "time",
        "every": 1,
        "duration": 1.5,
        "lost": 0,
        "stacks": {"python3;libc`read;kernel`sys_read": 3, "a;b;b;[unknown]": 1},
    }
).encode()


def read_samples(data: bytes, directory: Path) -> None:
    """Read what QEMU's plugin wrote, with a System.map."""
    samples, _, table = data.partition(b"\0")
    (directory / SAMPLES).write_bytes(samples)
    (directory / SYMBOLS).write_bytes(table)
    draw(boot.read_samples(directory, "x", "prod"))


def read_report(data: bytes, _directory: Path) -> None:
    """Read a line of the sampler in the machine."""
    for line in data.split(b"\n"):
        _report(line, KernelSymbols((0xFFFFFFFF80000000,), ("a",)))
    with suppress(ValueError):
        KernelSymbols().resolve(data.decode("utf-8", "replace"))


REPORT = b'{"seconds": 1.0, "samples": 9, "lost": 0, "stacks": [{"process": "p", "count": 3, "frames": ["libc.so.6`read", "kernel`0xffffffff80012345"]}]}'


def read_step(data: bytes, directory: Path) -> None:
    """Read what a build machine says of a step, and the layer that it sends."""
    told, _, layer = data.partition(b"\n")
    (directory / "result").write_bytes(told)
    (directory / "layer").write_bytes(layer)
    check(read_result(directory / "result"), "RUN x")
    (directory / "memory").write_bytes(bytes(range(256)) * 32)
    normalize(layer_nodes(directory / "layer", directory / "memory", "riscv64"), RULES)


def _steps() -> Iterator[bytes]:
    """Make results as guest/step does, and a layer with links, what hides others, a large file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, goal in (
            ("d/", tarfile.DIRTYPE, ""),
            ("d/a", tarfile.REGTYPE, ""),
            ("d/b", tarfile.LNKTYPE, "d/a"),
            ("d/.wh.c", tarfile.REGTYPE, ""),
            ("d/s", tarfile.SYMTYPE, "../a"),
            ("var/cache/ldconfig/aux-cache", tarfile.REGTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, goal
            archive.addfile(info)
    well = {"exit": 0, "signal": 0, "error": "", "oom": False, "full": False, "refused": None}
    for result in (well, {**well, "exit": 137}, {**well, "refused": ["GET http://x"]}):
        for large in ([], [{"entry": 1, "size": 5000, "pieces": [[0, 4096, 0x8000_1000]]}]):
            table = json.dumps(large).encode()
            layer = buffer.getvalue() + table + len(table).to_bytes(8)
            yield json.dumps(result).encode() + b"\n" + layer


TARGETS = (
    Target(
        "step",
        read_step,
        _steps,
        modules=(build_machine, layer_port, run),
        words=(b"null", b"true", b"-1"),
    ),
    Target(
        "migration",
        read_state,
        _states,
        modules=(migration,),
        words=(b"\x7e\0\0\0\2", b"\x03ram", b"\x05timer"),
    ),
    Target("memory", read_memory, _memories, modules=(memory, kernel_log)),
    Target(
        "merkle", read_merkle, lambda: [bytes(PAGE) + b"1" * PAGE, b"2" * PAGE], modules=(merkle,)
    ),
    Target("profile", read_profile, lambda: [PROFILE], "json", modules=(profile, flame)),
    Target(
        "samples",
        read_samples,
        lambda: [
            b"s 707974686f6e 80200004 80200010\nm 00 80000000\nu 7368 1234\nend 12345\0ffffffff80000000 T _start\nffffffff80000010 T run\n"
        ],
        "text",
        modules=(boot, symbols),
        words=(b"end ", b"_end", b"T _start_kernel"),
    ),
    Target("report", read_report, lambda: [REPORT], "json"),
)
