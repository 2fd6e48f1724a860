"""What an image of somebody else may say of itself, and what it may not."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from vcr.errors import MismatchError
from vcr.lock import layout as module
from vcr.lock.layout import MAX_BYTES, images, layout_top
from vcr.model.arch import Arch

LAYER = "application/vnd.oci.image.layer.v1.tar"


def _added(layout: Path, content: object) -> dict[str, Any]:
    data = json.dumps(content).encode()
    sha256 = hashlib.sha256(data).hexdigest()
    (layout / "blobs/sha256" / sha256).write_bytes(data)
    return {"digest": f"sha256:{sha256}", "size": len(data)}


def _layout(layout: Path, *sizes: int) -> Path:
    """Make a layout whose image says that its layers have SIZES."""
    (layout / "blobs/sha256").mkdir(parents=True)
    config = _added(layout, {"os": "linux", "architecture": "riscv64", "config": {}})
    layers = [
        {"mediaType": LAYER, "digest": f"sha256:{number:064x}", "size": size}
        for number, size in enumerate(sizes)
    ]
    manifest = _added(layout, {"schemaVersion": 2, "config": config, "layers": layers})
    (layout / "index.json").write_text(json.dumps({"manifests": [manifest]}))
    return layout


def test_an_image_says_how_large_its_layers_are(tmp_path: Path) -> None:
    (found,) = images(*layout_top(_layout(tmp_path, 5, 7))).archs.values()
    assert sorted(found.blobs.values())[:2] == [5, 7]


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((MAX_BYTES,), "bytes"),
        ((MAX_BYTES // 2, MAX_BYTES // 2), "bytes"),
        ((1 << 50,), "bytes"),
        ((1 << 51,), "no size"),
        ((-1,), "no size"),
    ],
)
def test_no_image_may_say_that_it_fills_a_disk(
    tmp_path: Path, sizes: tuple[int, ...], words: str
) -> None:
    with pytest.raises(MismatchError) as caught:
        images(*layout_top(_layout(tmp_path, *sizes)))
    assert words in caught.value.why


@pytest.mark.parametrize(
    "wrong",
    [
        {"mediaType": ["x"]},
        {"mediaType": {}},
        {"platform": {"os": "linux", "architecture": ["riscv64"], "variant": "v1"}},
        {"platform": {"os": ["linux"], "architecture": "riscv64", "variant": {}}},
        {"platform": {"architecture": {}}},
        {"platform": []},
    ],
)
def test_fields_of_other_types_are_no_crash(tmp_path: Path, wrong: dict[str, object]) -> None:
    layout = _layout(tmp_path, 5)
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0] |= wrong
    (layout / "index.json").write_text(json.dumps(index))
    found = images(*layout_top(layout))
    assert set(found.archs) <= {Arch.RISCV64}


@pytest.mark.parametrize("field", ["mediaType", "os", "architecture", "variant"])
def test_fields_of_other_types_in_documents_are_no_crash(tmp_path: Path, field: str) -> None:
    layout = tmp_path
    (layout / "blobs/sha256").mkdir(parents=True)
    config = _added(layout, {"os": "linux", "architecture": "riscv64", field: ["x"]})
    content = {"schemaVersion": 2, "config": config, "layers": [], field: ["x"]}
    manifest = _added(layout, content)
    (layout / "index.json").write_text(json.dumps({"manifests": [manifest]}))
    assert set(images(*layout_top(layout)).archs) <= {Arch.RISCV64}


def test_manifests_have_a_limit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = _layout(tmp_path, 5)
    index = json.loads((layout / "index.json").read_text())
    for number in range(20):
        more = {"schemaVersion": 2, "layers": [], "config": 1, "more": f"{number}" * 1000}
        index["manifests"].append(_added(layout, more))
    (layout / "index.json").write_text(json.dumps(index))
    assert images(*layout_top(layout)).archs
    monkeypatch.setattr(module, "MAX_DOCUMENTS", 20_000)
    with pytest.raises(MismatchError) as caught:
        images(*layout_top(layout))
    assert "more than 20000 bytes" in caught.value.why
