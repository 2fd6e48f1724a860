"""A server that ends in the middle of an answer, or says nothing: exit code 7, then it works."""

import http.server
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import Vcr

pytestmark = pytest.mark.nix

# As vcr is started, but it waits for servers for a second instead of a minute, and takes the
# server of this test, which is on this host, for one of the network.
IMPATIENT = """
from functools import partial
import vcr.lock.added, vcr.lock.network.web
object.__setattr__(vcr.lock.network.web.LIMITS, "idle", {idle})
vcr.lock.added.Source = partial(vcr.lock.added.Source, is_mirror=True)
from vcr.cli import main
main()
"""


class Unsteady(http.server.ThreadingHTTPServer):
    """Serves one file, as well as it is told to."""

    daemon_threads = True
    content = b""
    fault = ""  # cut: ends after a third; hang: says nothing more after it; 503: is busy
    asked = 0


class Handler(http.server.BaseHTTPRequestHandler):
    server: Unsteady

    def do_GET(self) -> None:
        self.server.asked += 1
        content, fault = self.server.content, self.server.fault
        self.send_response(503 if fault == "503" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 3] if fault else content)
        self.wfile.flush()
        if fault == "hang":
            released.wait(30)

    def log_message(self, *_: object) -> None:
        pass


released = threading.Event()


@contextmanager
def serving(content: bytes) -> Iterator[Unsteady]:
    server = Unsteady(("127.0.0.1", 0), Handler)
    server.content = content
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        released.set()
        released.clear()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("fault", ["cut", "hang", "503"])
def test_while_locking(
    private_vcr: Vcr, project: Path, chance: random.Random, tmp_path: Path, fault: str
) -> None:
    idle = 1.0 if fault == "hang" else 20.0
    private_vcr.program = [sys.executable, "-c", IMPATIENT.format(idle=idle)]
    before = (project / "vcr.lock").read_bytes()
    with serving(chance.randbytes(100_000)) as server:
        add(project, server)
        server.fault = fault
        done = private_vcr("lock", project, code=7)
        assert "error: cannot download file" in done.stderr
        assert server.asked == (1 if fault == "hang" else 3)  # silence is not waited for twice
        assert (project / "vcr.lock").read_bytes() == before
        server.fault = ""
        private_vcr("lock", project)


@pytest.mark.parametrize("fault", ["cut", "503"])
def test_while_building(
    private_vcr: Vcr, project: Path, chance: random.Random, tmp_path: Path, fault: str
) -> None:
    private_vcr.program = [sys.executable, "-c", IMPATIENT.format(idle=1.0)]
    with serving(chance.randbytes(100_000)) as server:
        add(project, server)
        private_vcr("lock", project)
        server.fault = fault
        done = private_vcr("build", "image", project, code=7)
        assert "pinned input" in done.stderr
        server.fault = ""
        first = private_vcr.json("build", "image", project)["ladder"]
        assert private_vcr.json("build", "image", project)["ladder"] == first


def add(project: Path, server: Unsteady) -> None:
    """Let the image have the file of SERVER."""
    text = (project / "Dockerfile").read_text()
    address = f"http://127.0.0.1:{server.server_port}/file"
    (project / "Dockerfile").write_text(text.replace("COPY www", f"ADD {address} /file\nCOPY www"))
