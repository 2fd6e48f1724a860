"""Ladders that part, and where: rung, layer, entry, page, cause."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from vcr.cli import run
from vcr.cli.context import App
from vcr.errors import ExitCode, MismatchError, UsageError
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.ladder import Rung
from vcr.model.plan import BuildMachine, Image, Machine, Plan
from vcr.settings import Settings
from vcr.ui import Ui
from vcr.verify.archives import changes
from vcr.verify.causes import UNKNOWN, cause_of
from vcr.verify.explain import explain
from vcr.verify.ladders import check_terms, compare, first_difference, read_claim
from vcr.verify.material import Material
from vcr.verify.memory import FREE

PAGE = 4096


def both(directory: Path) -> tuple[Material, Material]:
    """What two ladders in DIRECTORY may name."""
    material = Material.of(directory / "ladder.json")
    return material, material


def rung(name: str, text: str, path: Path = Path("/none")) -> Rung:
    return Rung(name, Digest.of_bytes(text.encode()), 1, path)


def test_the_first_rung_that_differs_is_found() -> None:
    expected = (rung("image", "a"), rung("rootfs", "b"), rung("kernel", "c"))
    assert first_difference(compare(expected, expected)) is None
    got = (rung("image", "a"), rung("rootfs", "x"), rung("kernel", "y"))
    found = first_difference(compare(expected, got))
    assert found is not None
    assert found.name == "rootfs"


def test_a_rung_that_is_missing_differs() -> None:
    rows = compare((rung("image", "a"), rung("seal", "b")), (rung("image", "a"), rung("more", "c")))
    assert [(row.name, row.is_same) for row in rows] == [
        ("image", True), ("seal", False), ("more", False),
    ]  # fmt: skip


def claim(tmp_path: Path, **changes: Any) -> Path:
    data = {"schema": 1, "kind": "build", "name": "a", "profile": "prod", "arch": "riscv64",
            "engine": "qemu", "engine_version": "10", "epoch": 1795338944, "ladder": [],
            **changes}  # fmt: skip
    path = tmp_path / "ladder.json"
    path.write_text(json.dumps(data, separators=(",", ":")))
    return path


def test_a_ladder_file_is_read(tmp_path: Path) -> None:
    row = {"name": "image", "digest": "sha256:" + "0" * 64, "size": 1, "path": "/x"}
    read = read_claim(claim(tmp_path, ladder=[row]))
    assert (read.profile, read.engine, read.ladder[0].name) == ("prod", "qemu", "image")


ROW = {"name": "image", "digest": "sha256:" + "0" * 64, "size": 1}


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "ps"}, {"schema": 2}, {"profile": "prid"}, {"arch": "m68k"}, {"engine": "bochs"},
     {"epoch": 1.5}, {"ladder": [{"name": "x"}]}, {"ladder": 7}, {"ladder": [ROW, ROW]},
     {"ladder": [{**ROW, "digest": "md5:1"}]}, {"ladder": [{**ROW, "size": "1"}]}],
)  # fmt: skip
def test_what_is_no_ladder_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(MismatchError, match="is not a ladder"):
        read_claim(claim(tmp_path, **wrong))
    with pytest.raises(UsageError, match="cannot be read"):
        read_claim(tmp_path / "none")


def planned(**changes: Any) -> Plan:
    machine = Machine(256, 1, (), None, writable=False, engine="qemu", engine_version="10")
    told = {"name": "a", "profile": "prod", "arch": Arch.RISCV64, "epoch": 1795338944,
            "context": "/", "layers": {}, "image": Image(()), "machine": machine,
            "build": BuildMachine(512, ())}  # fmt: skip
    return Plan(**{**told, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "cartesi"}, "another engine"),
        ({"engine_version": "11"}, "another version of the engine"),
        ({"epoch": 7}, "another epoch"),
        ({"arch": "arm64"}, "another architecture"),
    ],
)
def test_a_ladder_of_something_else_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    check_terms(read_claim(claim(tmp_path)), planned())
    with pytest.raises(MismatchError, match=words):
        check_terms(read_claim(claim(tmp_path, **changes)), planned())


def agrees(path: Path, ladder: tuple[Rung, ...]) -> bool:
    try:
        found = read_claim(path)
        check_terms(found, planned())
    except MismatchError:
        return False
    return first_difference(compare(found.ladder, ladder)) is None


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0), value=st.integers(0, 255))
def test_any_byte_of_a_ladder_counts(tmp_path: Path, at: int, value: int) -> None:
    rows = [{**ROW, "name": name, "size": 4711} for name in ("image", "snapshot", "sealed")]
    path = claim(tmp_path, ladder=rows)
    ladder = read_claim(path).ladder
    assert agrees(path, ladder)
    content = bytearray(path.read_bytes())
    at %= len(content)
    assume(content[at] != value)
    content[at] = value
    path.write_bytes(content)
    assert not agrees(path, ladder)


def archive(path: Path, **files: bytes) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_entries_that_differ(tmp_path: Path) -> None:
    left = archive(tmp_path / "a", same=b"1", changed=b"1", gone=b"1")
    right = archive(tmp_path / "b", same=b"1", changed=b"2", new=b"1")
    found = {change.path: change.words() for change in changes(left, right)}
    assert found == {
        "changed": "its content differs",
        "gone": "only in the first",
        "new": "only in the second",
    }


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("var/cache/ldconfig/aux-cache", ("content",), "ldconfig = true"),
        ("app/__pycache__/x.cpython-313.pyc", ("content",), "PYTHONDONTWRITEBYTECODE"),
        ("etc/ssh/ssh_host_rsa_key", ("content",), "when the app starts"),
        ("app/x", ("mode",), "chmod"),
        ("app/x", ("content",), UNKNOWN.fix),
    ],
)
def test_known_causes(path: str, fields: tuple[str, ...], words: str) -> None:
    assert words in cause_of(path, fields).fix


def image(directory: Path, content: bytes) -> Path:
    directory.mkdir()
    layers = []
    for files in ({"base": b"base"}, {"app__x.pyc": content}):
        layer = archive(directory / "layer", **files)
        digest = hashlib.sha256(layer.read_bytes()).hexdigest()
        layer.rename(directory / digest)
        layers.append({"digest": f"sha256:{digest}"})
    (directory / "config").write_text("{}")
    manifest = directory / "manifest"
    manifest.write_text(json.dumps({"layers": layers, "config": {"digest": "sha256:config"}}))
    return manifest


def test_an_image_is_explained_down_to_the_entry(tmp_path: Path) -> None:
    paths = [image(tmp_path / name, name.encode()) for name in ("a", "b")]
    (found,) = explain(*(rung("image", str(path), path) for path in paths), within=both(tmp_path))
    assert found.where == "layer 2: /app/x.pyc"
    assert found.pair == (b"a", b"b")
    assert "bytecode" in found.cause.why


def machine(directory: Path, word: bytes, count: int) -> Path:
    directory.mkdir()
    (directory / "ram").write_bytes(bytes(3 * PAGE) + b"say " + word + bytes(PAGE - 4 - len(word)))
    (directory / "state").write_bytes(b"state " + word)
    (directory / "machine.json").write_text(json.dumps({"instructions": count}))
    return directory / "machine.json"


def test_a_machine_is_explained_down_to_the_page(tmp_path: Path) -> None:
    paths = [machine(tmp_path / "a", b"one", 1), machine(tmp_path / "b", b"two", 2)]
    found = explain(*(rung("snapshot", str(path), path) for path in paths), within=both(tmp_path))
    assert [each.where for each in found] == [
        "machine.json: instructions",
        "memory",
        "state of the devices: byte 6",
        f"memory page 3 (address {0x80000000 + 3 * PAGE + 4:#x}, {FREE})",
    ]
    assert found[1].how == f"1 page of 4 differs: 1 of {FREE}"
    assert "ran differently" in found[1].cause.why
    assert "say one" in found[3].how
    assert "say two" in found[3].how


def test_files_that_are_not_here_are_asked_for(tmp_path: Path) -> None:
    gone = [rung("image", name, tmp_path / name) for name in "ab"]
    with pytest.raises(UsageError, match="is not on this host"):
        explain(*gone, within=both(tmp_path))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rebuild-toolchain", "--accept-cache"), "say opposite things"),
        (("--accept-cache", "--sign", "me.key", "--output", "x"), "there is nothing to state"),
        (("--git", "ext::sh -c true"), "is not a repository"),
        (("--git", ".", "--revision", "-q"), "is not a revision"),
    ],
)
def test_options_that_contradict(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    program = App(
        Settings.load({"HOME": str(tmp_path)}), Ui(io.StringIO(), io.StringIO()), tmp_path
    )
    ladder = str(claim(tmp_path))
    assert run(program, ["verify", ladder, *words]) is ExitCode.USAGE
    assert isinstance(program.ui.err, io.StringIO)
    assert said in program.ui.err.getvalue()
