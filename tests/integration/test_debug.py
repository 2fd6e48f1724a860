"""Debug profiles have tools inside and ports to them; releases have no trace of either."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from again import assert_same_again, on_one_cpu
from determinism import busy_host, deriver
from test_examples import address, digests, get
from test_prod import STATIC, stage

from vcr.agent.client import Agent
from vcr.runtime.record import Records
from vcr.sandbox.hardware import debug_sockets
from vcr.settings import Settings

pytestmark = [pytest.mark.nix, pytest.mark.vm]

MARK = b"vcr.debug"  # the ports' name: in whatever opens them, and in the kernel that has them
RELEASES, DEBUG = ("vm-release", "prod"), ("vm", "prod-debug")
# Of ssh: its programs, and what its keys look like in files.
SSH = (b"dropbear", b"SSH-2.0-", b"ssh-ed25519", b"ssh-rsa", b"PRIVATE KEY")


def contents(built: dict[str, Any]) -> dict[str, bytes]:
    """Return the files of the root of what was BUILT, the app's left out, and links as empty."""
    with tarfile.open(stage(built, "rootfs") / "root.tar") as archive:
        found = {}
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if not member.name.startswith("containers/"):
                found[member.name] = file.read() if file else b""
        return found


def test_the_root_of_a_release_has_no_tools_no_ssh_and_no_keys(vcr: Any) -> None:
    built = {name: vcr.json("build", "rootfs", "--profile", name, STATIC)
             for name in (*RELEASES, *DEBUG)}  # fmt: skip
    rootfs = {name: digests(made)["rootfs"] for name, made in built.items()}
    assert rootfs["vm-release"] == rootfs["prod"]
    assert rootfs["vm"] == rootfs["prod-debug"] != rootfs["prod"]
    release, debug = contents(built["prod"]), contents(built["vm"])
    for name, content in release.items():
        assert MARK not in content, name
        assert not any(mark in content for mark in SSH), name
        assert not any(word in name for word in ("ssh", "dropbear", "authorized")), name
    # That it is looked for as it should: the other root has what this one has not.
    assert MARK in debug["etc/vcr/agent"]
    tools = {"top", "vi", "tar", "dropbearkey", "rsync"}
    added = {f"usr/bin/{name}" for name in tools} | {"usr/sbin/dropbear"}
    assert added <= debug.keys() - release.keys()
    assert SSH[0] in debug["usr/sbin/dropbear"]
    # Keys are made in the machine that runs; in its root there are none.
    assert not any("authorized_keys" in name or "host_key" in name for name in debug)
    assert not any(name.startswith(("etc/ssh", "etc/dropbear", "root/")) for name in debug)
    assert release.keys() < debug.keys()
    parted = {name for name in release if release[name] != debug[name]}
    assert parted == {"etc/vcr/agent"}


def test_a_sealed_release_has_no_trace_of_the_ports(vcr: Any) -> None:
    release = vcr.json("build", "--profile", "prod", STATIC)
    debug = vcr.json("build", "--profile", "prod-debug", STATIC)
    parted = {name for name, digest in digests(release).items() if digests(debug)[name] != digest}
    assert parted == {"rootfs", "squashfs", "machine", "snapshot", "sealed"}
    for built, has in ((debug, True), (release, False)):
        snapshot = stage(built, "snapshot")
        assert (MARK in (snapshot / "ram").read_bytes()) is has
        assert ("debug" in json.loads((snapshot / "machine.json").read_text())) is has


def test_its_snapshot_is_the_same_again(vcr: Any) -> None:
    snapshot = stage(vcr.json("build", "--profile", "prod-debug", STATIC), "snapshot")
    with busy_host():
        assert_same_again([deriver(snapshot)], on_one_cpu)


@pytest.mark.parametrize(("profile", "other"), [("prod", "prod-debug"), ("vm-release", "vm")])
def test_a_running_release_takes_no_command(vcr: Any, profile: str, other: str) -> None:
    machine = vcr.json("up", "--profile", profile, STATIC)
    asked = (("exec", STATIC, "--", "busybox", "id"), ("cat", STATIC, "/etc/passwd"),
             ("shell", STATIC), ("cp", STATIC, ":/www", "x"))  # fmt: skip
    for words in asked:
        told = vcr(*words, code=2).stderr
        assert "error: the machine takes no commands" in told
        assert f"vcr up --profile {other}`" in told
    channels = Records(Settings.load(vcr.env)).channels(machine_key(vcr))
    assert MARK not in Path(f"/proc/{machine['pid']}/cmdline").read_bytes()
    assert not any(path.exists() for path in debug_sockets(channels.debug))
    for request in ("exec busybox id", "cat /etc/passwd", '{"id": "1", "argv": ["id"]}'):
        assert Agent(channels.agent).ask(request, 10) == "error unknown request"
    assert get(address(machine))[0] == 200


def machine_key(vcr: Any) -> str:
    (record,) = Records(Settings.load(vcr.env)).all()
    return record.key


def test_no_sealed_profile_of_another_engine_has_commands(vcr: Any) -> None:
    told = vcr("build", "--profile", "prod-debug", "--engine", "cartesi", STATIC, code=2).stderr
    assert "there is no prod-debug on cartesi" in told
