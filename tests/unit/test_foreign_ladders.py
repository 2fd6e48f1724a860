"""A ladder of a stranger: nothing that it names is waited for, expanded, or secret."""

import io
import json
import os
import resource
import struct
import tarfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vcr.cli import run
from vcr.cli.context import App
from vcr.errors import ExitCode, UsageError
from vcr.model.digest import Digest
from vcr.model.ladder import Rung
from vcr.settings import Settings
from vcr.ui import Ui
from vcr.verify.archives import changes
from vcr.verify.explain import explain
from vcr.verify.ladders import read_claim
from vcr.verify.material import Material
from vcr.verify.memory import FREE, MEMORY_BEGINS, layout

ZEROS = "sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def bounded() -> Any:
    """Take no more than 4 GiB of addresses, but for what is mapped."""
    old = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, old)


def rung(name: str, path: Path, digest: str = ZEROS) -> Rung:
    return Rung(name, Digest(digest), 1, path)


def explained(name: str, directory: Path, *paths: Path, kernel: Path | None = None) -> Any:
    material = Material.of(directory / "ladder.json")
    ladder = () if kernel is None else (rung("kernel", kernel),)
    rungs = (rung(name, paths[0]), rung(name, paths[-1]))
    return explain(*rungs, within=(material, material), ladder=ladder)


def ladder(directory: Path, name: str, digest: str, path: str) -> Path:
    directory.mkdir(exist_ok=True)
    row = {"name": name, "digest": digest, "size": 1, "path": path}
    made = {"schema": 1, "kind": "build", "name": "x", "profile": "vm", "arch": "riscv64",
            "engine": "qemu", "engine_version": "1", "epoch": 0, "ladder": [row]}  # fmt: skip
    file = directory / "ladder.json"
    file.write_text(json.dumps(made))
    return file


def said(tmp_path: Path, *argv: str | Path) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    app = App(Settings.load({"HOME": str(tmp_path)}), Ui(out, err), tmp_path)
    code = run(app, [str(word) for word in argv])
    return code, out.getvalue() + err.getvalue()


@pytest.mark.parametrize("verb", ["verify", "explain"])
@pytest.mark.parametrize("kind", ["/dev/zero", "fifo", "sparse", "nested"])
def test_a_ladder_that_is_no_file_of_one_is_refused(tmp_path: Path, verb: str, kind: str) -> None:
    path = tmp_path / "x.json"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "sparse":
        path.touch()
        os.truncate(path, 1 << 40)
    elif kind == "nested":
        path.write_text("[" * 200_000)
    else:
        path.symlink_to(kind)
    begin = time.monotonic()
    code, words = said(tmp_path, verb, path, *([path] if verb == "explain" else []))
    assert code in {ExitCode.USAGE, ExitCode.MISMATCH}
    assert "error: " in words
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("way", ["absolute", "up", "link"])
def test_no_path_leads_out_of_the_ladders_directory(tmp_path: Path, way: str) -> None:
    """The content of a file that only the user can read was told."""
    secret = tmp_path / "secret"
    secret.write_text("the key")
    secret.chmod(0o600)
    first = ladder(tmp_path / "a", "kernel", ZEROS, "kernel")
    (tmp_path / "a/kernel").write_text("kernel")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/link").symlink_to(secret)
    named = {"absolute": str(secret), "up": "../secret", "link": "link"}[way]
    second = ladder(tmp_path / "b", "kernel", "sha256:" + "1" * 64, named)
    code, words = said(tmp_path, "explain", first, second)
    assert code == ExitCode.MISMATCH
    assert "leads out of its directory" in words
    allowed = said(tmp_path, "explain", "--allow-outside", secret, first, second)
    assert "bytes" in allowed[1]


def test_beside_a_manifest_nothing_else_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    for name, digest in (("a", "sha256:../secret"), ("b", "../secret"), ("c", "sha256:/")):
        manifest = {"layers": [{"digest": digest}], "config": {"digest": digest}}
        (tmp_path / name).write_text(json.dumps(manifest))
    for first, second in (("a", "b"), ("a", "c")):
        (found,) = explained("image", tmp_path, tmp_path / first, tmp_path / second)
        assert found.where.startswith("byte")  # of the manifests themselves


