"""A registry that leads to this host, says nothing, or nests without end; skopeo is real."""

import hashlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services import home_of_plain_http, toolset

from vcr.errors import FetchError, MismatchError, VcrError
from vcr.lock.layout import Images, layout_top
from vcr.lock.layout import images as images_of
from vcr.lock.oci import ImageStore
from vcr.model.project import load_project
from vcr.model.sections.base import Base
from vcr.settings import Settings
from vcr.tools.nix import Nix
from vcr.tools.skopeo import Skopeo

pytestmark = pytest.mark.nix

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = json.dumps({"architecture": "riscv64", "os": "linux", "rootfs": {"type": "layers"}})


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def described(data: bytes, kind: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(data), "size": len(data), **more}


def manifest_of(config: bytes) -> bytes:
    kind = "application/vnd.oci.image.config.v1+json"
    told = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described(config, kind)}
    return json.dumps({**told, "layers": []}).encode()


class Registry(http.server.BaseHTTPRequestHandler):
    """Has one image; where its blobs are, it says by a redirect."""

    leads_to = ""  # "" gives the blob itself
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        config = CONFIG.encode()
        if "/manifests/" in self.path:
            self._say(200, manifest_of(config), {"Content-Type": MANIFEST})
        elif "/blobs/" in self.path and self.leads_to == "silence":
            time.sleep(20)
        elif "/blobs/" in self.path and self.leads_to:
            self._say(307, b"", {"Location": self.leads_to})
        else:
            self._say(200, config if "/blobs/" in self.path else b"{}", {})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Victim(http.server.BaseHTTPRequestHandler):
    """A service of this host that has what the registry wants to have in a lock."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = CONFIG.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """The ports of a registry and of a victim; skopeo is told to speak HTTP with the registry."""
    servers = []
    for handler in (Registry, Victim):
        handler.asked = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    own, victim = (server.server_port for server in servers)
    home = home_of_plain_http(tmp_path / "home", f"127.0.0.1:{own}")
    monkeypatch.setenv("HOME", str(home))
    yield own, victim
    for server in servers:
        server.shutdown()
        server.server_close()


def lock(directory: Path, registry: int, patience: float = 60) -> Any:
    (directory / "Dockerfile").write_text("FROM scratch\n")
    skopeo = Skopeo(toolset("oci") / "usr/bin/skopeo", patience)
    store = ImageStore(skopeo, Nix(Settings.load()))
    return store.lock(load_project(directory), Base(image=f"127.0.0.1:{registry}/a/b:1"))


def test_a_registry_of_this_host_that_is_named_is_asked(
    served: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "leads_to", "")
    locked = lock(tmp_path, served[0])
    assert [str(arch) for arch in locked.archs] == ["riscv64"]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1.2.3", "localhost", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"],
)
def test_a_registry_does_not_lead_to_another_service_of_this_host(
    served: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(Registry, "leads_to", f"http://{host}:{served[1]}/config")
    with pytest.raises(FetchError, match="cannot read"):
        lock(tmp_path, served[0])
    assert any("/blobs/" in path for path in Registry.asked)
    assert Victim.asked == []


def test_a_registry_does_not_lead_to_the_metadata_service_of_a_cloud(
    served: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "leads_to", "http://169.254.169.254/latest/meta-data")
    with pytest.raises(FetchError, match="cannot read") as caught:
        lock(tmp_path, served[0])
    assert "169.254.169.254" in caught.value.why


def test_a_registry_that_says_nothing_is_waited_for_so_long(
    served: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "leads_to", "silence")
    begun = time.monotonic()
    with pytest.raises(VcrError):
        lock(tmp_path, served[0], patience=3)
    assert time.monotonic() - begun < 60


def layout_of(directory: Path, blobs: list[bytes], index: dict[str, Any]) -> Path:
    (directory / "blobs/sha256").mkdir(parents=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for blob in blobs:
        (directory / "blobs/sha256" / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
    (directory / "index.json").write_text(json.dumps(index))
    return directory


def images(layout: Path) -> Images:
    return images_of(*layout_top(layout))


def test_indexes_in_indexes_are_read_a_little_deep_and_each_once(tmp_path: Path) -> None:
    config = CONFIG.encode()
    blobs = [config, manifest_of(config)]
    inner = described(blobs[-1], MANIFEST)
    for _ in range(3):
        blobs.append(json.dumps({"schemaVersion": 2, "manifests": [inner] * 1000}).encode())
        inner = described(blobs[-1], INDEX)
    (only,) = images(layout_of(tmp_path / "a", blobs, {"manifests": [inner]})).archs
    assert only == "riscv64"
    blobs.append(json.dumps({"schemaVersion": 2, "manifests": [inner]}).encode())
    index = {"manifests": [described(blobs[-1], INDEX)]}
    with pytest.raises(MismatchError, match="not a valid image") as caught:
        images(layout_of(tmp_path / "b", blobs, index))
    assert "nested more than 3 deep" in caught.value.why
    many = [manifest_of(f"{n}".encode()) for n in range(513)]
    index = {"manifests": [described(m, MANIFEST, platform={"architecture": "x"}) for m in many]}
    with pytest.raises(MismatchError) as caught:
        images(layout_of(tmp_path / "c", many, index))
    assert "more than 512 manifests" in caught.value.why


@pytest.mark.parametrize(
    "index",
    [
        [], {}, {"manifests": 1}, {"manifests": [1]}, {"manifests": [{}]},
        {"manifests": [{"digest": 1}]}, {"manifests": [{"digest": "sha256:" + "0" * 64}]},
        {"manifests": [{"digest": "sha512:" + "0" * 128}]},
        {"manifests": [{"digest": "sha384:" + "0" * 96}]},
        {"manifests": [{"digest": "../../etc/passwd"}]},
        {"manifests": [described(b"[]", MANIFEST)]},
        {"manifests": [described(b"not JSON", MANIFEST)]},
        {"manifests": [described(b"[" * 200_000, MANIFEST)]},
        {"manifests": [described(b" " * (5 << 20), MANIFEST)]},
        {"manifests": [described(b"{}", INDEX)]},
    ],
    ids=range(15),
)  # fmt: skip
def test_a_layout_of_garbage_is_said_in_words(tmp_path: Path, index: Any) -> None:
    blobs = [b"[]", b"not JSON", b"[" * 200_000, b" " * (5 << 20), b"{}"]
    with pytest.raises(MismatchError):
        images(layout_of(tmp_path / "layout", blobs, index))
