"""Files in a build machine's memory: where they are, and that the machine cannot change them."""

import os
from pathlib import Path

import pytest

from vcr.formats.failure import Failure
from vcr.model.board import BOARDS
from vcr.sandbox.qemu import mapped
from vcr.sandbox.qemu.mapped import map_files
from vcr.sandbox.qemu.padding import GRANULE, PARTS, pad, padded_size

GIB = 1 << 30


def sparse(path: Path, size: int) -> Path:
    path.touch()
    os.truncate(path, size)
    return path


@pytest.mark.parametrize("size", [1, 4096, GRANULE, GRANULE + 1, 123_456_789, GIB - 1, 5 * GIB + 1])
def test_a_padded_file_takes_few_devices_and_little_more_room(tmp_path: Path, size: int) -> None:
    path = sparse(tmp_path / "x", size)
    pad(path)
    padded = path.stat().st_size
    assert padded == padded_size(size)
    assert 0 <= padded - size < max(GRANULE, size / 4)
    assert padded % GRANULE == 0
    assert padded.bit_count() <= PARTS
    assert path.stat().st_blocks == 0  # a hole
    pad(path)
    assert path.stat().st_size == padded


@pytest.mark.parametrize("arch", ["riscv64", "arm64"])
def test_on_pci_a_file_is_devices_whose_sizes_are_powers_of_two(tmp_path: Path, arch: str) -> None:
    size = 0b1011 << 20
    files = [sparse(tmp_path / "a,b", size), *[sparse(tmp_path / "c", GRANULE)] * 6]
    mapping = map_files(BOARDS[arch], 512 << 20, files)
    assert (mapping.memory, mapping.line) == ((), "")
    assert [piece["size"] for piece in mapping.pieces[0]] == [8 << 20, 2 << 20, 1 << 20]
    devices = [piece["device"] for pieces in mapping.pieces for piece in pieces]
    assert devices == [
        *(f"0000:00:02.{function}" for function in range(8)),
        "0000:00:03.0",
    ]
    backends = [word for word in mapping.devices if word.startswith("memory-backend-file")]
    assert backends[1] == (
        f"memory-backend-file,id=mapped1,mem-path={tmp_path}/a,,b,size={2 << 20},offset={8 << 20},"
        "share=on,readonly=on,rom=on"
    )
    assert all(word.endswith("share=on,readonly=on,rom=on") for word in backends)
    assert "ivshmem-plain,memdev=mapped8,addr=0x3.0,multifunction=on" in mapping.devices


@pytest.mark.parametrize(
    ("memory_mib", "own", "line", "begin"),
    [
        (320, 3 * GIB, "mem=327680K", 4 * GIB),
        (2048, 3 * GIB, "mem=2097152K", 4 * GIB),
        (4096, 4 * GIB, "mem=5242880K", 5 * GIB),
    ],
)
def test_without_pci_a_file_is_beyond_the_memory(
    tmp_path: Path, memory_mib: int, own: int, line: str, begin: int
) -> None:
    """There is always so much memory that files are beyond 4 GiB, and the initramfs is not."""
    files = [sparse(tmp_path / "a", 3 * GIB), sparse(tmp_path / "b", GRANULE)]
    mapping = map_files(BOARDS["amd64"], memory_mib << 20, files)
    assert (mapping.line, mapping.devices) == (line, ())
    assert [[(piece["address"], piece["size"]) for piece in each] for each in mapping.pieces] == [
        [(begin, 3 * GIB)], [(begin + 3 * GIB, GRANULE)]
    ]  # fmt: skip
    nodes = [word for word in mapping.memory if word.startswith("node,")]
    assert nodes == [f"node,memdev={name}" for name in ("memory", "mapped0", "mapped1")]
    assert mapping.memory[:2] == ("-m", f"{own + 3 * GIB + GRANULE >> 10}k")
    assert mapping.own == own
    assert sum("readonly=on,rom=on" in word for word in mapping.memory) == len(files)


@pytest.mark.parametrize("arch", ["riscv64", "amd64"])
def test_what_a_machine_has_no_room_for_is_refused(tmp_path: Path, arch: str) -> None:
    large = sparse(tmp_path / "x", padded_size(mapped.MOST + 1))
    with pytest.raises(Failure, match="larger than 15 GiB"):
        map_files(BOARDS[arch], 512 << 20, [large])
    small = sparse(tmp_path / "y", GRANULE)
    assert len(map_files(BOARDS[arch], 512 << 20, [small] * 127).pieces) == 127  # OCI's most
    with pytest.raises(Failure, match="room for"):
        map_files(BOARDS[arch], 512 << 20, [small] * 241)


def test_a_machine_without_files_is_as_it_is() -> None:
    assert all(map_files(board, 512 << 20, []).pieces == () for board in BOARDS.values())
