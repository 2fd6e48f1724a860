"""apk, as Alpine has it: its certificates, signatures, index, cache and database.

A repository of own packages stands in for Alpine's, behind VCR_MIRRORS; apk is one that was built
of its source, statically.
"""

import json
import os
import random
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from again import assert_same_again
from apk_repository import Package, Repository
from services import site_of
from test_run import run_drv

from vcr.model.arch import Arch

APKS = [path for path in os.environ.get("VCR_APK", "").split(":") if path]
pytestmark = [
    pytest.mark.nix,
    pytest.mark.vm,
    pytest.mark.kernel("amd64"),
    pytest.mark.limit(1800),
    pytest.mark.skipif(not APKS, reason="needs VCR_APK: static builds of apk-tools for amd64"),
]

ALPINE = "https://dl-cdn.alpinelinux.org/alpine/"
TOML = """\
[base.alpine]
packages = ["dash", "coreutils", "base-passwd", "base-files"]

[build]
memory = "512 MiB"
"""
DOCKERFILE = f"""\
FROM alpine
COPY apk /sbin/apk
COPY KEY /etc/apk/keys/KEY
RUN mkdir -p /var/cache/apk && apk add --arch x86_64 --initdb \\
 && echo {ALPINE}v3.22/main > /etc/apk/repositories
RUN apk add --no-cache greeting && greet > /said
RUN apk update && apk upgrade && apk add bulk && apk del bulk
"""
DATABASE = "usr/lib/apk/db/installed"  # /lib leads there


class Site(SimpleHTTPRequestHandler):
    """The repository, and what was asked of it."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "site/v3.22/main")
    script = b'#!/bin/sh\necho "hello from $(cat /usr/share/words)"\n'
    noise = random.Random(1).randbytes(900_000)
    made.publish(
        Package(
            "greeting", "1.0-r0", {"usr/bin/greet": script, "etc/greet.conf": b"x=1\n"},
            depends="words>=1", after="#!/bin/sh\necho configured > /etc/greeted\n",
        ),
        Package(
            "words", "2.1-r3", {"usr/share/words": b"apk\n"},
            trigger=("/usr/share", "#!/bin/sh\necho triggered > /etc/triggered\n"),
        ),
        Package("bulk", "7-r0", {"usr/share/bulk": noise}),
    )  # fmt: skip
    return made


@pytest.fixture
def site(tmp_path: Path, repository: Repository) -> Iterator[str]:
    Site.asked = []
    root = repository.directory.parents[1]
    with site_of(partial(Site, directory=str(root))) as url:
        yield f"{url}/"


def files_of(manifest: Path) -> list[dict[str, bytes]]:
    """Return the regular files of each layer of the image with MANIFEST."""
    found = []
    for layer in json.loads(manifest.read_text())["layers"]:
        with tarfile.open(manifest.parent / layer["digest"].partition(":")[2]) as tar:
            members = [info for info in tar if info.isfile()]
            found.append({i.name: tar.extractfile(i).read() for i in members})  # type: ignore[union-attr]
    return found


@pytest.mark.parametrize("apk", APKS)
def test_apk_is_recorded_and_replayed(
    vcr: Any, tmp_path: Path, site: str, repository: Repository, apk: str
) -> None:
    project = tmp_path / "app"
    project.mkdir()
    (project / "vcr.toml").write_text(TOML)
    (project / "Dockerfile").write_text(DOCKERFILE.replace("KEY", repository.key))
    (project / repository.key).write_bytes(repository.public)
    (project / "apk").write_bytes(Path(apk).read_bytes())
    (project / "apk").chmod(0o755)
    vcr.env["VCR_MIRRORS"] = f"{ALPINE}={site}"
    locked = vcr("lock", "--arch", "amd64", project)
    assert any("APKINDEX" in path for path in Site.asked)
    # The address that is locked is Alpine's; the lock says that nobody keeps what is there.
    lock = (project / "vcr.lock").read_text()
    runs = json.loads(lock)["runs"]["amd64"].values()
    urls = {exchange["url"] for run in runs for exchange in run["exchanges"]}
    assert urls == {
        f"{ALPINE}v3.22/main/x86_64/{name}"
        for name in ("APKINDEX.tar.gz", "greeting-1.0-r0.apk", "words-2.1-r3.apk", "bulk-7-r0.apk")
    }
    (warning,) = (line for line in locked.stderr.splitlines() if line.startswith("warning:"))
    assert "Alpine keeps no old packages: 1 file" in warning
    assert "vcr lock --export" in warning

    # Locked anew, the lock is the same; Alpine has other packages by then, and nobody minds.
    (project / "vcr.lock").unlink()
    vcr("lock", "--arch", "amd64", project)
    assert (project / "vcr.lock").read_text() == lock
    for path in (repository.directory / "x86_64").iterdir():
        path.unlink()
    Site.asked.clear()
    built = vcr.json("build", "image", "--arch", "amd64", project)
    assert Site.asked == []
    layers = files_of(Path(built["ladder"][0]["path"]))
    installed, removed = layers[-2:]
    assert installed["said"] == b"hello from apk\n"
    assert installed["etc/greeted"] == b"configured\n"
    assert installed["etc/triggered"] == b"triggered\n"
    assert b"P:words" in installed[DATABASE]
    assert b"P:bulk" not in removed.get(DATABASE, b"")
    # Nothing in a layer says when or where it was made.
    names = {name for layer in layers for name in layer}
    assert not [name for name in names if name.endswith(".log")]
    assert not any(
        b"BEGIN CERTIFICATE" in data for data in (*installed.values(), *removed.values())
    )
    for ident in ("0.4.run", "0.5.run"):
        assert_same_again([run_drv(project, ident, Arch.AMD64)])
