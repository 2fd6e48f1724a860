"""Bases from a registry: a real one on loopback, locked by digest, built without it."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vcr.settings import Settings
from vcr.tools.nix import Nix

pytestmark = pytest.mark.nix

REPO = Path(__file__).resolve().parents[2]


def tool(name: str, program: str) -> Path:
    return Nix(Settings.load()).build(name, lambda _: None) / "usr/bin" / program


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the registry did not start")


@pytest.fixture
def registry(vcr: Any, tmp_path: Path) -> Iterator[str]:
    """Start a registry and tell skopeo, by its own configuration, that it speaks plain HTTP."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (tmp_path / "registry.yml").write_text(json.dumps(config))
    home = tmp_path / "home"
    (home / ".config/containers").mkdir(parents=True)
    (home / ".config/containers/registries.conf").write_text(
        f'[[registry]]\nlocation = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    vcr.env.setdefault("XDG_CACHE_HOME", str(Settings.load().cache_dir.parent))
    vcr.env["HOME"] = str(home)
    server = subprocess.Popen(
        [tool("registry", "docker-registry"), "serve", tmp_path / "registry.yml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)
        yield f"127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def test_an_image_of_a_registry_is_locked_and_built_on(
    vcr: Any, registry: str, tmp_path: Path
) -> None:
    built = vcr.json("build", "image", REPO / "examples/static")
    reference = f"{registry}/team/base"
    subprocess.run(
        [tool("oci", "skopeo"), "--insecure-policy", "copy",
         f"oci:{built['stages'][0]['path']}/layout:latest", f"docker://{reference}:1"],
        env={**os.environ, "HOME": vcr.env["HOME"]},
        check=True,
        capture_output=True,
    )  # fmt: skip
    project = tmp_path / "project"
    project.mkdir()
    (project / "Dockerfile").write_text(f"FROM {reference}:1\nENV BUILT_ON=registry\n")
    vcr("lock", project)
    locked = json.loads((project / "vcr.lock").read_text())["bases"][f"{reference}:1"]
    assert locked["reference"].startswith(f"docker://{reference}@sha256:")
    assert locked["archs"]["riscv64"]["config"]["User"] == "1000:1000"
    image = vcr.json("build", "image", project)["ladder"][0]
    manifest = json.loads(Path(image["path"]).read_text())
    config = json.loads(
        (Path(image["path"]).parent / manifest["config"]["digest"].removeprefix("sha256:"))
        .read_text()
    )  # fmt: skip
    assert "BUILT_ON=registry" in config["config"]["Env"]
    assert config["config"]["Cmd"][:2] == ["busybox", "httpd"]


def test_an_image_that_is_not_there_is_worth_another_try(
    vcr: Any, registry: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {registry}/team/none:1\n")
    done = vcr("lock", tmp_path, code=7)
    assert f"cannot read docker://{registry}/team/none:1" in done.stderr
    assert not (tmp_path / "vcr.lock").exists()
