"""An export as OCI content, there and back; references; what skopeo is told."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from exports import make_built

from vcr import process
from vcr.errors import FetchError, HostError, MismatchError, UsageError, VcrError
from vcr.export.artifact import ARTIFACT, EMPTY, TITLE, unpack_layout, write_layout
from vcr.export.check import check_export
from vcr.export.manifest import MANIFEST
from vcr.export.reference import Reference
from vcr.export.registry import write
from vcr.export.write import write_export
from vcr.formats.oci import Layout, canonical
from vcr.tools.skopeo import Skopeo


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("artifact")
    write_export(make_built(root / "store"), root / "export")
    return root / "export"


@pytest.fixture
def layout(export: Path, tmp_path: Path) -> Path:
    write_layout(export, check_export(export), tmp_path / "layout")
    return tmp_path / "layout"


def blob(layout: Path, digest: str) -> Path:
    return layout / "blobs/sha256" / digest.removeprefix("sha256:")


def read(layout: Path, descriptor: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(blob(layout, descriptor["digest"]).read_bytes()))


def rows_of(layout: Path) -> list[dict[str, Any]]:
    (top,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    return list(read(layout, top)["manifests"])


def test_the_artifact_is_what_oras_takes(export: Path, layout: Path) -> None:
    image, row = rows_of(layout)
    assert image["platform"]["architecture"] == "riscv64"
    assert row["artifactType"] == ARTIFACT
    artifact = read(layout, row)
    assert artifact["artifactType"] == ARTIFACT
    assert artifact["config"]["mediaType"] == EMPTY
    assert blob(layout, artifact["config"]["digest"]).read_bytes() == b"{}"
    assert artifact["subject"]["digest"] == image["digest"]
    layers = {layer["annotations"][TITLE]: layer for layer in artifact["layers"]}
    assert layers["drive"]["mediaType"] == "application/vnd.vcr.drive.v1.squashfs+verity"
    assert layers["ladder.json"]["mediaType"] == "application/vnd.vcr.ladder.v1+json"
    for title, layer in layers.items():
        data = (export / title).read_bytes()
        assert layer["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert layer["size"] == len(data)
    assert len(read(layout, image)["layers"]) == 1


def test_it_comes_back_as_it_went(export: Path, layout: Path, tmp_path: Path) -> None:
    unpack_layout(layout, tmp_path / "back")
    assert check_export(tmp_path / "back") == check_export(export)


def test_the_same_export_gives_the_same_layout(export: Path, tmp_path: Path) -> None:
    digests = {write(export, tmp_path / name) for name in ("a", "b")}
    assert len(digests) == 1
    assert (tmp_path / "a/index.json").read_bytes() == (tmp_path / "b/index.json").read_bytes()
    with pytest.raises(UsageError, match="is not empty"):
        write(export, tmp_path / "a")


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_of_a_layout_is_found(layout: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    blobs = sorted((layout / "blobs/sha256").iterdir())
    victim = chance.choice([each for each in blobs if each.read_bytes() != b"{}"])
    data = bytearray(victim.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    victim.write_bytes(data)
    with pytest.raises(MismatchError):
        unpack_layout(layout, tmp_path / "back")


def forged(layout: Path, manifest: bytes) -> None:
    """Put another MANIFEST of the export into LAYOUT, every digest as it should be."""
    made = Layout(layout)
    image, row = rows_of(layout)
    artifact = read(layout, row)
    for layer in artifact["layers"]:
        if layer["annotations"][TITLE] == MANIFEST:
            layer.update(made.add_bytes(manifest, layer["mediaType"]).to_json())
    again = made.add_bytes(canonical(artifact), row["mediaType"]).to_json()
    index = {"schemaVersion": 2, "manifests": [image, {**row, **again}]}
    kind = "application/vnd.oci.image.index.v1+json"
    made.finish([made.add_bytes(canonical(index), kind).to_json()])


def test_nothing_is_written_outside(export: Path, layout: Path, tmp_path: Path) -> None:
    text = (export / MANIFEST).read_text()
    forged(layout, text.replace('"path": "deploy.json"', '"path": "../deploy.json"').encode())
    with pytest.raises(MismatchError, match="not that of an export"):
        unpack_layout(layout, tmp_path / "deep" / "back")
    assert not (tmp_path / "deep" / "deploy.json").exists()


def test_an_image_that_is_not_the_exports_is_noticed(layout: Path, tmp_path: Path) -> None:
    made = Layout(layout)
    other = made.add_image([], {"Cmd": ["evil"]}, "riscv64", 0)
    _, row = rows_of(layout)
    kind = "application/vnd.oci.image.index.v1+json"
    index = {"schemaVersion": 2, "manifests": [other.to_json(), row]}
    made.finish([made.add_bytes(canonical(index), kind).to_json()])
    with pytest.raises(MismatchError, match="the image beside the export is another one"):
        unpack_layout(layout, tmp_path / "back")


def test_a_layout_without_an_export_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    image = layout.add_image([], {}, "riscv64", 0)
    layout.finish([image.to_json()])
    with pytest.raises(MismatchError, match="not contain an export"):
        unpack_layout(layout.root, tmp_path / "back")


# --- references


@pytest.mark.parametrize(
    ("text", "image", "is_loopback"),
    [
        ("127.0.0.1:5000/a:1", "docker://127.0.0.1:5000/a:1", True),
        ("127.1.2.3/a", "docker://127.1.2.3/a", True),
        ("[::1]:5000/a/b", "docker://[::1]:5000/a/b", True),
        ("localhost/a", "docker://localhost/a", True),
        ("example.org/team/app:v1.2", "docker://example.org/team/app:v1.2", False),
        ("localhost.example.org/a", "docker://localhost.example.org/a", False),
        ("host:5000/a", "docker://host:5000/a", False),
        (f"example.org/a:1@sha256:{'0' * 64}", f"docker://example.org/a@sha256:{'0' * 64}", False),
    ],
)
def test_references_are_read(text: str, image: str, *, is_loopback: bool) -> None:
    reference = Reference.parse(text)
    assert (reference.image, reference.is_loopback) == (image, is_loopback)


@pytest.mark.parametrize(
    "text",
    ["", "app", "team/app:1", "user:word@example.org/a", "example.org/A", "example.org/a:",
     "https://example.org/a", "example.org/a@sha256:0", "example.org/../a", "-o.org/--x a"],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse(text)


# --- skopeo


def told(monkeypatch: pytest.MonkeyPatch, failure: str = "") -> list[list[str]]:
    seen: list[list[str]] = []

    def run(argv: list[object], **_: object) -> None:
        seen.append([str(word) for word in argv])
        if failure:
            raise VcrError("skopeo failed", tail=[failure])

    monkeypatch.setattr(process, "run", run)
    return seen


def test_only_a_registry_on_this_host_is_spoken_to_in_the_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, skopeo = told(monkeypatch), Skopeo(Path("/s/skopeo"))
    skopeo.push_all(Path("/l"), "docker://127.0.0.1/a", plain_http=True)
    skopeo.push_all(Path("/l"), "docker://example.org/a", plain_http=False)
    skopeo.copy_all("docker://example.org/a", Path("/l"), plain_http=False)
    skopeo.copy_all("docker://example.org/a", Path("/l"))
    begin = ["/s/skopeo", "--insecure-policy", "copy", "--all", "--preserve-digests"]
    assert seen == [
        [*begin, "--dest-tls-verify=false", "oci:/l", "docker://127.0.0.1/a"],
        [*begin, "--dest-tls-verify=true", "oci:/l", "docker://example.org/a"],
        [*begin, "--src-tls-verify=true", "docker://example.org/a", "oci:/l:locked"],
        [*begin, "docker://example.org/a", "oci:/l:locked"],
    ]


@pytest.mark.parametrize(
    ("said", "kind", "fix"),
    [
        ("unauthorized: authentication required", HostError, "skopeo login example.org:5000"),
        ("Digest did not match, expected sha256:0", MismatchError, "do not trust"),
        ("connection refused", FetchError, "check the reference"),
    ],
)
def test_what_a_registry_refuses(
    monkeypatch: pytest.MonkeyPatch, said: str, kind: type[VcrError], fix: str
) -> None:
    told(monkeypatch, said)
    skopeo = Skopeo(Path("/s/skopeo"))
    with pytest.raises(kind) as caught:
        skopeo.copy_all("docker://example.org:5000/a", Path("/l"))
    assert fix in caught.value.fix
    with pytest.raises(kind, match="cannot write to docker://"):
        skopeo.push_all(Path("/l"), "docker://example.org:5000/a", plain_http=False)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            r'time="2026-11-30T21:00:57Z" level=fatal msg="Get \"https://h/v2/\": Bad Gateway"',
            'Get "https://h/v2/": Bad Gateway',
        ),
        ('time="x" level=fatal msg=short', "short"),
        ("plain words", "plain words"),
        (r'level=fatal msg="\xff"', r'level=fatal msg="\xff"'),
    ],
)
def test_what_skopeo_says_is_without_its_log_s_form(
    monkeypatch: pytest.MonkeyPatch, said: str, why: str
) -> None:
    told(monkeypatch, said)
    with pytest.raises(VcrError) as caught:
        Skopeo(Path("/s/skopeo")).copy_all("docker://example.org/a", Path("/l"))
    assert caught.value.why == why
