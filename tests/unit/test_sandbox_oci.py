"""OCI layouts are read with every digest checked and written the same way every time."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from vcr.formats.failure import Failure
from vcr.formats.oci import INDEX, MAX_DOCUMENT, MAX_MANIFESTS, Layout, canonical, sha256_of
from vcr.formats.tar import write
from vcr.formats.tree import Tree, text_file
from vcr.sandbox.image import main

EPOCH = 1_700_000_000


def layer(path: Path, **files: str) -> Path:
    tree = Tree()
    for name, text in files.items():
        tree.put(name, text_file(text))
    write(path, tree.walk(), EPOCH)
    return path


@pytest.fixture
def layers(tmp_path: Path) -> list[Path]:
    return [layer(tmp_path / "1.tar", a="1", b="1"), layer(tmp_path / "2.tar", b="2")]


def image(tmp_path: Path, layers: list[Path], arch: str = "riscv64", name: str = "out") -> Path:
    job = tmp_path / "job.json"
    config = {"Cmd": ["x"]}
    whole = {"layers": [str(p) for p in layers], "arch": arch, "epoch": EPOCH, "name": "app"}
    job.write_text(json.dumps({**whole, "config": config}))
    out = tmp_path / name
    out.mkdir()
    main(str(job), str(out))
    return out


def load(layout: Layout) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return descriptor, manifest and config of the only image in LAYOUT."""
    (descriptor,) = json.loads((layout.root / "index.json").read_text())["manifests"]
    manifest = json.loads(layout.checked(descriptor).read_text())
    return descriptor, manifest, json.loads(layout.checked(manifest["config"]).read_text())


def test_an_image_is_what_its_layers_are(tmp_path: Path, layers: list[Path]) -> None:
    layout = Layout(image(tmp_path, layers) / "layout")
    descriptor, manifest, config = load(layout)
    assert config["rootfs"]["diff_ids"] == [sha256_of(path) for path in layers]
    assert config["created"] == "2023-11-14T22:13:20Z"
    assert config["config"] == {"Cmd": ["x"]}
    assert (config["architecture"], config["os"]) == ("riscv64", "linux")
    assert [blob["digest"] for blob in manifest["layers"]] == config["rootfs"]["diff_ids"]
    assert descriptor["annotations"]["org.opencontainers.image.ref.name"] == "latest"
    tree = layout.flatten(descriptor["digest"], tmp_path / "scratch")
    assert {p: n.content.read() for p, n in tree.walk()} == {"a": b"1", "b": b"2"}


def test_the_rung_is_the_manifest(tmp_path: Path, layers: list[Path]) -> None:
    out = image(tmp_path, layers)
    (rung,) = json.loads((out / "rungs.json").read_text())
    assert (rung["name"], rung["digest"]) == ("image", sha256_of(out / rung["file"]))


def test_arm64_names_its_variant(tmp_path: Path, layers: list[Path]) -> None:
    descriptor, _, config = load(Layout(image(tmp_path, layers, "arm64") / "layout"))
    assert config["variant"] == descriptor["platform"]["variant"] == "v8"


def test_empty_layers_are_left_out(tmp_path: Path, layers: list[Path]) -> None:
    empty = layer(tmp_path / "empty.tar")
    _, manifest, config = load(Layout(image(tmp_path, [empty, *layers, empty]) / "layout"))
    assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == len(layers)


def test_two_builds_are_equal(tmp_path: Path, layers: list[Path]) -> None:
    one, two = image(tmp_path, layers, name="one"), image(tmp_path, layers, name="two")
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)


