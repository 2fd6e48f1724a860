"""Images as registries have them, each made here and built on: a real registry, the real skopeo.

Docker's documents and OCI's, indexes in indexes, packed in every way, with attestations, foreign
layers and what no image may have.
"""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from services import home_of_plain_http, registry_server, tool

from vcr.settings import Settings

pytestmark = pytest.mark.nix

OCI, DOCKER = "application/vnd.oci.image.", "application/vnd.docker."
INDEX, LIST = f"{OCI}index.v1+json", f"{DOCKER}distribution.manifest.list.v2+json"
MANIFEST, SCHEMA_2 = f"{OCI}manifest.v1+json", f"{DOCKER}distribution.manifest.v2+json"
CONFIGS = {MANIFEST: f"{OCI}config.v1+json", SCHEMA_2: f"{DOCKER}container.image.v1+json"}
LAYER, DIFF = f"{OCI}layer.v1.tar", f"{DOCKER}image.rootfs.diff.tar.gzip"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def described(data: bytes, kind: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(data), "size": len(data), **more}


def platform(arch: str, os: str = "linux", **more: str) -> dict[str, Any]:
    return {"platform": {"architecture": arch, "os": os, **more}}


def tar_of(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def zstd(data: bytes) -> bytes:
    return subprocess.run(
        [tool("build", "zstd"), "-q", "-c"], input=data, check=True, capture_output=True
    ).stdout


@dataclass
class Repository:
    """A repository of the registry, filled by its own interface."""

    address: str
    name: str
    home: Path
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        return f"{self.address}/{self.name}"

    def blob(self, data: bytes) -> bytes:
        """Push DATA."""
        self.blobs[digest(data)] = data
        with self._ask("POST", "blobs/uploads/") as answer:
            place = answer.headers["Location"]
        place += f"{'&' if '?' in place else '?'}digest={digest(data)}"
        self._ask("PUT", place, data, "application/octet-stream").close()
        return data

    def document(self, content: dict[str, Any], kind: str, tag: str = "") -> bytes:
        """Push a manifest or an index."""
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, **content}).encode()
        self._ask("PUT", f"manifests/{tag or digest(data)}", data, kind).close()
        return data

    def image(
        self,
        arch: str,
        kind: str = MANIFEST,
        layer_kind: str = f"{LAYER}+gzip",
        tag: str = "",
        **files: str,
    ) -> bytes:
        """Push an image of one layer that is packed as LAYER_KIND says; return its manifest."""
        plain = tar_of(arch=arch, **files)
        layer = plain
        if layer_kind.endswith("zstd"):
            layer = zstd(plain)
        elif layer_kind.endswith("gzip"):
            layer = gzip.compress(plain)
        self.blob(layer)
        config = self.blob(self.config(arch, plain))
        content = {
            "config": described(config, CONFIGS[kind]),
            "layers": [described(layer, layer_kind)],
        }
        return self.document(content, kind, tag)

    def config(self, arch: str, *layers: bytes) -> bytes:
        return json.dumps(
            {
                "architecture": arch,
                "os": "linux",
                "config": {"Env": [f"ARCH={arch}"], "Cmd": ["/arch"]},
                "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
            }
        ).encode()

    def _ask(self, method: str, path: str, data: bytes = b"", kind: str = "") -> Any:
        url = path if "://" in path else f"http://{self.address}/v2/{self.name}/{path}"
        headers = {"Content-Type": kind} if kind else {}
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 -- http
        return urllib.request.urlopen(request, timeout=30)  # noqa: S310


@pytest.fixture
def repository(vcr: Any, tmp_path: Path) -> Iterator[Repository]:
    # Foreign layers are at addresses, and the registry wants to know which it may name.
    urls = {"manifests": {"urls": {"allow": ["^https://"]}}}
    with registry_server(tmp_path / "registry", validation=urls) as address:
        home = home_of_plain_http(tmp_path / "home", address)
        vcr.env.setdefault("XDG_CACHE_HOME", str(Settings.load().cache_dir.parent))
        vcr.env["HOME"] = str(home)
        yield Repository(address, "team/base", home)


def built_on(vcr: Any, directory: Path, reference: str, arch: str = "riscv64") -> str:
    """Lock and build `FROM REFERENCE`; return what its only layer has as /arch."""
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text(f"FROM {reference}\nENV HERE=1\n")
    vcr("lock", directory)
    image = vcr.json("build", "image", directory, "--arch", arch)["ladder"][0]
    manifest = json.loads(Path(image["path"]).read_text())
    blobs = Path(image["path"]).parent
    config = json.loads((blobs / manifest["config"]["digest"].partition(":")[2]).read_text())
    assert f"ARCH={arch}" in config["config"]["Env"]
    (layer,) = manifest["layers"]
    with tarfile.open(blobs / layer["digest"].partition(":")[2]) as tar:
        file = tar.extractfile("arch")
        assert file is not None
        return file.read().decode()


KINDS = {
    "oci plain": (MANIFEST, LAYER),
    "oci gzip": (MANIFEST, f"{LAYER}+gzip"),
    "oci zstd": (MANIFEST, f"{LAYER}+zstd"),
    "schema 2": (SCHEMA_2, DIFF),
}


