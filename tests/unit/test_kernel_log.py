"""The kernel's log and clock, read from memory that is made by the kernel's structures."""

import struct
from pathlib import Path

import pytest
from test_memory import KERNEL, LINK, MIB, kernel_image

from vcr.verify.kernel_log import Line, read_log
from vcr.verify.milestones import milestones

BITS, SIZE = 8, 1 << 13  # 256 records, 8 KiB of text
RING, INFOS, DESCRIPTORS, TEXT, CLOCK = (2 * MIB + n * 0x10000 for n in range(5))
BEGAN = 19_000_000
EPOCH = 1_795_338_944
LINES = (
    (0, "Linux version 6.12"),
    (25_000_000, f"rtc: setting system clock to 2026-11-22T09:15:44 UTC ({EPOCH})"),
    (71_000_000, "Run /init as init process"),
    (74_000_000, "loop0: detected capacity change from 0 to 8"),
)
STATUS = b'{"pid": 9, "created": "2026-11-22T09:15:44.632000Z"}'


def record(memory: bytearray, number: int, at: int, text: str, begin: int) -> int:
    """Write one record as printk_ringbuffer.h has it; return where the next one begins."""
    size = -(-(8 + len(text)) // 8) * 8
    end = begin + size
    start = begin
    if begin // SIZE != end // SIZE and end % SIZE:  # it does not fit: it goes to the beginning
        end = (begin // SIZE + 1) * SIZE + size
        start = 0
    place = KERNEL + INFOS + 88 * (number % (1 << BITS))
    struct.pack_into("<QQHBBI", memory, place, number, at, len(text), 0, 6 << 5, 0)
    place = KERNEL + DESCRIPTORS + 24 * (number % (1 << BITS))
    struct.pack_into("<QQQ", memory, place, number, begin, end)
    place = KERNEL + TEXT + start % SIZE
    struct.pack_into(f"<Q{len(text)}s", memory, place, number, text.encode())
    return end


def clock(memory: bytearray, at: int, *, ticks: int = 193_000) -> None:
    """Write a struct clock_data: its data twice."""
    told = (ticks * 100 - BEGAN, ticks, (1 << 64) - 1, LINK + 64, 100 << 21, 21)
    one = struct.pack("<QQQQII", *told)
    memory[at : at + 88] = struct.pack("<Q", 4) + one + one


@pytest.fixture
def memory() -> bytearray:
    memory = bytearray(8 * MIB)
    memory[KERNEL : KERNEL + 4096] = kernel_image()
    begin = SIZE - 40  # the second line does not fit before the end
    for number, (at, text) in enumerate(LINES):
        begin = record(memory, number, at, text, begin)
    pointers = (LINK + DESCRIPTORS, LINK + INFOS)
    ring = struct.pack("<QQQQQQQQ", BITS, *pointers, 3 << 62 | len(LINES) - 1, 3 << 62, 4, BITS + 5,
                       LINK + TEXT)  # fmt: skip
    memory[KERNEL + RING : KERNEL + RING + len(ring)] = ring
    clock(memory, KERNEL + CLOCK)
    memory[7 * MIB : 7 * MIB + len(STATUS)] = STATUS
    return memory


def write(tmp_path: Path, memory: bytearray) -> Path:
    (tmp_path / "ram").write_bytes(memory)
    (tmp_path / "machine.json").write_text('{"engine": "qemu", "instructions": 200000000}')
    return tmp_path


def test_every_line_is_read_also_one_that_wraps(tmp_path: Path, memory: bytearray) -> None:
    log = read_log(write(tmp_path, memory) / "ram")
    assert log is not None
    assert log.lines == tuple(Line(at, text) for at, text in LINES)
    assert log.began == BEGAN


def test_milestones_are_counts_of_instructions(tmp_path: Path, memory: bytearray) -> None:
    found = [(m.name, m.instructions) for m in milestones(write(tmp_path, memory))]
    assert found == [
        ("the kernel's clock starts", BEGAN),
        ("the initramfs starts", BEGAN + 71_000_000),
        ("the root is found", BEGAN + 74_000_000),
        # 132 ms after the clock was set, to half a second after what the RTC said
        ("the app's container is made", BEGAN + 25_000_000 + 132_000_000),
        ("the app is healthy", 200_000_000),
    ]


@pytest.mark.parametrize("place", [KERNEL + RING, KERNEL + CLOCK + 8, KERNEL + TEXT + SIZE - 32])
def test_what_is_not_of_its_form_is_no_log(tmp_path: Path, memory: bytearray, place: int) -> None:
    memory[place : place + 8] = bytes(8)
    snapshot = write(tmp_path, memory)
    assert read_log(snapshot / "ram") is None
    assert [each.name for each in milestones(snapshot)] == ["the app is healthy"]


def test_of_another_engine_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "machine.json").write_text('{"engine": "cartesi", "memory_mib": 128}')
    assert milestones(tmp_path) == ()


def test_two_containers_are_none(tmp_path: Path, memory: bytearray) -> None:
    other = STATUS.replace(b"632", b"732")
    memory[7 * MIB + 4096 : 7 * MIB + 4096 + len(other)] = other
    names = [each.name for each in milestones(write(tmp_path, memory))]
    assert "the app's container is made" not in names
