"""RUN: what goes wrong is reported as it is, and what a step sees is the same every time."""

import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from again import assert_same_again
from determinism import busy_host
from order import ARCHS
from test_dockerfiles import make_project

from vcr.build.builder import Builder
from vcr.model.arch import Arch
from vcr.planner.prepare import prepare
from vcr.settings import Settings
from vcr.tools.nix import Nix
from vcr.ui import Ui

pytestmark = [pytest.mark.nix, pytest.mark.vm]

SMALL = '[build]\nmemory = "320 MiB"\n'
CHANCE = """\
FROM debian
RUN seq 1 20000; gzip -9 < /bin/bash > /bash.gz; sleep 1; \\
    { date +%s.%N; echo $$ ${RANDOM}; head -c 16 /dev/urandom | od -An -tx1; mktemp; \\
      cat /proc/sys/kernel/random/uuid /proc/uptime /proc/stat; ls -l /proc/self/fd; ps; \\
      touch /new; stat /new; bash -c 'echo $RANDOM'; } > /chance 2>&1
"""


@pytest.fixture
def project(tmp_path: Path) -> Any:
    def make(dockerfile: str, more: str = "") -> Path:
        directory = tmp_path / "app"
        directory.mkdir(exist_ok=True)
        (directory / "Dockerfile").write_text(dockerfile)
        return make_project(directory, more)

    return make


def run_drv(directory: Path, ident: str, arch: Arch = Arch.RISCV64) -> Path:
    """Return the derivation of the layer IDENT."""
    loaded, plan = prepare(directory, arch=arch, profile="vm")
    builder = Builder(Settings.load(), Ui(), loaded)
    attr = f'image.layers."{ident}"'
    return Nix(Settings.load()).evaluate([attr], builder.write_plan(plan)).targets[0].drv


@pytest.mark.parametrize("arch", ARCHS)
def test_chance_is_the_same_every_time(vcr: Any, project: Any, arch: Arch) -> None:
    directory = project(CHANCE)
    vcr("build", "image", "--arch", arch, directory)
    drv = run_drv(directory, "0.1.run", arch)
    with busy_host():
        assert_same_again([drv])


def test_a_failing_command_is_told_with_its_line_and_output(vcr: Any, project: Any) -> None:
    directory = project("FROM debian\n\nRUN echo before && echo why >&2; exit 7\n")
    told = vcr("build", "image", directory, code=1).stderr
    assert "error: Dockerfile:3: RUN echo before && echo why >&2; exit 7 exited with 7" in told
    assert "before\n" in told
    assert "why\n" in told
    assert vcr("build", "image", directory, code=1).stderr.count("error:") == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ('["perl", "-e", "unpack q(p), pack q(J), 1"]', "was ended by SIGSEGV"),
        ("perl -e 'kill SEGV => $$'; exit $?", "exited with 139 (SIGSEGV)"),
        ('["/no/such"]', "could not be started"),
        ("perl -e '$x .= \"x\" x (1 << 20) while 1'", "ran out of memory"),
        ("cat /dev/zero > /full", "disk, which is in its memory, is full"),
        ("yes $(printf %01000d 0)", "printed more than 16 MiB"),
    ],
)
def test_how_a_step_ends_badly(vcr: Any, project: Any, command: str, words: str) -> None:
    directory = project(f"FROM debian\nRUN {command}\n", SMALL)
    assert words in vcr("build", "image", directory, code=1).stderr


def test_an_endless_step_is_ended(vcr: Any, project: Any) -> None:
    # The base is not what takes long.
    vcr("build", "image", project("FROM debian\nRUN true\n", SMALL))
    directory = project("FROM debian\nRUN echo starting; while :; do :; done\n", SMALL)
    told = vcr("build", "image", "--timeout", "20s", directory, code=1).stderr
    assert "error: Dockerfile:2:" in told
    assert "took longer than --timeout allows" in told
    assert machines() == []


