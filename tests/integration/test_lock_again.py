"""`vcr lock` of steps: at once where they are independent, and again only where inputs changed."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from processes import build_machines
from test_dockerfiles import make_project

from vcr.build import lock_runs
from vcr.build.recordings import at_once

pytestmark = [pytest.mark.nix, pytest.mark.vm, pytest.mark.limit(900)]

SMALL = '[build]\nmemory = "320 MiB"\n'
# A client of perl, which every base has: it writes what PATH answers to OUT.
ASK = """\
use IO::Socket::INET;
my ($path, $out) = @ARGV;
my $s = IO::Socket::INET->new(PeerAddr => 'example.test', PeerPort => 80) or die "no: $@";
print $s "GET $path HTTP/1.0\\r\\nHost: example.test\\r\\n\\r\\n";
open(my $file, '>', $out) or die;
my $head = <$s>;
print $file $_ while <$s>;
die "refused: $head" unless $head =~ / 200 /;
"""
STAGES = """\
FROM debian AS a
COPY ask /ask
RUN perl /ask /a /got && : curl http://example.test
FROM debian AS b
COPY ask /ask
RUN perl /ask /b /got && : curl http://example.test
FROM scratch
COPY --from=a /got /a
COPY --from=b /got /b
"""


@dataclass
class Site:
    """A server that counts, and may let two requests wait for each other."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    together: threading.Barrier | None = None
    is_met: bool = False