@pytest.mark.parametrize("name", KINDS)
def test_an_image_of_each_kind_is_built_on(
    vcr: Any, repository: Repository, tmp_path: Path, name: str
) -> None:
    repository.image("riscv64", *KINDS[name], tag="1")
    assert built_on(vcr, tmp_path / "p", f"{repository.reference}:1") == "riscv64"


@pytest.mark.parametrize(("kind", "of"), [(INDEX, MANIFEST), (LIST, SCHEMA_2), (INDEX, SCHEMA_2)])
def test_only_the_architecture_that_is_built_is_fetched(
    vcr: Any, repository: Repository, tmp_path: Path, kind: str, of: str
) -> None:
    """By tag and by digest; the layers of the others are not even in the registry."""
    archs = ["amd64", "arm64", "riscv64", "s390x"]
    layer_kind = DIFF if of == SCHEMA_2 else f"{LAYER}+gzip"
    images = {arch: repository.image(arch, of, layer_kind) for arch in archs}
    rows = [described(images[arch], of, **platform(arch)) for arch in archs]
    top = repository.document({"manifests": rows}, kind, "1")
    for data in [images["amd64"], images["arm64"], images["s390x"]]:
        (layer,) = json.loads(data)["layers"]
        repository._ask("DELETE", f"blobs/{layer['digest']}").close()
    assert built_on(vcr, tmp_path / "p", f"{repository.reference}:1") == "riscv64"
    by_digest = f"{repository.reference}@{digest(top)}"
    assert built_on(vcr, tmp_path / "q", by_digest) == "riscv64"
    lock = json.loads((tmp_path / "p/vcr.lock").read_text())
    (base,) = lock["bases"].values()
    assert base["reference"] == f"docker://{repository.reference}@{digest(top)}"
    assert base["indexes"] == {digest(top): len(top)}
    assert set(base["archs"]) == {"amd64", "arm64", "riscv64"}
    config = base["archs"]["amd64"]["config"]
    assert config == {"Env": ["ARCH=amd64"], "Cmd": ["/arch"]}
    done = vcr("build", "image", tmp_path / "p", "--arch", "amd64", code=7)
    assert "cannot read docker://" in done.stderr


def test_a_name_as_those_of_official_images(
    vcr: Any, repository: Repository, tmp_path: Path
) -> None:
    repository.name = "library/x"
    repository.image("riscv64", SCHEMA_2, DIFF, tag="1.2-slim-trixie")
    reference = f"{repository.reference}:1.2-slim-trixie"
    assert built_on(vcr, tmp_path / "p", reference) == "riscv64"
    by_both = f"{reference}@{digest(repository.image('riscv64', SCHEMA_2, DIFF))}"
    assert built_on(vcr, tmp_path / "q", by_both) == "riscv64"


def test_an_index_in_an_index_with_attestations(
    vcr: Any, repository: Repository, tmp_path: Path
) -> None:
    image = repository.image("riscv64")
    old = repository.image("riscv64", file="of another variant")
    statement = repository.blob(b'{"_type": "https://in-toto.io/Statement/v0.1"}')
    nothing = repository.blob(b'{"architecture": "unknown", "os": "unknown"}')
    attestation = repository.document(
        {
            "config": described(nothing, CONFIGS[MANIFEST]),
            "layers": [described(statement, "application/vnd.in-toto+json")],
        },
        MANIFEST,
    )
    refers = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": digest(image),
    }
    windows = repository.image("riscv64", file="for windows")
    rows = [
        described(attestation, MANIFEST, annotations=refers, **platform("unknown", "unknown")),
        described(windows, MANIFEST, **platform("riscv64", "windows")),
        described(old, MANIFEST, **platform("riscv64", variant="rva23u64")),
        described(image, MANIFEST, **platform("riscv64")),
    ]
    inner = repository.document({"manifests": rows}, INDEX)
    top = repository.document({"manifests": [described(inner, INDEX)]}, INDEX, "1")
    assert built_on(vcr, tmp_path / "p", f"{repository.reference}:1") == "riscv64"
    (base,) = json.loads((tmp_path / "p/vcr.lock").read_text())["bases"].values()
    assert set(base["indexes"]) == {digest(top), digest(inner)}
    assert base["archs"]["riscv64"]["manifest"] == digest(image)


def test_an_image_without_riscv64_is_told_before_a_layer_is_read(
    vcr: Any, repository: Repository, tmp_path: Path
) -> None:
    repository.name = "library/python"
    image = repository.image("amd64")
    row = described(image, MANIFEST, **platform("amd64"))
    repository.document({"manifests": [row]}, INDEX, "3.12-slim")
    (layer,) = json.loads(image)["layers"]
    repository._ask("DELETE", f"blobs/{layer['digest']}").close()
    name = f"{repository.reference}:3.12-slim"
    (tmp_path / "Dockerfile").write_text(f"# app\nFROM {name}\nRUN true\n")
    done = vcr("lock", tmp_path, code=2)
    assert f"Dockerfile:2:1: {name} has no image for riscv64" in done.stderr
    assert "it has amd64" in done.stderr
    assert f'[base."{name}"]' in done.stderr
    assert 'packages = ["python3", ' in done.stderr
    assert not (tmp_path / "vcr.lock").exists()


