"""ssh into machines of debug profiles: the user's own client, no port, keys of the project."""

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from program import REPO, Vcr, runner_in
from services import free_port, tool
from terminals import Terminal

pytestmark = [
    pytest.mark.nix,
    pytest.mark.vm,
    pytest.mark.skipif(shutil.which("ssh") is None, reason="needs an ssh client"),
]

STATIC = REPO / "examples" / "static"
HOST = "vcr-static"


@dataclass(frozen=True)
class Client:
    """ssh and its like, with a configuration that vcr printed."""

    vcr: Vcr
    config: Path
    profile: str

    def __call__(self, program: str, *words: str | Path, data: bytes = b"") -> Any:
        # An environment without vcr's: an IDE has another one.
        env = {"PATH": os.environ["PATH"], "HOME": str(self.config.parent)}
        argv: list[str | Path] = [program, "-F", self.config, "-o", "BatchMode=yes", *words]
        return subprocess.run(
            argv, env=env, input=data, capture_output=True, timeout=120, check=False
        )

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        argv = ["ssh", "-F", str(self.config), "-o", "BatchMode=yes", *words]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module", params=["vm", "prod-debug"])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    directory = tmp_path_factory.mktemp("ssh")
    with runner_in(directory) as vcr:
        vcr("up", "--profile", request.param, STATIC)
        config = directory / "config"
        config.write_text(vcr("ssh-config", STATIC).stdout)
        yield Client(vcr, config, request.param)


def test_a_command_its_streams_and_its_exit_code(client: Client) -> None:
    done = client("ssh", HOST, "id -u; uname -m; cat; echo err >&2; exit 5", data=b"fed\n")
    assert (done.returncode, done.stdout, done.stderr) == (5, b"0\nriscv64\nfed\n", b"err\n")
    argv = ["ssh", "-F", str(client.config), "-t", HOST, "tty; stty size; exit 7"]
    with Terminal(argv, {"PATH": os.environ["PATH"]}, rows=33, columns=99) as at:
        at.expect("/dev/pts/")
        at.expect("33 99\r\n")
        assert at.wait() == 7


def test_files_by_sftp(client: Client, tmp_path: Path) -> None:
    if shutil.which("scp") is None:
        pytest.skip("needs scp")
    data = os.urandom(300_000)
    (tmp_path / "file").write_bytes(data)
    done = client("scp", tmp_path / "file", f"{HOST}:/run/file")
    assert done.returncode == 0, done.stderr
    done = client("scp", f"{HOST}:/run/file", tmp_path / "back")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == data


def test_directories_by_rsync(client: Client, tmp_path: Path) -> None:
    rsync = tool("test-programs", "rsync")
    shell = f"ssh -F {client.config} -o BatchMode=yes"
    source = REPO / "examples/static/www"
    argv: list[str | Path] = [rsync, "-a", "-e", shell, f"{source}/", f"{HOST}:/run/www/"]
    subprocess.run(argv, check=True, timeout=120)
    argv = [rsync, "-a", "-e", shell, f"{HOST}:/run/www/", f"{tmp_path}/www/"]
    subprocess.run(argv, check=True, timeout=120)
    assert (tmp_path / "www/index.html").read_bytes() == (source / "index.html").read_bytes()


def test_the_other_side_of_rsync_is_there(client: Client) -> None:
    done = client("ssh", HOST, "rsync", "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"rsync ")


def test_a_port_of_the_machine_is_forwarded(client: Client) -> None:
    port = free_port()
    child = client.start("-L", f"127.0.0.1:{port}:127.0.0.1:8080", HOST, "echo up; sleep 100")
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
        assert b"verifiable machine" in answer.read()
    child.kill()
    child.wait()
    child.stdout.close()


def test_nobody_comes_in_by_another_key_nor_to_another_machine(
    client: Client, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True, timeout=60
    )
    text = client.config.read_text()
    mine = next(line.split('"')[1] for line in text.splitlines() if "IdentityFile" in line)
    client.config.write_text(text.replace(mine, str(other)))
    try:
        done = client("ssh", HOST, "true")
        assert done.returncode == 255
        assert b"Permission denied (publickey)" in done.stderr
    finally:
        client.config.write_text(text)
    known = Path(mine).with_name("known_hosts").read_text().split()
    kept = client.vcr(
        "exec", "--system", STATIC, "--", "dropbearkey", "-y", "-f", "/run/vcr/ssh/host"
    )
    assert known[2] in kept.stdout
    assert Path(mine).stat().st_mode & 0o777 == 0o600
    assert Path(mine).parent.stat().st_mode & 0o777 == 0o700


def test_the_configuration_outlives_the_machine(client: Client) -> None:
    before = client("ssh", HOST, "cat /run/vcr/ssh/authorized_keys").stdout
    known = client.config.parent / "state/vcr/ssh"
    (hosts,) = [path.read_text() for path in known.glob("*/known_hosts")]
    client.vcr("down", "-t", "0", STATIC)
    told = client("ssh", HOST, "true")
    assert told.returncode == 255
    assert b"static is not up" in told.stderr
    client.vcr("up", "--profile", client.profile, STATIC)
    assert client("ssh", HOST, "cat /run/vcr/ssh/authorized_keys").stdout == before
    (anew,) = [path.read_text() for path in known.glob("*/known_hosts")]
    assert anew != hosts


def test_where_there_is_none(vcr: Any, project: Path) -> None:
    assert "is not up" in vcr("ssh-config", project, code=2).stderr
    vcr("up", "--profile", "vm-release", project)
    assert "takes no commands" in vcr("ssh-config", project, code=2).stderr
    vcr("up", "--profile", "dev", project)
    assert "there is no machine to reach by ssh" in vcr("ssh-config", project, code=2).stderr
    assert not (Path(vcr.env["XDG_STATE_HOME"]) / "vcr/ssh").exists()
