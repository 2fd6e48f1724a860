"""The hash of a machine, proofs of its pages, and dm-verity: any change is noticed."""

import hashlib
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vcr.formats.failure import Failure
from vcr.formats.hashes import progress as hashing
from vcr.formats.hashes import verity as module
from vcr.formats.hashes.merkle import PAGE, machine_hash, memory_root, proof, proven_root
from vcr.formats.hashes.verity import BLOCK, Verity, check, parameters

HASH = "sha256:" + "ab" * 32


def naive_root(data: bytes) -> bytes:
    """By the definition: split in half until a page is left."""
    if len(data) == PAGE:
        return hashlib.sha256(b"\x00" + data).digest()
    half = len(data) // 2
    return hashlib.sha256(b"\x01" + naive_root(data[:half]) + naive_root(data[half:])).digest()


def pages(count: int, used: dict[int, bytes]) -> bytes:
    data = bytearray(count * PAGE)
    for number, content in used.items():
        data[number * PAGE : number * PAGE + len(content)] = content
    return bytes(data)


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_how_far_hashing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """What takes long is reported, in bytes, up to the end; what does not is not."""
    monkeypatch.setattr(hashing, "SECONDS", seconds)
    (tmp_path / "ram").write_bytes(os.urandom(9 << 20))
    told: list[hashing.Hashed] = []
    with hashing.shown_to(told.append):
        memory_root(tmp_path / "ram")
        verity = parameters(tmp_path / "ram", HASH)
    memory_root(tmp_path / "ram")  # nobody asks
    if seconds:
        assert told == []
        return
    steps = [(each.what, each.done >> 20, each.whole >> 20) for each in told]
    assert steps == [
        *(("the memory", done, 9) for done in (2, 4, 6, 8, 9)),
        *(("the drive", done, 9) for done in (4, 8, 9)),
    ]
    assert str(told[0]) == "hashing the memory: 22 % of 9.0 MiB"
    assert [hashing.read_line(each.to_line()) for each in told] == told
    with (tmp_path / "ram").open("ab") as file:
        levels = module._tree(tmp_path / "ram", verity.data_blocks, bytes.fromhex(verity.salt))[1]
        file.write(module._superblock(verity).ljust(BLOCK, b"\0") + b"".join(reversed(levels)))
    told.clear()
    with hashing.shown_to(told.append):
        check(tmp_path / "ram", verity)
    assert told[-1] == hashing.Hashed("the drive", 9 << 20, 9 << 20)


@pytest.mark.parametrize(
    "line",
    ["", "vcr-hashing: ", "vcr-hashing: 2 1 x", "vcr-hashing: -1 1 x", "vcr-hashing: 1 2 \x1b[2J",
     "vcr-hashing: 1 2 " + "x" * 81, "vcr-hashing: 1234567890123456789 1 x",
     "x vcr-hashing: 1 2 x"],
)  # fmt: skip
def test_other_lines_say_nothing_of_hashing(line: str) -> None:
    assert hashing.read_line(line) is None


