"""Exports: the same bytes everywhere, whole or not at all, and no change goes unseen."""

import errno
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from exports import EPOCH, make_built, state_of

from vcr import app
from vcr.errors import HostError, MismatchError, UsageError, VcrError
from vcr.export.check import check_export
from vcr.export.manifest import MANIFEST, File, Manifest, read_manifest
from vcr.export.write import write_export
from vcr.verify.ladders import read_claim


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    write_export(make_built(root / "store"), root / "export")
    return root / "export"


@pytest.fixture
def export(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "export")
    return tmp_path / "export"


@pytest.fixture
def strange_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    old = os.umask(0o077)
    yield
    os.umask(old)
    monkeypatch.undo()
    time.tzset()


def rerun(tmp_path: Path) -> Path:
    write_export(make_built(tmp_path / "other store"), tmp_path / "deep" / "other export")
    return tmp_path / "deep" / "other export"


@pytest.mark.usefixtures("strange_host")
def test_a_strange_host_exports_the_same(tmp_path: Path) -> None:
    there = state_of(rerun(tmp_path))
    os.umask(0o022)
    write_export(make_built(tmp_path / "store"), tmp_path / "export")
    assert there == state_of(tmp_path / "export")
    assert there["drive"][:2] == (0o100644, EPOCH * 10**9)
    assert there["verify.sh"][0] == 0o100755


def test_prod_has_all_that_a_deployment_needs(export: Path) -> None:
    manifest = check_export(export)
    paths = {file.path for file in manifest.files}
    assert paths >= {"drive", "verity.json", "machine.json", "deploy.json", "ladder.json",
                     "kernel", "initramfs", "image/index.json", "verify.sh"}  # fmt: skip
    assert "root.squashfs" not in paths
    claim = read_claim(export / "ladder.json")
    assert {rung.name: rung.path for rung in claim.ladder}["sealed"] == export / "drive"
    assert json.loads((export / "deploy.json").read_text())["ports"] == [80]


def test_a_container_is_not_exported(tmp_path: Path) -> None:
    context, dev = app.Context(tmp_path), app.Variant("dev")
    with pytest.raises(UsageError, match="dev cannot be exported"):
        app.export(context, tmp_path / "out", dev)
    with pytest.raises(UsageError, match="dev cannot be exported"):
        app.write_layout(context, tmp_path / "out", dev)
    assert not (tmp_path / "out").exists()


def test_stage_has_its_root_and_how_it_is_booted(tmp_path: Path) -> None:
    manifest = write_export(make_built(tmp_path / "store", "vm"), tmp_path / "export")
    paths = {file.path for file in manifest.files}
    assert "root.squashfs" in paths
    assert "drive" not in paths
    text = (tmp_path / "export/deploy.json").read_text()
    assert json.loads(text)["append"] == "quiet"
    assert "/nix/store" not in text
    assert check_export(tmp_path / "export") == manifest
    assert verify(tmp_path / "export", manifest.digest).returncode == 0


# --- whole or not at all


def leftovers(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name != "store")


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    built = make_built(tmp_path / "store")
    target = tmp_path / "export"
    target.mkdir()
    write_export(built, target)  # empty, so it is filled
    with pytest.raises(UsageError, match="is not empty"):
        write_export(built, target)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="exists already"):
        write_export(built, tmp_path / "file")
    with pytest.raises(HostError, match="cannot make"):
        write_export(built, tmp_path / "file" / "below")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UsageError, match="exists already"):
        write_export(built, tmp_path / "link")
    assert leftovers(tmp_path) == ["export", "file", "link"]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_nothing_is_left_of_one_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    built = make_built(tmp_path / "store")

    copy = shutil.copyfile

    def fail(source: Path, target: Path) -> None:
        if target.name == "kernel":
            raise error
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises((HostError, KeyboardInterrupt)) as caught:
        write_export(built, tmp_path / "export")
    if isinstance(caught.value, HostError):
        assert caught.value.why == "No space left on device"
    assert leftovers(tmp_path) == []


def test_a_disk_that_is_too_small_is_known_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = make_built(tmp_path / "store")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(HostError, match="there is no room"):
        write_export(built, tmp_path / "export")
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o555)
    with pytest.raises(HostError, match="cannot make") as caught:
        write_export(make_built(tmp_path / "store"), tmp_path / "theirs" / "export")
    assert caught.value.why == "Permission denied"