@pytest.mark.parametrize("which", ["manifest", "config", "layer"])
@pytest.mark.parametrize("damage", ["flip", "longer", "gone"])
def test_a_changed_blob_is_refused(
    tmp_path: Path, layers: list[Path], which: str, damage: str
) -> None:
    layout = Layout(image(tmp_path, layers) / "layout")
    descriptor, manifest, _ = load(layout)
    blobs = {"manifest": descriptor, "config": manifest["config"], "layer": manifest["layers"][1]}
    path = layout.blob(blobs[which]["digest"])
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data + b" " if damage == "longer" else bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(Failure, match="has no blob|other content"):  # noqa: RUF043 -- either
        layout.flatten(descriptor["digest"], tmp_path / "scratch")


@pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "md5:00", "sha256:" + "A" * 64])
def test_a_digest_is_no_path(tmp_path: Path, digest: str) -> None:
    with pytest.raises(Failure, match="not a digest"):
        Layout(tmp_path).checked({"digest": digest, "size": 0})


def foreign(tmp_path: Path, layers: list[Path], diff_ids: list[str]) -> tuple[Layout, str]:
    """Make a layout as a registry has it: compressed layers, and these DIFF_IDS."""
    layout = Layout(tmp_path / "foreign")
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": diff_ids}}
    blobs = [layout.add_bytes(gzip.compress(p.read_bytes()), "layer").to_json() for p in layers]
    described = layout.add_bytes(json.dumps(config).encode(), "config").to_json()
    manifest = json.dumps({"config": described, "layers": blobs}).encode()
    return layout, layout.add_bytes(manifest, "manifest").digest


def test_compressed_layers_are_checked_inside_too(tmp_path: Path, layers: list[Path]) -> None:
    good = [sha256_of(path) for path in layers]
    layout, digest = foreign(tmp_path, layers, good)
    assert set(layout.flatten(digest, tmp_path / "s").nodes) == {"", "a", "b"}
    layout, digest = foreign(tmp_path, layers, good[::-1])
    with pytest.raises(Failure, match="does not hold"):
        layout.flatten(digest, tmp_path / "s")
    layout, digest = foreign(tmp_path, layers, good[:1])
    with pytest.raises(Failure, match="does not name each"):
        layout.flatten(digest, tmp_path / "s")


@pytest.mark.parametrize(
    "manifest", [{}, [], {"config": 1}, {"config": {"digest": "sha256:" + "a" * 64}}, "text"]
)
def test_a_malformed_manifest_is_refused(tmp_path: Path, manifest: object) -> None:
    layout = Layout(tmp_path / "layout")
    digest = layout.add_bytes(json.dumps(manifest).encode(), "x").digest
    with pytest.raises(Failure):
        layout.flatten(digest, tmp_path / "scratch")


def nested(root: Path, depth: int, width: int) -> Layout:
    """Make a layout whose index names WIDTH times another, which names WIDTH times another, ..."""
    layout = Layout(root)
    row = layout.add_image([layer(root.with_suffix(".tar"), a="1")], {}, "riscv64", EPOCH).to_json()
    for _ in range(depth):
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [row] * width}
        row = layout.add_bytes(canonical(index), INDEX).to_json()
    layout.finish([row])
    return layout


def test_indexes_that_name_others_twice_are_read_once_each(tmp_path: Path) -> None:
    """By the letter, forty of them are a million million manifests."""
    assert len(list(nested(tmp_path / "layout", depth=40, width=2).manifests())) == 1


def test_there_is_a_limit_to_manifests(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="more than"):
        list(nested(tmp_path / "layout", depth=2, width=MAX_MANIFESTS).manifests())


@pytest.mark.parametrize(
    "index",
    [b"", b"[]", b"{}", b'{"manifests": 1}', b'{"manifests": [1]}', b"[" * 100_000,
     b'{"manifests": [{"digest": 1, "size": 1}]}', b'{"manifests": [{"digest": "sha256:x"}]}',
     b" " * (MAX_DOCUMENT + 1)],
)  # fmt: skip
def test_an_index_that_is_none_is_refused(tmp_path: Path, index: bytes) -> None:
    (tmp_path / "index.json").write_bytes(index)
    with pytest.raises(Failure):
        list(Layout(tmp_path).manifests())
