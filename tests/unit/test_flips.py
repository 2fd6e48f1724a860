"""One flipped bit anywhere in what is signed or hashed is rejected: all of them.

Which bits are flipped is said in tests/flips.py. Documents of enclaves, whose signatures take
their time: tests/reliability/test_every_bit.py; enclave images: test_sandbox_enclave.py;
ladders: test_verify.py; machines: test_machine_hash.py.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from exports import make_built
from flips import every_bit, every_block, every_byte
from nitro_pki import NOW
from test_attest_checker import TRUST, software
from test_attest_dsse import ALICE, BOB
from test_attest_statement import statement

from vcr.attest.checks.checker import verify_files
from vcr.attest.checks.demand import Demand
from vcr.attest.checks.receipt import Receipt
from vcr.attest.checks.rejected import RejectedError
from vcr.attest.dsse import sign
from vcr.engines.sealed import check_drive, read_parameters
from vcr.errors import MismatchError
from vcr.export.artifact import unpack_layout, write_layout
from vcr.export.check import check_export
from vcr.export.manifest import MANIFEST, read_manifest
from vcr.export.write import write_export
from vcr.formats.failure import Failure
from vcr.formats.hashes import verity
from vcr.formats.oci import Layout

SAID = sign(statement("provenance").to_bytes(), [ALICE, BOB]).to_bytes()
BOUND = hashlib.sha256(statement("provenance").to_bytes()).digest()
ANSWERING = replace(TRUST, nitro=replace(TRUST.nitro, nonce=b"\x00\xff"))


def rejected(wanted: Demand, *contents: bytes) -> None:
    with pytest.raises(RejectedError):
        verify_files([(f"f{n}", data) for n, data in enumerate(contents)], wanted, NOW)


def test_statements() -> None:
    """Of one key, with another beside it that says the same."""
    other = sign(statement("rebuild").to_bytes(), [BOB]).to_bytes()
    data = sign(statement("root-hash").to_bytes(), [ALICE]).to_bytes()
    assert verify_files([("a", data), ("b", other)], TRUST, NOW)
    for flipped in every_bit(data):
        rejected(TRUST, flipped, other)


def test_statements_that_two_keys_signed() -> None:
    """A flip of one of the signatures leaves the other: two are demanded, and one is left."""
    both = replace(TRUST, threshold=2)
    assert verify_files([("a", SAID)], both, NOW)
    for flipped in every_bit(SAID):
        rejected(both, flipped)


def test_evidence_of_a_key() -> None:
    data = software(ALICE, BOUND, b"\x00\xff")
    assert verify_files([("a", SAID), ("b", data)], ANSWERING, NOW)
    for flipped in every_bit(data):
        rejected(ANSWERING, SAID, flipped)


def test_receipts() -> None:
    data = Receipt("ipr submit", BOUND, b"number 7").to_bytes()
    assert verify_files([("a", SAID), ("b", data)], TRUST, NOW)
    for flipped in every_bit(data):
        rejected(TRUST, SAID, flipped)


# --- exports


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("flips")
    write_export(make_built(root / "store"), root / "export")
    return root / "export"


def test_manifests_of_exports(export: Path) -> None:
    """By themselves, without a digest that somebody told."""
    data, path = (export / MANIFEST).read_bytes(), export / MANIFEST
    digest = check_export(export).digest
    left = []
    for flipped in every_bit(data):
        try:
            assert read_manifest(flipped).digest != digest
        except MismatchError:
            continue
        left.append(flipped)  # it is one: what it says must not be true of the files
    for flipped in left[:: len(left) // 100]:
        path.write_bytes(flipped)
        with pytest.raises(MismatchError):
            check_export(export)
    path.write_bytes(data)


def test_every_file_of_an_export(export: Path) -> None:
    """Small ones in each byte, large ones in each of 16 parts; the hash of a file is one hash."""
    for file in check_export(export).files:
        path = export / file.path
        whole = path.read_bytes()
        for flipped in flips_of(whole):
            path.write_bytes(flipped)
            with pytest.raises(MismatchError):
                check_export(export)
        path.write_bytes(whole)
    assert check_export(export)


def flips_of(data: bytes, parts: int = 16) -> Iterator[bytes]:
    if len(data) <= parts:
        yield from every_byte(data)
        return
    for at, mask in every_block(len(data), -(-len(data) // parts)):
        yield data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def test_every_block_of_a_drive(export: Path) -> None:
    """Data, superblock and tree: each block has a hash of its own, which its parent has."""
    told = verity.Verity.of(read_parameters(export / "verity.json"))
    drive = export / "drive"
    verity.check(drive, told)
    with drive.open("r+b") as file:
        for at, mask in every_block(drive.stat().st_size, verity.BLOCK):
            file.seek(at)
            (byte,) = file.read(1)
            write_at(file.fileno(), at, byte ^ mask)
            with pytest.raises(Failure):
                verity.check(drive, told)
            write_at(file.fileno(), at, byte)
    verity.check(drive, told)


def write_at(handle: int, at: int, byte: int) -> None:
    os.pwrite(handle, bytes([byte]), at)


def test_the_parameters_of_a_drive(export: Path) -> None:
    path = export / "verity.json"
    data = path.read_bytes()
    root = read_parameters(path)["root_hash"]
    for flipped in every_bit(data):
        path.write_bytes(flipped)
        with pytest.raises(MismatchError):  # noqa: PT012 -- as `vcr verify --image --root` does
            told = read_parameters(path)
            if told["root_hash"] != root:
                raise MismatchError("another drive")
            check_drive(export / "drive", told)
    path.write_bytes(data)


def test_the_index_and_manifests_of_an_artifact(export: Path, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    digest = write_layout(export, check_export(export), layout.root)
    blobs = sorted((layout.root / "blobs/sha256").iterdir())
    assert layout.blob(digest) in blobs
    chosen: Callable[[bytes], Iterator[bytes]]
    for blob in blobs:
        whole = blob.read_bytes()
        chosen = every_bit if blob == layout.blob(digest) else flips_of
        for flipped in chosen(whole):
            blob.write_bytes(flipped)
            if whole != b"{}":  # the empty config: nothing of it is read, skopeo checks it
                with pytest.raises(MismatchError):
                    unpack_layout(layout.root, tmp_path / "back")
        blob.write_bytes(whole)
    unpack_layout(layout.root, tmp_path / "back")