def machines() -> list[int]:
    """Return the process IDs of build machines of SMALL memory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"320M" in words and any(b"vcr.result" in word for word in words):
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to see into the sandbox")
def test_a_machine_that_is_killed_is_told(vcr: Any, project: Any) -> None:
    vcr("build", "image", project("FROM debian\nRUN true\n", SMALL))
    directory = project("FROM debian\nRUN while :; do :; done\n", SMALL)
    build = vcr.spawn("build", "image", directory)
    deadline = time.monotonic() + 300
    while not machines() and time.monotonic() < deadline:
        time.sleep(0.2)
    for pid in machines():
        os.kill(pid, signal.SIGKILL)
    _, told = build.communicate(timeout=60)
    assert build.returncode == 1
    assert "QEMU was ended by SIGKILL" in told


def test_an_unlocked_request_is_refused(vcr: Any, project: Any) -> None:
    # A step that does not mind is refused, too: its result would depend on it.
    directory = project("FROM debian\nRUN apt-get update || true\n")
    told = vcr("build", "image", directory, code=4).stderr
    assert "error: Dockerfile:2: RUN apt-get update || true asks the network" in told
    assert "GET http://snapshot.debian.org/archive/debian/" in told
    assert "fix: run `vcr lock`" in told


class Site(BaseHTTPRequestHandler):
    """Tells how it was asked."""

    asked: list[dict[str, str]]

    def do_GET(self) -> None:
        self.asked.append({"path": self.path, **self.headers})
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "https://example.test/there")
            self.end_headers()
            return
        body = f"{self.path} {self.headers.get('Authorization', '')}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


FETCH = """\
FROM debian
RUN --mount=type=secret,id=token <<'EOF'
#!/usr/bin/perl
use strict;
use IO::Socket::INET;
open(my $file, '<', '/run/secrets/token') or die;
my $token = <$file>;
open(my $out, '>', '/got') or die;
for my $path ('/plain', '/moved', "/$token") {
  my $s = IO::Socket::INET->new(PeerAddr => 'example.test', PeerPort => 80) or die "no: $@";
  my $head = "Host: example.test\\r\\nAuthorization: Bearer $token\\r\\n";
  print $s "GET $path HTTP/1.0\\r\\n$head\\r\\n";
  print $out $_ while <$s>;
}
EOF
"""


def test_what_is_locked_is_replayed_and_secrets_stay_outside(
    vcr: Any, project: Any, tmp_path: Path
) -> None:
    Site.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    vcr.env["VCR_MIRRORS"] = f"http://example.test/=http://127.0.0.1:{server.server_port}/"
    (tmp_path / "token").write_text("hunter2-the-real-one\n")
    directory = project(FETCH)
    vcr("lock", directory, "--secret", f"id=token,src={tmp_path / 'token'}")
    server.shutdown()
    assert [asked["path"] for asked in Site.asked] == ["/plain", "/moved", "/hunter2-the-real-one"]
    assert Site.asked[0]["Authorization"] == "Bearer hunter2-the-real-one"
    lock = (directory / "vcr.lock").read_text()
    assert "hunter2" not in lock
    assert "127.0.0.1" not in lock
    (exchanges,) = [run["exchanges"] for run in json.loads(lock)["runs"]["riscv64"].values()]
    assert [e.get("status", 200) for e in exchanges] == [200, 302, 200]
    built = vcr.json("build", "image", directory)
    blobs = Path(built["stages"][0]["path"]) / "layout/blobs/sha256"
    layers = [blob.read_bytes() for blob in blobs.iterdir()]
    assert any(b"Location: https://example.test/there" in layer for layer in layers)
    assert not any(b"hunter2" in layer for layer in layers)
    # A RUN that changed is noticed, and so is one that asks for something else.
    dockerfile = directory / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("'/plain'", "'/other'"))
    assert "changed since it was locked" in vcr("lock", "--check", directory, code=4).stderr
    assert "http://example.test/other" in vcr("build", "image", directory, code=4).stderr