@pytest.mark.parametrize("count", [1, 2, 8, 1024, 2048])
def test_the_root_is_that_of_the_definition(tmp_path: Path, count: int) -> None:
    data = pages(count, {count - 1: b"end", count // 3: b"middle"})
    (tmp_path / "ram").write_bytes(data)
    assert memory_root(tmp_path / "ram") == naive_root(data)


def test_a_size_that_is_no_power_of_two_is_filled_with_zeros(tmp_path: Path) -> None:
    data = pages(1500, {1400: b"x"})
    (tmp_path / "ram").write_bytes(data)
    assert memory_root(tmp_path / "ram") == naive_root(data + bytes(548 * PAGE))


def test_holes_of_a_sparse_file_are_zeros(tmp_path: Path) -> None:
    size, at = 64 << 20, 33 << 20
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(size)
        os.pwrite(file.fileno(), b"data", at)
    with (tmp_path / "dense").open("wb") as file:
        file.write(bytes(at) + b"data" + bytes(size - at - 4))
    assert memory_root(tmp_path / "sparse") == memory_root(tmp_path / "dense")


def test_half_a_page_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(b"x")
    with pytest.raises(Failure, match="not a number of pages"):
        memory_root(tmp_path / "ram")


@pytest.mark.parametrize("page", [0, 7, 1499])
def test_a_page_can_be_proven(tmp_path: Path, page: int) -> None:
    data = pages(1500, {page: b"this", 3: b"that"})
    path = tmp_path / "ram"
    path.write_bytes(data)
    content = data[page * PAGE : (page + 1) * PAGE]
    siblings = proof(path, page)
    assert len(siblings) == 11
    assert proven_root(content, page, siblings) == memory_root(path)
    assert proven_root(content[:-1] + b"!", page, siblings) != memory_root(path)
    assert proven_root(content, page ^ 1, siblings) != memory_root(path)


def write_machine(directory: Path) -> Path:
    directory.mkdir()
    (directory / "ram").write_bytes(pages(64, {5: b"five", 63: b"last"}))
    (directory / "state").write_bytes(b"QEVM state")
    (directory / "machine.json").write_bytes(b'{"cpu": "rv64"}')
    return directory


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_any_byte_of_a_machine_counts(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    machine = write_machine(tmp_path_factory.mktemp("m") / "machine")
    before = machine_hash(machine)
    chance = random.Random(seed)
    flip(machine / chance.choice(["ram", "state", "machine.json"]), chance)
    assert machine_hash(machine) != before


def flip(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        at = chance.randrange(path.stat().st_size)
        old = os.pread(file.fileno(), 1, at)[0]
        os.pwrite(file.fileno(), bytes([old ^ (1 << chance.randrange(8))]), at)


def sealed(drive: Path, blocks: int = 300) -> Verity:
    """Write a drive as veritysetup does; tests/integration/test_prod.py compares with it."""
    drive.write_bytes(random.Random(1).randbytes(blocks * BLOCK))
    verity = parameters(drive, HASH)
    _, levels = module._tree(drive, blocks, bytes.fromhex(verity.salt))
    tail = module._superblock(verity).ljust(BLOCK, b"\0") + b"".join(reversed(levels))
    with drive.open("ab") as file:
        file.write(tail)
    return verity


def test_a_drive_is_as_it_was_sealed(tmp_path: Path) -> None:
    for blocks in (1, 2, 128, 129, 300):
        check(tmp_path / "drive", sealed(tmp_path / "drive", blocks))


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_any_byte_of_a_drive_counts(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    drive = tmp_path_factory.mktemp("d") / "drive"
    verity = sealed(drive)
    flip(drive, random.Random(seed))
    with pytest.raises(Failure, match="not the one that was sealed") as caught:
        check(drive, verity)
    assert caught.value.report["code"] == "mismatch"


def test_the_block_that_was_changed_is_named(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    verity = sealed(drive)
    with drive.open("r+b") as file:
        os.pwrite(file.fileno(), b"changed", 200 * BLOCK + 17)
    with pytest.raises(Failure) as caught:
        check(drive, verity)
    assert f"block 200 (byte {200 * BLOCK}) was changed" in caught.value.report["why"]


def test_a_drive_that_is_too_long_or_short_is_refused(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    verity = sealed(drive)
    whole = drive.read_bytes()
    for other in (whole + b"x", whole[:-1], whole[:BLOCK]):
        drive.write_bytes(other)
        with pytest.raises(Failure, match="not the one that was sealed"):
            check(drive, verity)


def test_parameters_count_too(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    verity = sealed(drive)
    for changed in (
        {"root_hash": "00" * 32},
        {"salt": "00" * 32},
        {"uuid": "00000000-0000-8000-8000-000000000000"},
        {"data_blocks": 299},
        {"hash_offset": BLOCK},
    ):
        with pytest.raises(Failure, match="not the one that was sealed"):
            check(drive, replace(verity, **changed))
    with pytest.raises(Failure, match="not supported"):
        Verity.of({**verity.as_json(), "algorithm": "sha1"})
