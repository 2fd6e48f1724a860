"""prod-debug: as prod, with commands and files for the host; prod has no trace of them."""

import hashlib
import json
import os
import signal
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from determinism import assert_same_again, busy_host, deriver, pinned
from test_examples import address, digests, get
from test_prod import STATIC, stage

from vcr.engines.agent import Agent
from vcr.runtime.record import Records
from vcr.settings import Settings

pytestmark = [pytest.mark.nix, pytest.mark.vm]

MARK = b"vcr.debug"  # the port's name: in whatever opens it, and in the kernel that has it


@pytest.fixture
def debugged(vcr: Any) -> Any:
    vcr("up", "--profile", "prod-debug", STATIC)
    return vcr


def test_commands_run_in_the_container_and_in_the_machine(debugged: Any) -> None:
    vcr = debugged
    inside = vcr("exec", STATIC, "--", "busybox", "id").stdout
    assert inside.startswith("uid=1000")
    assert vcr("exec", "--system", STATIC, "--", "busybox", "id", "-u").stdout == "0\n"
    script = "echo out; echo err >&2; exit 7"
    done = vcr(
        "exec", "--profile", "prod-debug", STATIC, "--", "busybox", "sh", "-c", script, code=7
    )
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    told = vcr.json("exec", STATIC, "--", "busybox", "echo", "-q", "--json")
    assert (told["code"], told["stdout"], told["stderr"]) == (0, "-q --json\n", "")
    assert "not found" in vcr("exec", STATIC, "--", "nothing-like-it", code=255).stderr
    assert "no such file" in vcr("exec", "--system", STATIC, "--", "/none", code=127).stderr
    killed = ("busybox", "sh", "-c", "kill -9 $$")
    assert vcr("exec", "--system", STATIC, "--", *killed[1:], code=137).stdout == ""


def test_files_are_read_whole_and_no_link_leads_out(debugged: Any) -> None:
    vcr = debugged
    assert "verifiable machine" in vcr("cat", STATIC, "/www/index.html").stdout
    assert vcr("cat", "--system", STATIC, "/proc/version").stdout.startswith("Linux version")
    assert "no such file" in vcr("cat", STATIC, "/none", code=1).stderr
    assert "is a directory" in vcr("cat", STATIC, "/www", code=1).stderr
    # The container's root is where an absolute link begins.
    assert "sysinit" in vcr("cat", "--system", STATIC, "/etc/inittab").stdout
    script = "mkdir /tmp/own; cd /tmp/own; ln -s /../../etc/inittab out; ln -s /www/index.html in"
    vcr("exec", STATIC, "--", "busybox", "sh", "-c", script)
    assert "no such file" in vcr("cat", STATIC, "/tmp/own/out", code=1).stderr
    assert "verifiable machine" in vcr("cat", STATIC, "/tmp/own/in").stdout
    program = vcr.spawn("cat", STATIC, "/bin/busybox")
    raw = os.fdopen(os.dup(program.stdout.fileno()), "rb").read()
    there = vcr("exec", STATIC, "--", "busybox", "sha256sum", "/bin/busybox").stdout.split()[0]
    assert hashlib.sha256(raw).hexdigest() == there
    assert len(raw) > 500_000


def test_who_stops_listening_ends_the_command(debugged: Any) -> None:
    vcr = debugged
    script = "echo started; exec busybox sleep 4711"
    child = vcr.spawn("exec", STATIC, "--", "busybox", "sh", "-c", script)
    assert child.stdout.readline() == "started\n"
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 130
    time.sleep(1)
    assert "sleep 4711" not in vcr("exec", "--system", STATIC, "--", "ps").stdout


def member(built: dict[str, Any], name: str) -> bytes:
    with tarfile.open(stage(built, "rootfs") / "root.tar") as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def test_a_release_has_neither_the_command_nor_the_channel(vcr: Any) -> None:
    release = vcr.json("build", "--profile", "prod", STATIC)
    debug = vcr.json("build", "--profile", "prod-debug", STATIC)
    parted = {name for name, digest in digests(release).items() if digests(debug)[name] != digest}
    assert parted == {"rootfs", "squashfs", "machine", "snapshot", "sealed"}
    for built, has in ((debug, True), (release, False)):
        assert (MARK in member(built, "etc/vcr/agent")) is has
        snapshot = stage(built, "snapshot")
        assert (MARK in (snapshot / "ram").read_bytes()) is has
        assert ("debug" in json.loads((snapshot / "machine.json").read_text())) is has


def test_its_snapshot_is_the_same_again(vcr: Any) -> None:
    snapshot = stage(vcr.json("build", "--profile", "prod-debug", STATIC), "snapshot")
    with busy_host():
        assert_same_again(deriver(snapshot), *pinned(1))


def test_a_running_release_takes_no_command(vcr: Any) -> None:
    machine = vcr.json("up", "--profile", "prod", STATIC)
    for words in (("exec", STATIC, "--", "busybox", "id"), ("cat", STATIC, "/etc/passwd")):
        told = vcr(*words, code=2).stderr
        assert "error: the machine takes no commands" in told
        assert "vcr up --profile prod-debug" in told
    channels = Records(Settings.load(vcr.env)).channels(machine_key(vcr))
    assert MARK not in Path(f"/proc/{machine['pid']}/cmdline").read_bytes()
    assert not channels.debug.exists()
    for request in ("exec busybox id", "cat /etc/passwd", '{"id": "1", "argv": ["id"]}'):
        assert Agent(channels.agent).ask(request, 10) == "error unknown request"
    assert get(address(machine))[0] == 200


def machine_key(vcr: Any) -> str:
    (record,) = Records(Settings.load(vcr.env)).all()
    return record.key


def test_no_profile_of_another_engine_has_commands(vcr: Any) -> None:
    told = vcr("build", "--profile", "prod-debug", "--engine", "cartesi", STATIC, code=2).stderr
    assert "there is no prod-debug on cartesi" in told
