"""curl, wget and git over HTTPS: recorded once, replayed byte for byte."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from git_server import Site, git_site, run_git
from test_run import run_drv

from vcr.settings import Settings
from vcr.tools.derivation import Derivation
from vcr.tools.nix import Nix

pytestmark = [pytest.mark.nix, pytest.mark.vm, pytest.mark.limit(900)]

TOML = """\
[base.tools]
packages = ["curl", "wget", "git", "dash", "coreutils", "base-passwd", "base-files"]
"""
DOCKERFILE = """\
FROM tools
RUN curl -fsS https://example.test/plain -o /curl && wget -q https://example.test/plain -O /wget
RUN git clone -q --depth 1 https://example.test/git/repo /repo && rm -r /repo/.git
RUN curl -sS --noproxy '*' --max-time 5 telnet://198.18.0.1:22 < /dev/null; test $? = 7
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    git = Nix(Settings.load()).toolset("git") / "usr/bin/git"
    repository = tmp_path / "repositories" / "repo"
    repository.mkdir(parents=True)
    (repository / "file").write_text("from git\n")
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "one")):
        run_git(git, repository, *words)
    with git_site(git, repository.parent) as address:
        yield address


def test_clients_are_recorded_and_replayed(vcr: Any, tmp_path: Path, site: str) -> None:
    project = tmp_path / "app"
    project.mkdir()
    (project / "vcr.toml").write_text(TOML)
    (project / "Dockerfile").write_text(DOCKERFILE)
    vcr.env["VCR_MIRRORS"] = f"https://example.test/={site}"
    vcr("lock", "--export", tmp_path / "bodies", project)
    assert any("git-upload-pack" in line for line in Site.asked)
    lock = json.loads((project / "vcr.lock").read_text())
    exchanges = [e for run in lock["runs"]["riscv64"].values() for e in run["exchanges"]]
    assert all(e["url"].startswith("https://example.test/") for e in exchanges)
    # Every body is in the exported directory, too, by its hash.
    assert {e["sha256"] for e in exchanges} <= {
        p.name[:64] for p in (tmp_path / "bodies").iterdir()
    }
    # What the lock's answers make of each step is in the store already: the build finds it.
    drvs = [run_drv(project, f"0.{number}.run") for number in (1, 2, 3)]
    outputs = [output.path for drv in drvs for output in Derivation.read(drv).outputs]
    assert len(outputs) == 3
    subprocess.run(["nix-store", "--check-validity", *outputs], check=True)
    Site.asked.clear()
    built = vcr.json("build", "image", project)
    assert Site.asked == [], "a build asks nobody"
    manifest = json.loads(Path(built["ladder"][0]["path"]).read_text())
    blobs = Path(built["ladder"][0]["path"]).parent
    _, *steps = (blobs / layer["digest"].partition(":")[2] for layer in manifest["layers"])
    with tarfile.open(steps[0]) as layer:
        assert sorted(info.name for info in layer if info.isfile()) == ["curl", "wget"]
        assert layer.extractfile("curl").read() == b"plain text\n"  # type: ignore[union-attr]
    with tarfile.open(steps[1]) as layer:
        assert [info.name for info in layer if info.isfile()] == ["repo/file"]
        assert layer.extractfile("repo/file").read() == b"from git\n"  # type: ignore[union-attr]
    # The proxy's authority leaves no trace.
    assert not any(b"BEGIN CERTIFICATE" in step.read_bytes() for step in steps)
