"""ssh without a machine: the key pair, the configuration, what the machine is told."""

import base64
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vcr.errors import VcrError
from vcr.model.project import load_project
from vcr.runtime import ssh
from vcr.runtime.exec import Answer
from vcr.runtime.ssh import Access
from vcr.settings import Settings

HOST_KEY = "ssh-ed25519 AAAAC3Nz"


@pytest.fixture
def access(tmp_path: Path) -> Access:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    settings = Settings.load({"HOME": str(tmp_path / "h o%me"), "XDG_RUNTIME_DIR": "/tmp/r"})
    return Access(load_project(tmp_path / "app"), settings)


def test_the_key_pair_is_made_once_and_is_the_users_alone(access: Access) -> None:
    access.prepare()
    private = access.key.read_bytes()
    assert private.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    kind, blob, comment = access.key.with_name("id_ed25519.pub").read_text().split()
    assert (kind, comment) == ("ssh-ed25519", "vcr-app")
    assert len(base64.b64decode(blob)) == 51  # RFC 8709, 4: two strings with their lengths
    assert access.key.stat().st_mode & 0o777 == 0o600
    assert access.directory.stat().st_mode & 0o777 == 0o700
    assert access.proxy.stat().st_mode & 0o777 == 0o700
    access.directory.chmod(0o755)
    access.prepare()
    assert access.key.read_bytes() == private
    assert access.directory.stat().st_mode & 0o777 == 0o700


def test_the_public_half_is_the_private_ones(access: Access) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    access.prepare()
    argv = ["ssh-keygen", "-y", "-f", str(access.key)]
    found = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert found[:2] == access.key.with_name("id_ed25519.pub").read_text().split()[:2]


def test_two_projects_have_two_keys(access: Access, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "Dockerfile").write_text("FROM scratch\n")
    other = replace(access, project=load_project(tmp_path / "other"))
    access.prepare()
    other.prepare()
    assert access.key.read_bytes() != other.key.read_bytes()


def test_ssh_reads_the_configuration_as_it_is_meant(access: Access, tmp_path: Path) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("needs an ssh client")
    access.prepare()
    (tmp_path / "config").write_text(access.config())
    argv = ["ssh", "-G", "-F", str(tmp_path / "config"), "vcr-app"]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    read: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        read.setdefault(key, value)
    assert (read["user"], read["port"], read["stricthostkeychecking"]) == ("root", "22", "true")
    assert read["identityfile"].replace("%%", "%") == str(access.key)
    assert read["userknownhostsfile"].replace("%%", "%") == str(access.known_hosts)
    done = subprocess.run(
        ["sh", "-c", f"test -x {read['proxycommand'].replace('%%', '%')}"], check=False
    )
    assert done.returncode == 0


def test_the_key_of_the_machine_is_noted(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    access.prepare()
    told: list[Any] = []

    def answer(_inside: Any, request: Any, _stdin: int) -> Answer:
        told.append(request)
        return Answer(0, f"Public key portion is:\n{HOST_KEY} root@vcr\nSHA256\n".encode(), b"")

    monkeypatch.setattr(ssh, "answer", answer)
    access.introduce(None)  # type: ignore[arg-type]
    assert access.known_hosts.read_text() == f"vcr-app {HOST_KEY}\n"
    assert (told[0].system, told[0].has_input) == (True, True)
    monkeypatch.setattr(ssh, "answer", lambda *_: Answer(127, b"", b"sh: dropbearkey: not found"))
    with pytest.raises(VcrError, match="cannot be reached by ssh"):
        access.introduce(None)  # type: ignore[arg-type]


def test_what_the_machine_says_does_not_steer_the_terminal_of_ssh(
    access: Access, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A ProxyCommand has ssh's own stderr; the reason is what the machine's tools printed."""

    def way_in(_: Access) -> None:
        raise VcrError("the machine cannot be reached", why="\x1b]0;owned\x07\r\x9b2J\nvcr: fine")

    def end(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(ssh, "way_in", way_in)
    monkeypatch.setattr("os._exit", end)
    told = {"project": str(access.project.root), "state": "/tmp/s", "runtime": "/tmp/r"}
    with pytest.raises(SystemExit):
        ssh.main(json.dumps(told))
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()
