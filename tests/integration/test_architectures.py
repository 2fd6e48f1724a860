"""The profile vm on amd64 and arm64: the ladder, a machine from up to down, and what it is not for.

With VCR_TEST_GOLDEN=write the ladders are recorded.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from program import REPO, Vcr, runner_in
from test_examples import address, digests, get

from vcr.engines.qemu.boot import KVM_CPU
from vcr.model.arch import MACHINES, Arch, has_kvm, native_arch
from vcr.model.board import BOARDS
from vcr.model.profile import SEALED_PROFILES

pytestmark = [pytest.mark.nix, pytest.mark.vm]

GOLDEN = REPO / "tests" / "golden" / "architectures.json"
EXAMPLES = REPO / "examples"
ARCHS = [
    pytest.param(arch, marks=pytest.mark.kernel(str(arch))) for arch in (Arch.AMD64, Arch.ARM64)
]
APP = """\
import http.server, socket, threading

def answer():
    app = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    app.bind(("0.0.0.0", 53))
    while True:
        data, sender = app.recvfrom(65535)
        app.sendto(data.upper(), sender)

threading.Thread(target=answer).start()
http.server.ThreadingHTTPServer(("", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@dataclass(frozen=True)
class Up:
    """A project that is up."""

    vcr: Vcr
    project: Path
    arch: Arch
    machine: dict[str, Any]


def check_ladder(arch: Arch, example: str, ladder: dict[str, str]) -> None:
    """Compare LADDER with the recorded one, or record it."""
    recorded = json.loads(GOLDEN.read_text())
    if os.environ.get("VCR_TEST_GOLDEN") == "write":
        recorded.setdefault(str(arch), {})[example] = ladder
        GOLDEN.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
    assert recorded[str(arch)][example] == ladder


@pytest.fixture(scope="module", params=ARCHS)
def hello(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The example hello, up with --arch; it has python."""
    project = tmp_path_factory.mktemp("project") / "hello"
    shutil.copytree(EXAMPLES / "hello", project)
    with runner_in(tmp_path_factory.mktemp("state")) as vcr:
        built = vcr.json("build", "--arch", request.param, project)
        assert built["arch"] == request.param
        check_ladder(request.param, "hello", digests(built))
        machine = vcr.json("up", "--arch", request.param, project)
        yield Up(vcr, project, request.param, machine)
        vcr("down", "-t", "1", project)
        assert vcr.json("ps")["machines"] == []


def test_hello_answers_from_a_machine_of_its_architecture(hello: Up) -> None:
    assert hello.machine["status"] == "healthy"
    assert get(f"{address(hello.machine)}/health") == (200, "ok\n")
    (row,) = hello.vcr.json("ps")["machines"]
    assert (row["name"], row["profile"], row["status"]) == ("hello", "vm", "healthy")
    program = "import os, platform; print(os.getuid(), platform.machine(), os.cpu_count())"
    told = hello.vcr("exec", hello.project, "--", "python3", "-c", program).stdout
    assert told == f"65534 {MACHINES[hello.arch]} 1\n"
    assert hello.vcr("exec", "--system", hello.project, "--", "uname", "-m").stdout == (
        f"{MACHINES[hello.arch]}\n"
    )
    assert "listening on port 8000" in hello.vcr("logs", hello.project).stdout
    assert "vcr: start app" in hello.vcr("logs", "--system", hello.project).stdout


def test_the_clock_is_this_host_s(hello: Up) -> None:
    program = "import time; print(time.time())"
    told = hello.vcr("exec", hello.project, "--", "python3", "-c", program).stdout
    assert abs(float(told) - time.time()) < 60


def test_what_is_up_is_left_alone(hello: Up) -> None:
    again = hello.vcr.json("up", "--arch", hello.arch, hello.project)
    assert again["pid"] == hello.machine["pid"]


def test_it_runs_by_kvm_where_kvm_runs_guests_of_it(hello: Up) -> None:
    if not has_kvm(hello.arch):
        pytest.skip(f"needs /dev/kvm on a host of {hello.arch}")
    argv = Path(f"/proc/{hello.machine['pid']}/cmdline").read_bytes().decode().split("\0")
    if argv[argv.index("-accel") + 1] != "kvm":
        pytest.skip("needs a /dev/kvm that runs guests")
    assert argv[argv.index("-cpu") + 1] == KVM_CPU


@pytest.mark.parametrize("arch", ARCHS)
def test_static_has_the_recorded_ladder_and_serves(vcr: Vcr, project: Path, arch: Arch) -> None:
    check_ladder(arch, "static", digests(vcr.json("build", "--arch", arch, project)))
    machine = vcr.json("up", "--arch", arch, project)
    status, page = get(address(machine))
    assert (status, "verifiable machine" in page) == (200, True)
    vcr("down", "-t", "1", project)


@pytest.mark.parametrize("arch", ARCHS)
def test_an_export_boots_by_what_it_says(
    vcr: Vcr, project: Path, tmp_path: Path, arch: Arch
) -> None:
    target, board = tmp_path / "export", BOARDS[arch]
    vcr("export", "vm-release", target, project, "--arch", arch)
    told = json.loads((target / "deploy.json").read_text())
    assert told["append"] == f"console={board.console} quiet panic=-1 {board.boot_line}".strip()
    assert json.loads((target / "ladder.json").read_text())["arch"] == arch
    subprocess.run(["sh", target / "verify.sh"], cwd=target, check=True, capture_output=True)


@pytest.mark.parametrize("arch", ARCHS)
def test_connections_and_datagrams(vcr: Vcr, tmp_path: Path, arch: Arch) -> None:
    project = tmp_path / "app"
    project.mkdir()
    (project / "vcr.toml").write_text(
        (EXAMPLES / "hello" / "vcr.toml").read_text().split("# Asked")[0]
    )
    shutil.copyfile(EXAMPLES / "hello" / "vcr.lock", project / "vcr.lock")
    (project / "app.py").write_text(APP)
    (project / "Dockerfile").write_text(
        'FROM python\nCOPY app.py .\nUSER nobody\nEXPOSE 8000 53/udp\nCMD ["python3", "app.py"]\n'
    )
    forwards = vcr.json("up", "--arch", arch, project)["forwards"]
    places = {each["guest"]: (each["address"], each["host"]) for each in forwards}
    threads = 16
    with ThreadPoolExecutor(threads) as pool:
        told = list(pool.map(lambda _: get("http://{}:{}/app.py".format(*places[8000])), range(64)))
    assert told == [(200, APP)] * 64
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(30)
        client.sendto(b"hello " * 1000, places[53])
        assert client.recv(65535) == b"HELLO " * 1000
    vcr("down", "-t", "1", project)


@pytest.mark.parametrize("arch", [Arch.AMD64, Arch.ARM64])
@pytest.mark.parametrize("profile", SEALED_PROFILES)
def test_a_sealed_machine_is_not_of_it_yet(
    vcr: Vcr, project: Path, profile: str, arch: Arch
) -> None:
    for verb in ("build", "up", "report"):
        words = (project.parent / "page.html",) if verb == "report" else ()
        said = vcr(verb, *words, "--profile", profile, "--arch", arch, project, code=2).stderr
        assert f"{profile} machines are riscv64" in said
    built = vcr.json("build", "image", "--profile", profile, "--arch", arch, project)
    assert list(digests(built)) == ["image"]


def test_a_container_is_of_this_host(vcr: Vcr, project: Path) -> None:
    said = vcr("up", "--profile", "dev", "--arch", "riscv64", project, code=2).stderr
    assert f"no container of riscv64 runs on this host, which is {native_arch()}" in said


def test_debians_kernel_is_not_for_a_board_without_pci(vcr: Vcr, project: Path) -> None:
    config = project / "vcr.toml"
    config.write_text(config.read_text().replace("128 MiB", "160 MiB") + 'kernel = "debian"\n')
    said = vcr("build", "--arch", "amd64", project, code=2).stderr
    assert "[machine] kernel is Debian's, which boots no machine of amd64" in said