@pytest.fixture
def site(vcr: Any) -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            if site.together is not None:
                site.together.wait()
                site.is_met = True
            body = f"{self.path}\n".encode()
            self.send_response(404 if self.path in site.refused else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    vcr.env["VCR_MIRRORS"] = f"http://example.test/=http://127.0.0.1:{server.server_port}/"
    yield site
    server.shutdown()
    server.server_close()


def project_of(directory: Path, dockerfile: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text(dockerfile)
    (directory / "ask").write_text(ASK)
    return make_project(directory, SMALL)


two_at_once = pytest.mark.skipif(at_once(320) < 2, reason="needs two CPUs and a GiB of memory")


@two_at_once
def test_independent_stages_are_recorded_at_once_and_give_the_same_lock(
    vcr: Any, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_of(tmp_path / "app", STAGES)
    before = (project / "vcr.lock").read_bytes()
    site.together = threading.Barrier(2, timeout=240)  # neither is answered without the other
    vcr("lock", project)
    assert site.is_met
    assert sorted(site.asked) == ["/a", "/b"]
    at_the_same_time = (project / "vcr.lock").read_bytes()
    site.together = None
    (project / "vcr.lock").write_bytes(before)
    monkeypatch.setattr(lock_runs, "at_once", lambda _: 1)
    vcr("lock", project)
    assert site.asked[2:] == ["/a", "/b"]
    assert (project / "vcr.lock").read_bytes() == at_the_same_time


@two_at_once
def test_when_one_step_fails_the_machines_of_the_others_are_ended(
    vcr: Any, site: Site, tmp_path: Path
) -> None:
    dockerfile = STAGES.replace("/ask /b /got", "/ask /b /got; exit 7")
    project = project_of(tmp_path / "app", dockerfile.replace("/ask /a", "-e 'sleep 1000'; : "))
    before = (project / "vcr.lock").read_bytes()
    told = vcr("lock", project, code=1).stderr
    assert "Dockerfile:6: RUN perl /ask /b /got; exit 7" in told
    assert "exited with 7" in told
    assert build_machines(320, "vcr.fetch") == []
    assert (project / "vcr.lock").read_bytes() == before


STEPS = """\
FROM debian
COPY ask /ask
COPY list /list
RUN for each in $(cat /list); do perl /ask $each /got; done
RUN perl /ask /after /after
"""


def test_a_step_is_recorded_again_when_its_inputs_change_and_only_then(
    vcr: Any, site: Site, tmp_path: Path
) -> None:
    project = project_of(tmp_path / "app", STEPS)
    (project / "list").write_text("/one\n")
    vcr("lock", project)
    assert site.asked == ["/one", "/after"]
    site.asked.clear()
    first = (project / "vcr.lock").read_text()
    assert vcr.json("lock", project)["changed"] is False
    (project / "Dockerfile").write_text(f"# nothing\n{STEPS}")
    assert vcr.json("lock", project)["changed"] is False
    assert site.asked == []
    # The same requests, and the same answers to them, but for other inputs.
    (project / "list").write_text("/one\n\n")
    vcr("lock", project)
    assert site.asked == ["/one", "/after"]
    site.asked.clear()
    second = (project / "vcr.lock").read_text()
    assert [*keys(first)] == [*keys(second)]
    assert {*inputs(first)}.isdisjoint(inputs(second))


def test_an_entry_that_does_not_say_its_inputs_is_tried_and_then_says_them(
    vcr: Any, site: Site, tmp_path: Path
) -> None:
    project = project_of(tmp_path / "app", STEPS)
    (project / "list").write_text("/one\n")
    vcr("lock", project)
    whole = (project / "vcr.lock").read_text()
    told = json.loads(whole)
    for run in told["runs"]["riscv64"].values():
        del run["inputs"]
    (project / "vcr.lock").write_text(json.dumps(told))
    site.asked.clear()
    vcr("lock", project)
    assert site.asked == []
    assert (project / "vcr.lock").read_text() == whole
    # With what it says now the step fails, and not because it asks for more.
    (project / "ask").write_text(ASK.replace("/ 200 /", "/ 200 / && -s '/list' < 3"))
    (project / "vcr.lock").write_text(json.dumps(told))
    assert "refused" in vcr("lock", project, code=1).stderr
    assert site.asked == ["/one"], "it was recorded again"


# What says that it asks, as the first one does, is carried out with a network at once.
OF_EACH = """\
FROM debian
COPY ask /ask
RUN perl /ask /all /got && : curl http://example.test
RUN perl /ask /all /got && perl /ask /$(uname -m | tr -d 0-9_) /own && : curl http://example.test
RUN perl /ask /all /got && perl /ask /of-$(uname -m) /own
"""


def test_the_second_architecture_asks_only_what_the_first_did_not(
    vcr: Any, site: Site, tmp_path: Path
) -> None:
    project = project_of(tmp_path / "app", OF_EACH)
    vcr("lock", "--arch", "riscv64", "--arch", "amd64", project)
    first = ["/all", "/all", "/riscv", "/all", "/of-riscv64"]
    assert site.asked == [*first, "/x", "/of-x86_64"]
    lock = (project / "vcr.lock").read_text()
    assert paths(lock, "riscv64") == first
    assert paths(lock, "amd64") == ["/all", "/all", "/x", "/all", "/of-x86_64"]
    # It is the lock that asking for everything gives.
    site.asked.clear()
    empty = {k: v for k, v in json.loads(lock).items() if k not in {"runs", "bodies"}}
    (project / "vcr.lock").write_text(json.dumps(empty))
    vcr("lock", "--arch", "amd64", project)
    assert site.asked == ["/all", "/all", "/x", "/all", "/of-x86_64"]
    asked = json.loads((project / "vcr.lock").read_text())
    assert asked["runs"]["amd64"] == json.loads(lock)["runs"]["amd64"]


def paths(lock: str, arch: str) -> list[str]:
    """Return what the steps of ARCH ask for, in the order of the steps."""
    runs = json.loads(lock)["runs"][arch].values()
    return [
        exchange["url"].removeprefix("http://example.test")
        for run in sorted(runs, key=lambda run: OF_EACH.index(run["command"][:40]))
        for exchange in run["exchanges"]
    ]


def keys(lock: str) -> list[str]:
    return sorted(json.loads(lock)["runs"]["riscv64"])


def inputs(lock: str) -> list[str]:
    return [each for run in json.loads(lock)["runs"]["riscv64"].values() for each in run["inputs"]]
