"""What lies where in a machine's memory, told from headers made by their specifications."""

import struct
from pathlib import Path

import pytest

from vcr.verify.memory import FREE, LINKED_AT, MEMORY_BEGINS, layout

MIB = 1 << 20
KERNEL, INITRD, TREE, WRONG, SIZE = 2 * MIB, 9 * MIB, 14 * MIB, 16 * MIB, 18 * MIB
LINK = 0xFFFFFFFF80000000


def kernel_image() -> bytes:
    image = bytearray(4096)
    image[:2] = b"MZ"
    struct.pack_into("<Q", image, 16, 3 * MIB)  # in memory
    image[56:60] = b"RSC\x05"
    struct.pack_into("<I", image, 60, 64)
    image[64:68] = b"PE\0\0"
    struct.pack_into("<H", image, 64 + 6, 2)
    struct.pack_into("<H", image, 64 + 20, 8)  # the optional header
    sections = ((b".text", MIB - 4096, 4096, MIB - 4096), (b".data", 2 * MIB, MIB, MIB))
    for number, (name, virtual, start, raw) in enumerate(sections):
        struct.pack_into("<8sIII", image, 64 + 24 + 8 + 40 * number, name, virtual, start, raw)
        struct.pack_into("<I", image, 64 + 24 + 8 + 40 * number + 16, raw)
    return bytes(image)


def device_tree(*, ran: bool) -> bytes:
    strings = bytearray()

    def prop(name: str, value: bytes) -> bytes:
        at = len(strings)
        strings.extend(name.encode() + b"\0")
        return struct.pack(">III", 3, len(value), at) + value + bytes(-len(value) % 4)

    def node(name: str, *inside: bytes) -> bytes:
        label = name.encode() + b"\0"
        parts = (struct.pack(">I", 1), label, bytes(-len(label) % 4), *inside, struct.pack(">I", 2))
        return b"".join(parts)

    begin, end = (MEMORY_BEGINS + at for at in (INITRD, INITRD + 3 * MIB))
    chosen = node(
        "chosen",
        prop("bootargs", b"quiet\0"),
        prop("linux,initrd-start", struct.pack(">Q", begin)),
        prop("linux,initrd-end", struct.pack(">Q", end)),
    )
    reg = prop("reg", struct.pack(">QQ", MEMORY_BEGINS, 0x40000))
    kept = node("reserved-memory", node("mmode_resv0@80000000", reg)) if ran else b""
    body = node("", struct.pack(">I", 4), chosen, kept) + struct.pack(">I", 9)
    head = struct.pack(">10I", 0xD00DFEED, 40 + len(body) + len(strings), 40, 40 + len(body), 40,
                       17, 16, 0, len(strings), len(body))  # fmt: skip
    return head + body + bytes(strings)


@pytest.fixture
def ram(tmp_path: Path) -> Path:
    return write(tmp_path / "ram", ran=True)


def write(path: Path, *, ran: bool) -> Path:
    with path.open("wb") as file:
        file.truncate(SIZE)
        wrong = b"\xd0\x0d\xfe\xed" + bytes(range(200))
        parts = ((KERNEL, kernel_image()), (TREE, device_tree(ran=ran)), (WRONG, wrong))
        for at, data in parts:
            file.seek(at)
            file.write(data)
    return path


@pytest.mark.parametrize(
    ("at", "name"),
    [
        (0, "firmware (OpenSBI)"),
        (0x40000, FREE),
        (KERNEL, "kernel"),
        (KERNEL + 4096, "kernel text"),
        (KERNEL + MIB, "kernel data"),
        (KERNEL + 2 * MIB, "kernel bss"),
        (KERNEL + 3 * MIB, FREE),
        (INITRD + MIB, "initrd, as it was loaded"),
        (INITRD + 3 * MIB, FREE),
        (TREE + 8, "device tree"),
        (SIZE - 1, FREE),
    ],
)
def test_a_region_is_named(ram: Path, at: int, name: str) -> None:
    assert layout(ram).words(MEMORY_BEGINS + at) == name


def test_before_it_ran_the_firmware_is_where_memory_begins(tmp_path: Path) -> None:
    found = layout(write(tmp_path / "ram", ran=False))
    assert found.region(MEMORY_BEGINS + 0x40000) == "firmware (OpenSBI)"
    assert found.region(MEMORY_BEGINS + KERNEL) == "kernel"


def test_a_symbol_is_named_where_the_kernel_has_a_map(ram: Path, tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    stub = "ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n"
    address = MEMORY_BEGINS + KERNEL + MIB + 0x18
    rows = [(LINK, "T", LINKED_AT), (LINK + MIB + 0x10, "d", "jiffies"),
            (LINK + MIB + 0x20, "d", "later"), (0, "A", "absolute")]  # fmt: skip
    whole = "".join(f"{at:016x} {kind} {name}\n" for at, kind, name in rows)
    for text, words in ((stub, "kernel data"), (whole, "kernel data, jiffies+0x8")):
        (tmp_path / "System.map").write_text(text)
        assert layout(ram, kernel).words(address) == words
    assert layout(ram, kernel).words(MEMORY_BEGINS) == "firmware (OpenSBI)"


def test_memory_without_anything_known_in_it(tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(bytes(MIB))
    assert layout(tmp_path / "ram").words(MEMORY_BEGINS) == FREE