@pytest.mark.parametrize(
    "content",
    [b"", b"[" * 200_000, b"5", b"[]", b"{}", b'{"layers": 5}', b'{"layers": [[]]}', b"\xff",
     b'{"layers": [{"digest": {}}]}', b'{"a":' * 900 + b"1" + b"}" * 900, b"NaN"],
    ids=lambda content: repr(content[:16]),
)  # fmt: skip
@pytest.mark.parametrize("name", ["image", "rootfs", "machine", "snapshot", "kernel"])
def test_damaged_files_are_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "good").write_text('{"layers": [{"digest": "x"}], "config": {"digest": "y"}}')
    (tmp_path / "bad").write_bytes(content)
    for beside in ("ram", "state"):
        (tmp_path / beside).write_bytes(content)
    for pair in (("good", "bad"), ("bad", "good"), ("bad", "bad")):
        with suppress(UsageError):
            explained(name, tmp_path, *(tmp_path / each for each in pair))


def machine(directory: Path, size: int) -> Path:
    directory.mkdir()
    (directory / "machine.json").write_text("{}")
    (directory / "state").write_bytes(b"state")
    (directory / "ram").touch()
    os.truncate(directory / "ram", size)
    return directory / "machine.json"


def test_holes_of_a_memory_are_not_read(tmp_path: Path) -> None:
    size = 1 << 40
    paths = [machine(tmp_path / name, size) for name in "ab"]
    with (tmp_path / "b/ram").open("r+b") as file:
        file.seek(size - 8192)
        file.write(b"x")
    begin = time.monotonic()
    found = explained("machine", tmp_path, *paths)
    assert found[0].how == f"1 page of {size // 4096} differs: 1 of {FREE}"
    assert time.monotonic() - begin < 30


def test_many_pages_are_counted_and_some_are_told(tmp_path: Path) -> None:
    paths = [machine(tmp_path / name, 0) for name in "ab"]
    for path, byte in zip(paths, b"\0x", strict=True):
        path.with_name("ram").write_bytes(bytes([byte]) * (12_000 * 4096))
    found = explained("machine", tmp_path, *paths)
    assert found[0].how.startswith("12000 pages of 12000 differ")
    assert len(found) == 10_001


@pytest.mark.parametrize("name", ["ram", "state"])
def test_what_lies_beside_a_machine_is_a_file(tmp_path: Path, name: str) -> None:
    paths = [machine(tmp_path / each, 8192) for each in "ab"]
    (tmp_path / "b" / name).unlink()
    os.mkfifo(tmp_path / "b" / name)
    with pytest.raises(UsageError, match="not a regular file"):
        explained("machine", tmp_path, *paths)
    (tmp_path / "b" / name).unlink()
    (tmp_path / "b" / name).symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="leads out of its directory"):
        explained("machine", tmp_path, *paths)


def test_symbols_are_a_file_of_the_ladder(tmp_path: Path) -> None:
    paths = [machine(tmp_path / each, 8192) for each in "ab"]
    (tmp_path / "System.map").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="leads out of its directory"):
        explained("machine", tmp_path, *paths, kernel=tmp_path / "Image")
    (tmp_path / "System.map").unlink()
    os.mkfifo(tmp_path / "System.map")
    explained("machine", tmp_path, *paths, kernel=tmp_path / "Image")


def sparse_tar(path: Path, size: int) -> Path:
    """Write a tar of a few KiB with a sparse file of SIZE bytes, of which none is stored."""
    info = tarfile.TarInfo("GNUSparseFile.0/x")
    info.pax_headers = {
        "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "x",
        "GNU.sparse.size": str(size), "GNU.sparse.map": f"{size},0",
    }  # fmt: skip
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO())
    return path


def test_a_sparse_file_of_an_archive_is_not_expanded(tmp_path: Path) -> None:
    paths = [sparse_tar(tmp_path / "a", 3 << 40), sparse_tar(tmp_path / "b", 4 << 40)]
    assert all(path.stat().st_size <= 10_240 for path in paths)
    (change,) = changes(*paths)
    assert change.words() == "its content differs" or "GNU.sparse" in change.words()
    (found,) = explained("rootfs", tmp_path, *paths)
    assert found.pair in {(b"", b""), None}


