"""curl, wget and git over HTTPS: recorded once, replayed byte for byte."""

import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vcr.settings import Settings
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


class Site(BaseHTTPRequestHandler):
    """Text, and a repository by git's own smart protocol."""

    git: Path
    root: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body: bytes) -> None:
        self.asked.append(f"{self.command} {self.path}")
        if not self.path.startswith("/git/"):
            self.reply(200, {"Content-Type": "text/plain"}, b"plain text\n")
            return
        path, _, query = self.path.partition("?")
        env = {
            **os.environ,
            "GIT_EXEC_PATH": str(self.git.parents[1] / "lib/git-core"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(self.root),
            "PATH_INFO": path.removeprefix("/git"),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        said = subprocess.run(
            [self.git, "http-backend"], env=env, input=body, capture_output=True, check=True
        ).stdout
        head, _, content = said.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.reply(int(fields.pop("Status", "200").split()[0]), fields, content)

    def reply(self, status: int, fields: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**fields, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    Site.git = Nix(Settings.load()).toolset("git") / "usr/bin/git"
    Site.root, Site.asked = tmp_path / "repositories", []
    repository = Site.root / "repo"
    repository.mkdir(parents=True)
    (repository / "file").write_text("from git\n")
    env = {**os.environ, "GIT_EXEC_PATH": str(Site.git.parents[1] / "lib/git-core")}
    author = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "gc.auto=0")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "one")):
        subprocess.run([Site.git, "-C", repository, *words], check=True, env=env)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


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