@pytest.mark.parametrize("name", ["kernel/kernel", "squashfs/root.squashfs", "image/layout"])
def test_a_store_that_lies_is_not_exported(tmp_path: Path, name: str) -> None:
    profile = "vm" if "squashfs" in name else "prod"
    built = make_built(tmp_path / "store", profile)
    path = tmp_path / "store" / name
    if path.is_dir():
        path = max((path / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(MismatchError):
        write_export(built, tmp_path / "export")
    assert leftovers(tmp_path) == []


# --- no change goes unseen, by vcr and by stock tools alike


def verify(export: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", export / "verify.sh", *words], capture_output=True, text=True, check=False
    )


def flip(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


@pytest.mark.parametrize("seed", range(20))
def test_any_flipped_bit_is_found(export: Path, seed: int) -> None:
    chance = random.Random(seed)
    digest = check_export(export).digest
    files = sorted(path for path in export.rglob("*") if path.is_file())
    victim = chance.choice([path for path in files if path.name != "verify.sh"])
    flip(victim, chance)
    with pytest.raises(MismatchError):
        check_export(export, digest)
    done = verify(export, digest)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("FAILED: ")


def test_files_too_many_and_too_few_are_found(export: Path) -> None:
    (export / "more").touch()
    with pytest.raises(MismatchError, match="more does not belong"):
        check_export(export)
    assert "more" in verify(export).stderr
    (export / "more").unlink()
    (export / "kernel").rename(export.parent / "kernel")
    with pytest.raises(MismatchError, match="kernel of the export is not there"):
        check_export(export)
    assert "kernel" in verify(export).stderr
    (export / "kernel").symlink_to(export.parent / "kernel")
    with pytest.raises(MismatchError, match="kernel is not the file"):
        check_export(export)
    done = verify(export)
    assert done.returncode == 3
    assert "links" in done.stderr


def test_another_export_is_not_the_one_that_was_promised(export: Path) -> None:
    with pytest.raises(MismatchError, match="another export"):
        check_export(export, "sha256:" + "0" * 64)
    done = verify(export, "sha256:" + "0" * 64)
    assert done.returncode == 3
    assert "manifest.json is" in done.stderr


def rewrite(export: Path) -> None:
    """Make the manifest agree with the files, as somebody who forges an export would."""
    told = json.loads((export / MANIFEST).read_bytes())
    for row in told["files"]:
        again = make_row(export, row["path"])
        row.update(again)
    (export / MANIFEST).write_bytes(Manifest.model_validate(told).to_bytes())


def make_row(export: Path, path: str) -> dict[str, object]:
    return File.of(export, path).model_dump()


@pytest.mark.parametrize("name", ["kernel", "drive", "verity.json"])
def test_a_forged_manifest_does_not_help(export: Path, name: str) -> None:
    if name == "verity.json":
        text = (export / name).read_text()
        (export / name).write_text(text.replace('"root_hash": "', '"root_hash": "0'))
    else:
        flip(export / name, random.Random(1))
    rewrite(export)
    with pytest.raises(VcrError) as caught:
        check_export(export)
    assert isinstance(caught.value, MismatchError)


@pytest.mark.parametrize(
    ("key", "value"),
    [("data_blocks", -1), ("data_blocks", "x"), ("data_blocks", 0), ("salt", "zz"), ("uuid", "x"),
     ("salt", "00" * 70000), ("hash_offset", None), ("hash_offset", 2**70), ("algorithm", []),
     ("root_hash", {}), ("machine_hash", 7), ("data_block_size", 0)],
)  # fmt: skip
def test_parameters_that_make_no_sense_are_a_mismatch(
    export: Path, key: str, value: object
) -> None:
    told = json.loads((export / "verity.json").read_text())
    (export / "verity.json").write_text(json.dumps({**told, key: value}))
    rewrite(export)
    with pytest.raises(MismatchError):
        check_export(export)


@pytest.mark.parametrize("text", ["", "7", "[]", '{"ladder": 7}', '{"ladder": [7]}', "[" * 99999])
def test_a_ladder_that_makes_no_sense_is_a_mismatch(export: Path, text: str) -> None:
    (export / "ladder.json").write_text(text)
    rewrite(export)
    with pytest.raises(MismatchError):
        check_export(export)


def test_without_veritysetup_nothing_is_claimed(
    export: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "dirname", "sha256sum", "cut", "sed", "sort", "uniq", "find", "grep", "wc"):
        (programs / name).symlink_to(str(shutil.which(name)))
    text = (export / "verify.sh").read_text().replace("PATH=$PATH:/usr/sbin:/sbin", "PATH=$PATH")
    (export / "verify.sh").write_text(text)
    rewrite(export)
    monkeypatch.setenv("PATH", str(programs))
    done = subprocess.run(
        [programs / "sh", export / "verify.sh"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert "cannot check without veritysetup (package cryptsetup-bin)" in done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"path": "drive"', '"path": "../drive"'),
        ('"path": "drive"', '"path": "/drive"'),
        ('"path": "drive"', '"path": "deploy.json"'),
        ('"path": "drive"', '"path": "zzz"'),
        ('"path": "drive"', '"path": ".hidden"'),
        ('"schema": 1', '"schema": 2'),
        ('"kind": "export"', '"kind": "other"'),
        ('"epoch": ', '"unknown": 1, "epoch": '),
        (' "files"', '  "files"'),
        ("}", ""),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(export: Path, old: str, new: str) -> None:
    text = (export / MANIFEST).read_text()
    assert old in text
    with pytest.raises(MismatchError, match="not that of an export"):
        read_manifest(text.replace(old, new, 1).encode())


def test_what_is_no_export_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not an export"):
        check_export(tmp_path)