def test_an_archive_of_holes_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.size = 1 << 42
    for name in "ab":
        (tmp_path / name).write_bytes(info.tobuf())
        os.truncate(tmp_path / name, (1 << 42) + 10_240)
    with pytest.raises(UsageError, match="nearly all of them holes"):
        explained("rootfs", tmp_path, tmp_path / "a", tmp_path / "b")


def test_a_compressed_archive_is_not_expanded(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    assert explained("rootfs", tmp_path, tmp_path / "a") == []


def tree(body: bytes, size: int | None = None) -> bytes:
    """Return memory of which a device tree with BODY is all, and says it has SIZE."""
    head = struct.pack(">IIII", 0xD00DFEED, size or 40 + len(body), 40, 40 + len(body))
    return (head + bytes(4) + struct.pack(">II", 17, 16) + bytes(12) + body).ljust(4 << 20, b"\0")


HOSTILE = {
    "deep": struct.pack(">I", 1) + b"a\0\0\0",
    "names": struct.pack(">III", 3, 0, 1),
    "ends": struct.pack(">I", 2),
    "long": struct.pack(">III", 3, 0xFFFFFFFF, 0xFFFFFFFF),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_device_tree_of_a_stranger_takes_no_time(tmp_path: Path, name: str) -> None:
    (tmp_path / "ram").write_bytes(tree(HOSTILE[name] * ((1 << 20) // len(HOSTILE[name]))) * 20)
    begin = time.monotonic()
    layout(tmp_path / "ram")
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("size", [0, 1, 27, 40, 4096, 5000])
def test_a_memory_that_ends_early_has_nothing_in_it(tmp_path: Path, size: int) -> None:
    kernel = bytearray(5000)
    kernel[56:60], kernel[60:64] = b"RSC\x05", struct.pack("<I", 4090)
    kernel[4090:4094] = b"PE\0\0"
    kernel[4096:4098] = b"\xff\xff"
    (tmp_path / "ram").write_bytes(bytes(kernel[:size]))
    if size == 0:
        with pytest.raises(ValueError, match="empty"):
            layout(tmp_path / "ram")
        return
    assert layout(tmp_path / "ram").words(MEMORY_BEGINS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*HOSTILE.values(), b"RSC\x05", b"PE\0\0", bytes(4), b"\xff" * 4,
                                 b"/rese", b"\0"]), max_size=40), st.integers(0, 80))  # fmt: skip
def test_no_memory_ends_vcr(tmp_path: Path, parts: list[bytes], cut: int) -> None:
    body = tree(b"".join(parts))
    (tmp_path / "ram").write_bytes(body[: 40 + cut * 4])
    layout(tmp_path / "ram")


def test_no_program_of_this_host_gets_a_file_unless_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """diffoscope starts R, Java and whatever else reads the kind that the file says it is of."""
    program, ran = tmp_path / "bin/diffoscope", tmp_path / "ran"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho compared | tee {ran}\nexit 1\n")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    ladders = []
    for number, content in enumerate((b"a", b"b")):
        place = tmp_path / str(number)
        ladders.append(ladder(place, "rootfs", f"sha256:{number}" + "0" * 63, "root.tar"))
        with tarfile.open(place / "root.tar", "w") as archive:
            info = tarfile.TarInfo("x.rds")
            info.size = 1
            archive.addfile(info, io.BytesIO(content))
    code, words = said(tmp_path, "explain", *ladders)
    assert (code, ran.exists()) == (ExitCode.MISMATCH, False)
    assert "its content differs" in words
    code, words = said(tmp_path, "explain", "--diffoscope", *ladders)
    assert (code, ran.exists()) == (ExitCode.MISMATCH, True)
    assert "compared" in words


def test_a_ladder_from_before_profiles_were_renamed_is_read(tmp_path: Path) -> None:
    file = ladder(tmp_path / "a", "kernel", ZEROS, "kernel")
    file.write_text(file.read_text().replace('"vm"', '"stage-release"'))
    assert read_claim(file).profile == "vm-release"
