"""What an app, and who has become root in its machine, reaches of this host: not its loopback."""

import http.server
import shutil
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from program import EXAMPLE, Vcr, runner_in

pytestmark = [pytest.mark.nix, pytest.mark.vm]

# What QEMU's user network and pasta would have lead to this host's 127.0.0.1.
ADDRESSES = ("10.0.2.2", "10.0.2.3", "10.0.2.4", "127.0.0.1")
PROFILES = {
    "dev": ("--profile", "dev"),
    "dev in a VM": ("--profile", "dev", "--runtime", "vm"),
    "vm": ("--profile", "vm"),
    "prod": ("--profile", "prod"),
}
# Asks for the address that it is asked for.
TRY = """#!/usr/bin/busybox sh
echo; busybox timeout 8 busybox wget -q -O - "http://$QUERY_STRING" 2>&1
"""
DOCKERFILE = """FROM busybox
COPY --chmod=0755 try /www/cgi-bin/try
COPY try /www/try
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=2s CMD ["busybox", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/try"]
CMD ["busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
"""


class Listener:
    """Serves on ADDRESS of this host and notes by whom it was asked."""

    def __init__(self, address: str) -> None:
        asked: list[str | None] = []
        self.asked = asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.headers["Host"])
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"of the host")

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def own_address() -> str:
    """Return the address that this host has for others, "" for none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("203.0.113.1", 9))
        except OSError:
            return ""
        return str(asked.getsockname()[0])


@pytest.fixture
def listeners() -> Iterator[tuple[Listener, Listener]]:
    both = Listener("127.0.0.1"), Listener(own_address() or "127.0.0.1")
    yield both
    for one in both:
        one.close()


def parameter(profile: str) -> ParameterSet:
    marks = [pytest.mark.kernel("amd64")] if "VM" in profile else []
    return pytest.param(profile, id=profile, marks=marks)


@pytest.fixture(scope="module", params=map(parameter, PROFILES))
def up(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Vcr, Path, int]]:
    """An app that tries, up in each profile: its port is what is yielded last."""
    project = tmp_path_factory.mktemp("try") / "project"
    shutil.copytree(EXAMPLE, project)
    (project / "Dockerfile").write_text(DOCKERFILE)
    (project / "try").write_text(TRY)
    with runner_in(tmp_path_factory.mktemp("up")) as runner:
        told: Any = runner.json("up", *PROFILES[request.param], project)
        yield request.param, runner, project, told["forwards"][0]["host"]


def tried(port: int, address: str) -> str:
    """Return what the app gets from ADDRESS, "" for nothing."""
    asked = f"http://127.0.0.1:{port}/cgi-bin/try?{address}"
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return str(answer.read().decode())
    except ConnectionError:  # what it ran was ended before it said anything
        return ""


def test_an_app_does_not_reach_the_loopback_of_this_host(
    up: Any, listeners: tuple[Listener, Listener]
) -> None:
    profile, _, _, port = up
    loopback, other = listeners
    assert "QUERY_STRING" in tried(port, "127.0.0.1:8080/try")  # it does try
    for address in ADDRESSES:
        assert "of the host" not in tried(port, f"{address}:{loopback.port}/")
    assert loopback.asked == []
    # It has a way out: this host's other addresses are reached as from any machine. A container
    # has them itself.
    if own_address() and profile != "dev":
        assert tried(port, f"{own_address()}:{other.port}/") == "of the host"


# Sends packets for 127.0.0.1 out by the card, as only root in the machine can.
OUT = (
    "cd /proc/sys/net/ipv4/conf; echo 1 > all/route_localnet; echo 1 > eth0/route_localnet; "
    "ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via 10.0.2.2; "
    "timeout 8 wget -q -O - http://127.0.0.1:{0}/; "
    "ip route del 127.0.0.1; ip addr add 127.0.0.1/8 dev lo"
)


def test_nor_does_root_in_the_machine(up: Any, listeners: tuple[Listener, Listener]) -> None:
    profile, runner, project, _ = up
    if profile not in {"vm", "dev in a VM"}:
        pytest.skip("it takes no commands, or is no machine")
    loopback, _ = listeners
    argv = ("exec", "--system", project, "--", "sh", "-c")
    for address in ADDRESSES:
        script = f"timeout 8 wget -q -O - http://{address}:{loopback.port}/ || true"
        assert "of the host" not in runner(*argv, script).stdout
    assert "of the host" not in runner(*argv, OUT.format(loopback.port)).stdout
    assert loopback.asked == []
