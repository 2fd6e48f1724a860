"""Enclave images: their format, and registers that are known before they run."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from eif_reader import NotAnImageError, read_eif
from hypothesis import given, settings
from hypothesis import strategies as st

from vcr.formats.eif import KERNEL_LINE, Image, decode, encode, metadata
from vcr.formats.failure import Failure
from vcr.formats.hashes.verity import Verity
from vcr.formats.pcrs import measure, of_root
from vcr.sandbox.enclave import main, parameters
from vcr.sandbox.enclave_ramdisk import Job, _restore
from vcr.sandbox.hardware import Prod, Sockets, restored

VERITY = Verity("ab" * 32, "cd" * 32, "cdcdcdcd-cdcd-8dcd-8dcd-cdcdcdcdcdcd", 7, 7 * 4096)
IMAGE = Image(
    arch="amd64",
    kernel=b"kernel" * 100,
    cmdline="console=ttyS0",
    ramdisks=(b"loader" * 50, parameters(VERITY)),
    metadata=metadata("static", "6.12"),
    memory=1 << 30,
    cpus=2,
)
JOB = Job(loader=Path("/l"), qemu=Path("/q"), data=Path("/d"), ld=Path("/ld"))
# By sha384sum, of coreutils.
VECTORS = {
    0: "2a914bd6ef8a6c0654bbf33a1ec1a7f79574705211fc5d0dbba4d0ae5895c7fb"
    "ce961f7abd3cf9766bb2174e186d5074",
    1: "ebc2c9f48f0ffdffa87e10b4140dd32d381704a41be310c2aeeaffdad14ffe2f"
    "4617f94daf8d1ef75cbde564588c492b",
    2: "520a75a89f23576738754eecacb557b46a3e2d140c8d09370a959613db76bd3e"
    "e3a97b59cb4acbafd90108e8a7b0186e",
}
ROOT_VECTOR = (
    "39791cbba5c02955cb8e8727ec85dd1928c1f2968b3e6b8c01765e9eddedc37c"
    "705afa6d6ad828115c5e2df6992ab97a"
)


def test_the_registers_are_those_that_sha384sum_computes() -> None:
    found = measure(b"kernel", b"cmdline", [b"one", b"two"])
    assert {number: value.hex() for number, value in found.items()} == VECTORS
    assert of_root(b"\xab" * 32).hex() == ROOT_VECTOR


@pytest.mark.parametrize(("arch", "flags"), [("amd64", 0), ("arm64", 1)])
def test_another_reader_finds_what_was_written(arch: str, flags: int) -> None:
    image = replace(IMAGE, arch=arch)
    found = read_eif(encode(image))
    assert (found.flags, found.memory, found.cpus) == (flags, image.memory, image.cpus)
    assert [kind for kind, _ in found.sections] == [1, 2, 5, 3, 3]
    assert found.of_kind(1) == [image.kernel]
    assert found.of_kind(2) == [image.cmdline.encode()]
    assert tuple(found.of_kind(3)) == image.ramdisks
    assert found.pcrs == measure(image.kernel, image.cmdline.encode(), image.ramdisks)
    assert decode(encode(image)) == image


def test_what_nitro_cli_requires_of_metadata_is_there() -> None:
    (told,) = read_eif(encode(IMAGE)).of_kind(5)
    found = json.loads(told)
    assert set(found) == {
        "ImageName", "ImageVersion", "BuildMetadata", "DockerInfo", "CustomMetadata",
    }  # fmt: skip
    assert set(found["BuildMetadata"]) == {
        "BuildTime", "BuildTool", "BuildToolVersion", "OperatingSystem", "KernelVersion",
    }  # fmt: skip


def test_one_flipped_bit_anywhere_is_noticed() -> None:
    data = encode(IMAGE)
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Failure, match="damaged"):
            decode(bytes(changed))


def test_the_other_reader_notices_too() -> None:
    data, chance = encode(IMAGE), random.Random(5)
    for _ in range(500):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        with pytest.raises(NotAnImageError):
            read_eif(bytes(changed))


@settings(max_examples=200)
@given(st.binary(max_size=700))
def test_garbage_is_refused(data: bytes) -> None:
    for text in (data, b".eif\x00\x04" + data, encode(IMAGE)[: len(data)]):
        with pytest.raises(Failure, match="damaged"):
            decode(text)


def test_each_part_moves_the_registers_it_should() -> None:
    line = IMAGE.cmdline.encode()
    base = measure(IMAGE.kernel, line, IMAGE.ramdisks)
    first, second = IMAGE.ramdisks

    def moved(kernel: bytes, cmdline: bytes, ramdisks: tuple[bytes, ...]) -> set[int]:
        found = measure(kernel, cmdline, ramdisks)
        return {number for number in base if found[number] != base[number]}

    assert moved(IMAGE.kernel + b"x", line, IMAGE.ramdisks) == {0, 1}
    assert moved(IMAGE.kernel, line + b" single", IMAGE.ramdisks) == {0, 1}
    assert moved(IMAGE.kernel, line, (first + b"x", second)) == {0, 1}
    assert moved(IMAGE.kernel, line, (first, second + b"x")) == {0, 2}
    # Nothing separates the parts, so bytes may move from one to the next unseen by PCR0.
    assert moved(IMAGE.kernel, line + first[:1], (first[1:], second)) == set()
    assert moved(IMAGE.kernel, line, (first + second[:1], second[1:])) == {1, 2}


def test_the_second_ramdisk_follows_from_root_salt_and_blocks() -> None:
    again = Verity(VERITY.root_hash, VERITY.salt, "", VERITY.data_blocks, 0)
    assert parameters(again) == parameters(VERITY)
    for other in (
        replace(VERITY, root_hash="00" * 32),
        replace(VERITY, salt="00" * 32),
        replace(VERITY, data_blocks=8),
    ):
        assert parameters(other) != parameters(VERITY)


def build(tmp_path: Path, out: str, **changes: object) -> Path:
    for file, content in (("kernel", b"kernel"), ("runtime", b"loader")):
        (tmp_path / file).write_bytes(content)
    (tmp_path / "verity.json").write_text(json.dumps(VERITY.as_json()))
    (tmp_path / "machine.json").write_text('{"memory_mib": 184}')
    job = {
        "arch": "amd64",
        "name": "static",
        "kernel": str(tmp_path / "kernel"),
        "kernel_version": "6.12",
        "runtime": str(tmp_path / "runtime"),
        "verity": str(tmp_path / "verity.json"),
        "machine": str(tmp_path / "machine.json"),
        **changes,
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    main(str(tmp_path / "job.json"), str(tmp_path / out))
    return tmp_path / out


def test_the_builder_says_the_registers_that_another_reader_computes(tmp_path: Path) -> None:
    out = build(tmp_path, "out")
    image = read_eif((out / "enclave.eif").read_bytes())
    told = json.loads((out / "pcrs.json").read_bytes())
    assert {told[f"PCR{number}"] for number in (0, 1, 2)} == {v.hex() for v in image.pcrs.values()}
    assert told["PCR16"] == of_root(bytes.fromhex(VERITY.root_hash)).hex()
    assert image.of_kind(2) == [KERNEL_LINE.encode()]
    rungs = {rung["name"]: rung["digest"] for rung in json.loads((out / "rungs.json").read_bytes())}
    assert rungs["pcr1"] == f"sha384:{image.pcrs[1].hex()}"
    assert sorted(rungs) == ["eif", "pcr0", "pcr1", "pcr2"]


def test_the_same_input_gives_the_same_image(tmp_path: Path) -> None:
    images = [(build(tmp_path, name) / "enclave.eif").read_bytes() for name in ("a", "b")]
    assert images[0] == images[1]


def test_the_name_of_the_app_is_not_measured(tmp_path: Path) -> None:
    images = [decode((build(tmp_path, n, name=n) / "enclave.eif").read_bytes()) for n in ("a", "b")]
    assert images[0].metadata != images[1].metadata
    first, second = (measure(i.kernel, i.cmdline.encode(), i.ramdisks) for i in images)
    assert first == second


def test_the_loader_is_told_the_line_because_no_register_says_where_it_begins() -> None:
    """T14: words moved from the line to the kernel's end leave PCR0, PCR1 and PCR2 the same."""
    moved, rest = KERNEL_LINE[:9], KERNEL_LINE[9:]
    assert measure(b"kernel" + moved.encode(), rest.encode(), IMAGE.ramdisks) == measure(
        b"kernel", KERNEL_LINE.encode(), IMAGE.ramdisks
    )
    told = _restore(JOB)
    assert told["cmdline"] == KERNEL_LINE


def test_the_door_of_the_app_leads_to_the_loader_and_on_a_host_nowhere() -> None:
    told = _restore(JOB)
    argv = told["argv"]
    assert f"socket,path={told['door']},server=on,wait=off,id=door" in argv
    assert "virtserialport,chardev=door,name=vcr.attest" in argv
    machine = Prod("/q", "/d", "128", "2000-01-01T00:00:00")
    sockets = Sockets(Path("/agent"), Path("/qmp"))
    host = restored(machine, Path("/ram"), Path("/c"), Path("/l"), sockets, "user")
    assert "null,id=door" in host
    # Devices are those that the snapshot was made with; only what is behind them differs.
    assert [w for w in host if w.startswith("virt")] == [w for w in argv if w.startswith("virt")]
