"""What a registry may not do: other images beside an export, more than it says, silence."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from exports import EPOCH, make_built, state_of
from hostile_registry import Registry, endless, half, hostile_registry, never
from services import tool

from vcr.errors import FetchError, HostError, MismatchError, VcrError
from vcr.export.artifact import ARTIFACT, NOWHERE, TITLE, write_layout
from vcr.export.check import check_export
from vcr.export.manifest import DRIVE
from vcr.export.reference import Reference
from vcr.export.registry import pull, push
from vcr.export.write import write_export
from vcr.formats.oci import INDEX, MANIFEST, Layout, canonical, platform
from vcr.tools.skopeo import Skopeo

pytestmark = pytest.mark.nix

PATIENCE = 2.0  # seconds


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pull")
    write_export(make_built(root / "store"), root / "export")
    return root / "export"


@pytest.fixture
def layout(export: Path, tmp_path: Path) -> Layout:
    write_layout(export, check_export(export), tmp_path / "layout")
    return Layout(tmp_path / "layout")


@pytest.fixture
def skopeo() -> Skopeo:
    return Skopeo(tool("oci", "skopeo"), PATIENCE)


def read(layout: Layout, descriptor: dict[str, Any]) -> Any:
    return json.loads(layout.blob(descriptor["digest"]).read_bytes())


def index_of(layout: Layout) -> dict[str, Any]:
    (top,) = json.loads((layout.root / "index.json").read_bytes())["manifests"]
    return dict(read(layout, top))


def republish(layout: Layout, index: dict[str, Any]) -> None:
    """Serve INDEX under the tag; every digest is as it should be."""
    layout.finish([layout.add_bytes(canonical(index), INDEX).to_json()])


def edit_manifest(layout: Layout, number: int, change: Callable[[dict[str, Any]], object]) -> None:
    """CHANGE the manifest in row NUMBER of the index."""
    index = index_of(layout)
    row = index["manifests"][number]
    told = read(layout, row)
    change(told)
    row.update(layout.add_bytes(canonical(told), MANIFEST).to_json())
    republish(layout, index)


def attempt(skopeo: Skopeo, registry: Registry, target: Path) -> VcrError:
    reference = Reference.parse(f"{registry.address}/team/app:1")
    with pytest.raises(VcrError) as caught:
        pull(skopeo, reference, target / "pulled", "")
    assert not (target / "pulled").exists()
    return caught.value


def rejected(skopeo: Skopeo, layout: Layout, target: Path) -> MismatchError:
    with hostile_registry(layout) as registry:
        error = attempt(skopeo, registry, target)
    assert isinstance(error, MismatchError)
    return error


def test_what_the_export_makes_is_taken(
    skopeo: Skopeo, layout: Layout, export: Path, tmp_path: Path
) -> None:
    with hostile_registry(layout) as registry:
        reference = Reference.parse(f"{registry.address}/team/app:1")
        pull(skopeo, reference, tmp_path / "pulled", "")
    assert state_of(tmp_path / "pulled") == state_of(export)


# --- T16: the index


def runnable(layout: Layout, arch: str = "amd64") -> dict[str, Any]:
    """The row of an image that runs, and calls itself the artifact."""
    image = layout.add_image([], {"Cmd": ["evil"]}, arch, EPOCH)
    told = {**read(layout, image.to_json()), "artifactType": ARTIFACT}
    made = layout.add_bytes(canonical(told), MANIFEST)
    return made.to_json(platform=platform(arch), artifactType=ARTIFACT)


def one_more(layout: Layout, index: dict[str, Any]) -> None:
    index["manifests"].append(runnable(layout))


def one_more_first(layout: Layout, index: dict[str, Any]) -> None:
    index["manifests"].insert(0, runnable(layout))


def another_instead(layout: Layout, index: dict[str, Any]) -> None:
    index["manifests"][0] = runnable(layout, "riscv64")


def other_platform(_: Layout, index: dict[str, Any]) -> None:
    index["manifests"][0]["platform"] = platform("amd64")


def no_platform(_: Layout, index: dict[str, Any]) -> None:
    del index["manifests"][0]["platform"]


def no_image(_: Layout, index: dict[str, Any]) -> None:
    del index["manifests"][0]


def image_twice(_: Layout, index: dict[str, Any]) -> None:
    index["manifests"].insert(1, {**index["manifests"][0], "platform": platform("amd64")})


def no_artifact(_: Layout, index: dict[str, Any]) -> None:
    del index["manifests"][1]


def artifact_that_runs(_: Layout, index: dict[str, Any]) -> None:
    index["manifests"][1]["platform"] = platform("amd64")


def other_order(_: Layout, index: dict[str, Any]) -> None:
    index["manifests"].reverse()


def annotated(_: Layout, index: dict[str, Any]) -> None:
    index["annotations"] = {"org.opencontainers.image.ref.name": "latest"}


def row_annotated(_: Layout, index: dict[str, Any]) -> None:
    index["manifests"][0]["annotations"] = {"vnd.docker.reference.type": "x"}


def with_urls(_: Layout, index: dict[str, Any]) -> None:
    index["manifests"][0]["urls"] = ["http://127.0.0.1:9/"]


def nested(layout: Layout, index: dict[str, Any]) -> None:
    inner = layout.add_bytes(canonical(index), INDEX).to_json()
    index["manifests"] = [{**inner, "platform": platform("amd64")}, index["manifests"][1]]


def subject_of_all(_: Layout, index: dict[str, Any]) -> None:
    index["subject"] = {key: index["manifests"][0][key] for key in ("mediaType", "digest", "size")}


@pytest.mark.parametrize(
    "change",
    [one_more, one_more_first, another_instead, other_platform, no_platform, no_image, image_twice,
     no_artifact, artifact_that_runs, other_order, annotated, row_annotated, with_urls, nested,
     subject_of_all],
)  # fmt: skip
def test_an_index_that_the_export_does_not_make(
    skopeo: Skopeo,
    layout: Layout,
    tmp_path: Path,
    change: Callable[[Layout, dict[str, Any]], None],
) -> None:
    index = index_of(layout)
    change(layout, index)
    republish(layout, index)
    rejected(skopeo, layout, tmp_path)


def layer(told: dict[str, Any], title: str) -> dict[str, Any]:
    (found,) = [row for row in told["layers"] if row["annotations"][TITLE] == title]
    return dict(found)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(artifactType="application/x"),
        lambda told: told.update(annotations={"a": "b"}),
        lambda told: told.pop("subject"),
        lambda told: told["layers"].reverse(),
        lambda told: told["layers"].pop(),
        lambda told: told["layers"].append(layer(told, DRIVE)),
        lambda told: told["layers"][0].update(mediaType="application/x"),
        lambda told: told["layers"][0]["annotations"].update(more="x"),
        lambda told: told["layers"][0]["annotations"].update({TITLE: "../x"}),
        lambda told: told["layers"][0].update(digest="sha512:" + "0" * 128),
        lambda told: told["layers"][0].update(digest="sha384:" + "0" * 96),
        lambda told: told["layers"][0].update(size=-1),
        lambda told: told["layers"][0].update(size="1"),
        lambda told: told["layers"][0].update(size=True),
        lambda told: told["layers"][0].update(size=1 << 62),
        lambda told: told.update(layers={}),
        lambda told: told.update(layers=[7]),
        lambda told: told.update(config=7),
        lambda told: told.update(schemaVersion=1),
    ],
    ids=range(19),
)
def test_an_artifact_that_the_export_does_not_make(
    skopeo: Skopeo, layout: Layout, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    edit_manifest(layout, 1, change)
    rejected(skopeo, layout, tmp_path)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("part", ["config", "layers"])
def test_nothing_is_fetched_from_elsewhere(
    skopeo: Skopeo, layout: Layout, tmp_path: Path, number: int, part: str
) -> None:
    """A descriptor may name addresses, and skopeo would ask them."""
    with hostile_registry(layout) as registry:

        def lead_away(told: dict[str, Any]) -> None:
            rows = told["layers"] if part == "layers" else [told["config"]]
            rows[0]["urls"] = [f"http://{registry.address}/elsewhere"]

        edit_manifest(layout, number, lead_away)
        registry.serve_layout(layout.root)
        error = attempt(skopeo, registry, tmp_path)
    assert isinstance(error, MismatchError)
    assert "/elsewhere" not in registry.asked
    assert not [path for path in registry.asked if "/blobs/" in path]


@pytest.mark.parametrize(
    "data", [b"", b"7", b"[]", b"{}", b"[" * 100_000, b'{"schemaVersion": 2}', b"\xff"]
)
def test_an_index_that_is_none(skopeo: Skopeo, layout: Layout, tmp_path: Path, data: bytes) -> None:
    layout.finish([layout.add_bytes(data, INDEX).to_json()])
    with hostile_registry_of(layout, data) as registry:
        error = attempt(skopeo, registry, tmp_path)
    assert isinstance(error, MismatchError | FetchError)  # some of it skopeo does not take


def hostile_registry_of(layout: Layout, data: bytes) -> Any:
    @contextmanager
    def served() -> Iterator[Registry]:
        whole = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
        republish(layout, whole)
        with hostile_registry(layout) as registry:
            registry.blobs[registry.tag] = data
            yield registry

    return served()


def test_a_manifest_that_is_not_of_its_digest(
    skopeo: Skopeo, layout: Layout, tmp_path: Path
) -> None:
    row = index_of(layout)["manifests"][1]
    with hostile_registry(layout) as registry:
        registry.blobs[row["digest"]] = registry.blobs[row["digest"]].replace(b"drive", b"drivE")
        error = attempt(skopeo, registry, tmp_path)
    assert isinstance(error, MismatchError)


# --- T17: sizes, sums, silence


def drive_of(layout: Layout) -> str:
    return str(layer(read(layout, index_of(layout)["manifests"][1]), DRIVE)["digest"])


def test_a_registry_that_sends_more_than_it_says(
    skopeo: Skopeo, layout: Layout, tmp_path: Path
) -> None:
    """It is stopped at once: nothing but the disk would bound it."""
    with hostile_registry(layout) as registry:
        registry.odd[drive_of(layout)] = endless
        begin = time.monotonic()
        error = attempt(skopeo, registry, tmp_path)
    assert isinstance(error, MismatchError | FetchError)
    assert time.monotonic() - begin < 20


def test_a_size_that_is_claimed_too_small(skopeo: Skopeo, layout: Layout, tmp_path: Path) -> None:
    edit_manifest(layout, 1, lambda told: told["layers"][2].update(size=1))
    with hostile_registry(layout) as registry:
        error = attempt(skopeo, registry, tmp_path)
    assert isinstance(error, MismatchError | FetchError)


def test_sizes_whose_sum_has_no_room(
    skopeo: Skopeo, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_manifest(layout, 1, lambda told: told["layers"][0].update(size=(64 << 30) - 1))
    error = rejected(skopeo, layout, tmp_path)
    assert "says that it has" in error.what
    monkeypatch.setattr("vcr.export.claims.MAX_BYTES", 1 << 62)
    edit_manifest(layout, 1, lambda told: told["layers"][0].update(size=1 << 60))
    with hostile_registry(layout) as registry:
        assert isinstance(attempt(skopeo, registry, tmp_path), HostError)


@pytest.mark.parametrize("which", ["index", "manifest", "blob"])
@pytest.mark.parametrize("how", [never, half])
def test_a_registry_that_says_nothing_is_not_waited_for(
    skopeo: Skopeo, layout: Layout, tmp_path: Path, which: str, how: Any
) -> None:
    row = index_of(layout)["manifests"][1]
    with hostile_registry(layout) as registry:
        digests = {"index": registry.tag, "manifest": row["digest"], "blob": drive_of(layout)}
        registry.odd[digests[which]] = how
        begin = time.monotonic()
        error = attempt(skopeo, registry, tmp_path)
        assert time.monotonic() - begin < 15
    assert isinstance(error, FetchError)


def test_a_registry_that_takes_nothing_is_not_waited_for(
    skopeo: Skopeo, layout: Layout, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vcr.tools.filling.LEAST_RATE", 1 << 20)  # two more seconds
    with hostile_registry(layout) as registry:
        begin = time.monotonic()
        with pytest.raises(FetchError, match="cannot write to"):
            push(skopeo, export, Reference.parse(f"{registry.address}/team/app:2"))
        assert time.monotonic() - begin < 20


def test_the_row_of_the_artifact_is_nowhere(layout: Layout) -> None:
    """So that nobody who wants an image takes it for one."""
    _, row = index_of(layout)["manifests"]
    assert row["platform"] == NOWHERE
