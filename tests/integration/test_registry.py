"""Bases from a registry: a real one on loopback, locked by digest, built without it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services import home_of_plain_http, registry_server, tool

from vcr.settings import Settings

pytestmark = pytest.mark.nix

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def registry(vcr: Any, tmp_path: Path) -> Iterator[str]:
    """Start a registry and tell skopeo, by its own configuration, that it speaks plain HTTP."""
    with registry_server(tmp_path / "registry") as address:
        home = home_of_plain_http(tmp_path / "home", address)
        vcr.env.setdefault("XDG_CACHE_HOME", str(Settings.load().cache_dir.parent))
        vcr.env["HOME"] = str(home)
        yield address


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
