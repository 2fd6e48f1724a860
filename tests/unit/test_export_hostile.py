"""Exports that somebody else wrote: nothing is waited for, followed or believed."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exports import make_built
from test_cli import errors_of, make_app
from test_export import export, make_row, rewrite, template, verify  # noqa: F401 -- fixtures

from vcr.cli import run
from vcr.errors import FetchError, MismatchError, UsageError
from vcr.export.check import check_export
from vcr.export.manifest import BLOBS, MANIFEST, MAX_BYTES, Manifest, read_manifest
from vcr.export.registry import write
from vcr.export.write import write_export
from vcr.formats.oci import Layout, canonical, platform
from vcr.model.digest import Digest
from vcr.tools.filling import SLACK, Filling


def refused(root: Path) -> MismatchError:
    with pytest.raises(MismatchError) as caught:
        check_export(root)
    return caught.value


@pytest.mark.parametrize("name", ["drive", "ladder.json", "verity.json", "image/index.json"])
def test_a_pipe_in_an_export_is_not_waited_for(export: Path, name: str) -> None:  # noqa: F811
    (export / name).unlink()
    os.mkfifo(export / name)
    assert "is not the file" in refused(export).what
    done = subprocess.run(
        ["sh", export / "verify.sh"], capture_output=True, text=True, check=False, timeout=10
    )
    assert (done.returncode, "not files" in done.stderr) == (3, True)


def test_a_manifest_that_is_a_pipe_or_a_link(
    export: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    (export / MANIFEST).rename(tmp_path / "outside")
    (export / MANIFEST).symlink_to(tmp_path / "outside")
    assert "manifest.json is not the file" in refused(export).what
    with pytest.raises(MismatchError):
        write(export, tmp_path / "layout")
    (export / MANIFEST).unlink()
    os.mkfifo(export / MANIFEST)
    with pytest.raises(UsageError, match="is not an export"):
        check_export(export)
    (export / MANIFEST).unlink()
    (export / MANIFEST).symlink_to("/dev/zero")
    with pytest.raises(UsageError, match="is not an export"):
        check_export(export)


def test_a_directory_that_is_a_link(export: Path, tmp_path: Path) -> None:  # noqa: F811
    (export / "image").rename(tmp_path / "image")
    (export / "image").symlink_to(tmp_path / "image")
    assert "image does not belong to the export" in refused(export).what
    assert verify(export).returncode == 3


def test_a_file_that_is_larger_than_it_should_be_is_not_read(
    export: Path,  # noqa: F811
) -> None:
    """A sparse file of a TiB takes no disk and hours to hash."""
    os.truncate(export / "drive", 1 << 40)
    begin = time.monotonic()
    assert "drive is not the file" in refused(export).what
    assert time.monotonic() - begin < 5


def test_names_of_others_do_not_steer_the_terminal(export: Path) -> None:  # noqa: F811
    (export / "\x1b[2Jmore\r").touch()
    done = verify(export)
    assert done.returncode == 3
    assert not set(done.stderr) & {"\x1b", "\r"}


def forge(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """CHANGE the manifest, and make it agree with the files."""
    told = json.loads((root / MANIFEST).read_bytes())
    change(told)
    told["files"] = [make_row(root, path) for path in sorted(row["path"] for row in told["files"])]
    (root / MANIFEST).write_bytes(Manifest.model_validate(told).to_bytes())


@pytest.mark.parametrize(
    ("term", "value"),
    [("name", "other"), ("profile", "prod-debug"), ("arch", "amd64"), ("engine", "cartesi"),
     ("engine_version", "11"), ("epoch", 7)],
)  # fmt: skip
def test_an_export_of_something_else_than_its_ladder(
    export: Path,  # noqa: F811
    term: str,
    value: object,
) -> None:
    """A debug export does not pass as a release by its manifest."""
    forge(export, lambda told: told.update({term: value}))
    assert "the ladder of the export is of another" in refused(export).what


@pytest.mark.parametrize(("profile", "warns"), [("vm", True), ("prod", False)])
def test_who_pushes_a_debug_export_is_told(tmp_path: Path, profile: str, *, warns: bool) -> None:
    write_export(make_built(tmp_path / "store", profile), tmp_path / "export")
    app = make_app(tmp_path)
    words = ["push", "--export", str(tmp_path / "export"), "--dir", str(tmp_path / "layout")]
    assert run(app, words) == 0
    assert ("is a debug profile" in errors_of(app)) is warns


def test_an_export_of_an_earlier_version_has_the_profile_of_its_time(tmp_path: Path) -> None:
    root = tmp_path / "export"
    write_export(make_built(tmp_path / "store", "vm"), root)
    ladder = root / "ladder.json"
    ladder.write_text(ladder.read_text().replace('"vm"', '"stage"'))
    forge(root, lambda told: told.update(profile="stage"))
    assert check_export(root).profile == "stage"
    app = make_app(tmp_path)
    assert run(app, ["push", "--export", str(root), "--dir", str(tmp_path / "layout")]) == 0
    assert "stage is a debug profile" in errors_of(app)


@pytest.mark.parametrize("name", ["drive", "kernel", "machine.json", "verify.sh", "deploy.json"])
def test_an_export_that_lacks_a_file_of_its_profile(
    export: Path,  # noqa: F811
    name: str,
) -> None:
    """Also when its manifest does not list it: the rung would not be looked at."""
    (export / name).unlink()
    forge(export, lambda told: told["files"].remove(row_of(told, name)))
    assert f"{name} is missing in an export of prod" in refused(export).what


def row_of(told: dict[str, Any], name: str) -> dict[str, Any]:
    (row,) = [row for row in told["files"] if row["path"] == name]
    return dict(row)


@pytest.mark.parametrize("name", ["more", "root.squashfs", f"{BLOBS}/{'0' * 64}"])
def test_an_export_that_has_more_than_its_profile(
    export: Path,  # noqa: F811
    name: str,
) -> None:
    path = export / name
    path.write_bytes(b"more")
    if name.startswith(BLOBS):
        path = path.rename(path.with_name(Digest.of_bytes(b"more").hex))
    name = str(path.relative_to(export))
    forge(export, lambda told: told["files"].append({"path": name}))
    assert f"{name} does not belong to an export of prod" in refused(export).what


def image_index(export: Path) -> dict[str, Any]:  # noqa: F811
    return dict(json.loads((export / "image/index.json").read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index["manifests"][0].update(platform=platform("amd64")),
        lambda index: index["manifests"][0].update(size=7),
        lambda index: index["manifests"][0].update(urls=["http://127.0.0.1:9/"]),
        lambda index: index["manifests"].append(index["manifests"][0]),
        lambda index: index["manifests"].clear(),
        lambda index: index.update(annotations={}),
        lambda index: index.update(manifests=7),
        lambda index: index["manifests"][0].update(digest=f"sha256:{'0' * 64}"),
    ],
    ids=range(8),
)
def test_a_layout_that_names_another_image(
    export: Path,  # noqa: F811
    change: Callable[[dict[str, Any]], object],
) -> None:
    index = image_index(export)
    change(index)
    (export / "image/index.json").write_bytes(canonical(index))
    rewrite(export)
    refused(export)


def test_an_image_whose_config_is_for_another_platform(export: Path) -> None:  # noqa: F811
    """The ladder names it, and so does the layout, for riscv64; it runs on amd64."""
    layout = Layout(export / "image")
    for blob in (export / BLOBS).iterdir():
        blob.unlink()
    image = layout.add_image([], {"Cmd": ["x"]}, "amd64", 0)
    layout.finish([image.to_json(platform=platform("riscv64"), annotations={})])
    ladder = json.loads((export / "ladder.json").read_text())
    ladder["ladder"][0].update(digest=image.digest, path=f"{BLOBS}/{image.digest[7:]}")
    (export / "ladder.json").write_text(json.dumps(ladder))

    def relist(told: dict[str, Any]) -> None:
        kept = [row for row in told["files"] if not row["path"].startswith(BLOBS)]
        blobs = [{"path": f"{BLOBS}/{blob.name}"} for blob in (export / BLOBS).iterdir()]
        told["files"] = kept + blobs

    forge(export, relist)
    assert "another platform" in refused(export).what


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"path": "drive"', '"path": "deploy.json/drive"'),
        ('"path": "drive"', f'"path": "drive{"x" * 255}"'),
        ('"size": ', f'"size": {MAX_BYTES}9'),
        ('"size": ', '"size": 1.5'),
        ('"size": ', '"size": -'),
        ('"epoch": ', '"epoch": 1e400'),
        ('"name": "app"', '"name": "\\ud800"'),
        ('"name": "app"', '"name": 7'),
    ],
    ids=range(8),
)
def test_a_manifest_that_cannot_be(export: Path, old: str, new: str) -> None:  # noqa: F811
    text = (export / MANIFEST).read_text()
    assert old in text
    with pytest.raises(MismatchError, match="not that of an export"):
        read_manifest(text.replace(old, new, 1).encode())


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b"\xff", b"{}" * 9, b"\x00", b"NaN"])
def test_bytes_that_are_no_manifest(data: bytes) -> None:
    with pytest.raises(MismatchError, match="not that of an export"):
        read_manifest(data)


# --- what fills a directory


def test_more_than_expected_ends_a_download(tmp_path: Path) -> None:
    filling = Filling(tmp_path, "a registry", 10, 60)
    filling.check()
    (tmp_path / "a").write_bytes(bytes(10 + SLACK))
    filling.check()
    (tmp_path / "b").write_bytes(b"x")
    with pytest.raises(MismatchError, match="sends more than it announced"):
        filling.check()


def test_silence_ends_a_download(tmp_path: Path) -> None:
    filling = Filling(tmp_path, "a registry", 10, 0.2)
    time.sleep(0.15)
    (tmp_path / "a").write_bytes(b"x")
    filling.check()
    time.sleep(0.15)
    filling.check()
    time.sleep(0.1)
    with pytest.raises(FetchError, match="cannot read a registry"):
        filling.check()
