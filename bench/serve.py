#!/usr/bin/env python3
"""What an app serves through vcr's ports, beside the same app on this host and behind plain QEMU.

    bench/serve.py [--profiles dev vm prod] [--clients 1 16 128] [--seconds 5] [--rounds 1]

Clients ask one after the other, each request on a new connection: requests a second, and the time
that 99 of 100 take at most. Then a POST of 20 MB. `qemu` is the machine of the profile vm with
QEMU's own network (-netdev user) instead of vcr's relay; it is the peer of vm and prod, the host
is that of dev. A request that is lost is a row of its own.
"""

import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from build import REPO, run
from rows import Row, options, show

sys.path.insert(0, str(REPO))

from vcr.engines.machine import Channels, read_vm
from vcr.engines.qemu.boot import BootMachine
from vcr.engines.qemu.network import RELAY
from vcr.runtime.record import Records
from vcr.settings import Settings

APP = """\
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"ok\\n")

    def do_POST(self):
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 16)))
        self.answer(b"taken\\n")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
"""
PORT = 8000
POSTED = 20_000_000  # bytes
START_SECONDS = 180.0
REQUEST_SECONDS = 60.0

type Figures = dict[str, tuple[float, str]]  # case → value, unit


def free_port() -> int:
    """Return a TCP port that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ask(port: int, method: str = "GET", body: bytes | None = None) -> bool:
    """Return whether the app answers a request with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)
    try:
        connection.request(method, "/", body)
        answer = connection.getresponse()
        return bool(answer.read()) and answer.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def load(port: int, clients: int, seconds: float) -> tuple[list[float], int]:
    """Ask from CLIENTS for SECONDS; return the seconds of each answer, and how many were lost."""
    times: list[float] = []
    lost: list[int] = []
    end = time.monotonic() + seconds

    def work() -> None:
        while (begun := time.monotonic()) < end:
            if ask(port):
                times.append(time.monotonic() - begun)
            else:
                lost.append(1)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(lost)


def figures(port: int, clients: list[int], seconds: float) -> Figures:
    """Return what the app behind PORT serves."""
    found: Figures = {}
    for count in clients:
        begun = time.monotonic()
        times, lost = load(port, count, seconds)
        took = time.monotonic() - begun
        found[f"{count} clients, requests"] = len(times) / took, "1/s"
        if len(times) > 1:
            found[f"{count} clients, p99"] = statistics.quantiles(times, n=100)[98] * 1000, "ms"
        if lost:
            found[f"{count} clients, lost"] = lost, ""
    begun = time.monotonic()
    if ask(port, "POST", bytes(POSTED)):
        found["POST of 20 MB"] = POSTED / 1e6 / (time.monotonic() - begun), "MB/s"
    else:
        found["POST of 20 MB, lost"] = 1, ""
    return found


def wait_for(port: int) -> None:
    """Wait until the app behind PORT answers; ends this program if it does not."""
    end = time.monotonic() + START_SECONDS
    while not ask(port):
        if time.monotonic() > end:
            sys.exit(f"nothing answers at port {port}")
        time.sleep(0.1)


@contextmanager
def on_host(project: Path) -> Iterator[int]:
    """Run the app on this host; yield its port."""
    port = free_port()
    with subprocess.Popen([sys.executable, str(project / "app.py"), str(port)]) as app:
        try:
            wait_for(port)
            yield port
        finally:
            app.kill()


@contextmanager
def by_vcr(project: Path, profile: str) -> Iterator[int]:
    """Run the app by vcr; yield its port of this host."""
    vcr = REPO / "bin/vcr"
    machine = json.loads(run(vcr, "--json", "-q", "up", "--profile", profile, project))
    try:
        port = machine["forwards"][0]["host"]
        wait_for(port)
        yield port
    finally:
        run(vcr, "-q", "down", "-t", "0", project)


@contextmanager
def by_plain_qemu(vm: Path, scratch: Path) -> Iterator[int]:
    """Run the machine VM with QEMU's own network; yield the port of this host."""
    data = read_vm(vm)
    data.pop("kind")
    port = free_port()
    channels = Channels(*(scratch / name for name in ("console", "log", "agent", "qmp")))
    network = f"user,hostfwd=tcp:127.0.0.1:{port}-:{PORT}"
    argv = BootMachine.of(data).qemu_argv(network, channels)
    ours, theirs = socket.socketpair()  # the port for vcr's relay, which nobody serves
    os.dup2(theirs.fileno(), RELAY)
    with ours, theirs, subprocess.Popen(argv, pass_fds=[RELAY]) as qemu:
        try:
            wait_for(port)
            yield port
        finally:
            qemu.kill()
            with suppress(OSError):
                os.close(RELAY)


def project_in(directory: Path) -> Path:
    """Make the project of the app in DIRECTORY."""
    project = directory / "serve"
    project.mkdir()
    example = REPO / "examples/hello"
    (project / "vcr.toml").write_text((example / "vcr.toml").read_text().split("# Asked")[0])
    shutil.copy(example / "vcr.lock", project)
    (project / "app.py").write_text(APP)
    (project / "Dockerfile").write_text(
        f"FROM python\nWORKDIR /app\nCOPY app.py .\nUSER nobody\nEXPOSE {PORT}\n"
        f'CMD ["python3", "/app/app.py", "{PORT}"]\n'
    )
    return project


def vm_of(project: Path) -> Path:
    """Return what the machine of PROJECT, which is up, was started from."""
    records = Records(Settings.load()).all()
    return next(Path(record.vm) for record in records if record.project == str(project))


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--profiles", nargs="*", default=["dev", "vm", "prod"])
    parser.add_argument("--clients", nargs="*", type=int, default=[1, 16, 128])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()

    def measure(port: int) -> Figures:
        return figures(port, given.clients, given.seconds)

    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_STATE_HOME"] = str(Path(scratch) / "state")
        project = project_in(Path(scratch))
        found = [
            rows_of(project, Path(scratch), given.profiles, measure) for _ in range(given.rounds)
        ]
    show(merged(found), as_json=given.json)


def rows_of(
    project: Path, scratch: Path, profiles: list[str], measure: Callable[[int], Figures]
) -> dict[tuple[str, str], tuple[float, str]]:
    """Return by (who, case) what one round finds: of the host, of PROFILES, of plain QEMU."""
    with on_host(project) as port:
        found = {"host": measure(port)}
    vm = None
    for profile in profiles:
        with by_vcr(project, profile) as port:
            found[profile] = measure(port)
            vm = vm_of(project) if profile == "vm" else vm
    if vm is not None:
        with by_plain_qemu(vm, scratch) as port:
            found["qemu"] = measure(port)
    return {(who, case): value for who, cases in found.items() for case, value in cases.items()}


def merged(rounds: list[dict[tuple[str, str], tuple[float, str]]]) -> list[Row]:
    """Return a row for each figure, beside that of its peer."""
    rows = []
    for (who, case), (_, unit) in rounds[0].items():
        values = [each[who, case][0] for each in rounds if (who, case) in each]
        peer = {"host": "", "qemu": "", "dev": "host"}.get(who, "qemu")
        row = Row.of(f"{who}, {case}", values, unit)
        others = [each[peer, case][0] for each in rounds if (peer, case) in each]
        rows.append(row.beside(peer, others) if others else row)
    return rows


if __name__ == "__main__":
    main()