def test_an_image_for_other_machines_only(vcr: Any, repository: Repository, tmp_path: Path) -> None:
    rows = [
        described(repository.image(arch), MANIFEST, **platform(arch)) for arch in ("s390x", "arm")
    ]
    repository.document({"manifests": rows}, INDEX, "1")
    (tmp_path / "Dockerfile").write_text(f"FROM {repository.reference}:1\n")
    done = vcr("lock", tmp_path, code=2)
    assert "has no image for" in done.stderr
    assert "it has linux/s390x, linux/arm" in done.stderr


@pytest.mark.parametrize(
    ("kind", "layer_kind"),
    [
        (MANIFEST, f"{OCI}layer.nondistributable.v1.tar+gzip"),
        (SCHEMA_2, f"{DOCKER}image.rootfs.foreign.diff.tar.gzip"),
    ],
)
def test_a_foreign_layer_is_refused(
    vcr: Any, repository: Repository, tmp_path: Path, kind: str, layer_kind: str
) -> None:
    layer = gzip.compress(tar_of(arch="x"))
    config = repository.blob(repository.config("riscv64", tar_of(arch="x")))
    row = described(layer, layer_kind, urls=["https://example.invalid/layer"])
    repository.blob(layer)
    repository.document({"config": described(config, CONFIGS[kind]), "layers": [row]}, kind, "1")
    (tmp_path / "Dockerfile").write_text(f"FROM {repository.reference}:1\n")
    done = vcr("lock", tmp_path, code=2)
    assert "Dockerfile:1:" in done.stderr
    assert "has a layer that its registry does not have" in done.stderr
    assert not (tmp_path / "vcr.lock").exists()


def test_a_layer_of_an_unknown_kind_is_refused(
    vcr: Any, repository: Repository, tmp_path: Path
) -> None:
    repository.image("riscv64", MANIFEST, f"{LAYER}+gzip+encrypted", tag="1")
    (tmp_path / "Dockerfile").write_text(f"FROM {repository.reference}:1\n")
    done = vcr("lock", tmp_path, code=2)
    assert "has a layer of an unknown kind" in done.stderr
    assert "tar+gzip+encrypted" in done.stderr


def test_a_layer_is_as_large_as_its_manifest_says(
    vcr: Any, repository: Repository, tmp_path: Path
) -> None:
    plain = tar_of(arch="riscv64", new=os.urandom(9).hex())
    config = repository.blob(repository.config("riscv64", plain))
    layer = described(repository.blob(plain), LAYER)
    layer["size"] += 1
    content = {"config": described(config, CONFIGS[MANIFEST]), "layers": [layer]}
    repository.document(content, MANIFEST, "1")
    (tmp_path / "Dockerfile").write_text(f"FROM {repository.reference}:1\n")
    vcr("lock", tmp_path)
    done = vcr("build", "image", tmp_path, code=3)
    assert "is not the image that vcr.lock names" in done.stderr


def test_a_layer_holds_what_the_config_says(
    vcr: Any, repository: Repository, tmp_path: Path
) -> None:
    config = repository.blob(repository.config("riscv64", tar_of(arch="other")))
    layer = described(repository.blob(zstd(tar_of(arch="riscv64"))), f"{LAYER}+zstd")
    content = {"config": described(config, CONFIGS[MANIFEST]), "layers": [layer]}
    repository.document(content, MANIFEST, "1")
    (tmp_path / "Dockerfile").write_text(f"FROM {repository.reference}:1\n")
    vcr("lock", tmp_path)
    done = vcr("build", "image", tmp_path, code=1)
    assert "does not hold sha256:" in done.stderr


@pytest.mark.parametrize("field", ["manifest", "config"])
def test_a_lock_that_is_not_of_its_image_is_refused(
    vcr: Any, repository: Repository, tmp_path: Path, field: str
) -> None:
    """Another image of the same repository, and another config, both with hashes that are right."""
    mine, other = repository.image("riscv64"), repository.image("riscv64", file="other", tag="2")
    rows = [described(mine, MANIFEST, **platform("riscv64"))]
    repository.document({"manifests": rows}, INDEX, "1")
    (tmp_path / "Dockerfile").write_text(f"FROM {repository.reference}:1\n")
    vcr("lock", tmp_path)
    lock = json.loads((tmp_path / "vcr.lock").read_text())
    entry = lock["bases"][f"{repository.reference}:1"]["archs"]["riscv64"]
    if field == "config":
        entry["config"] = {"Cmd": ["/evil"]}
    else:
        parts = [json.loads(other)["config"], *json.loads(other)["layers"]]
        entry["manifest"] = digest(other)
        entry["blobs"] = {part["digest"]: part["size"] for part in parts}
        entry["blobs"][digest(other)] = len(other)
    (tmp_path / "vcr.lock").write_text(json.dumps(lock))
    done = vcr("build", "image", tmp_path, code=3)
    assert "vcr.lock contradicts the image" in done.stderr
