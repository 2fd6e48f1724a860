"""prod: one hash wherever it is built, sealed, served from, and verified."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_examples import GOLDEN, address, digests, get

from vcr.formats.hashes.merkle import machine_hash
from vcr.settings import Settings
from vcr.tools.nix import Nix

pytestmark = [pytest.mark.nix, pytest.mark.vm]

REPO = Path(__file__).resolve().parents[2]
STATIC = REPO / "examples" / "static"
PROD_GOLDEN = GOLDEN.with_name("prod.json")
KERNEL_AT = 2 << 20  # in memory: after the firmware


def stage(built: dict[str, Any], name: str) -> Path:
    return Path({row["name"]: row["path"] for row in built["stages"]}[name])


def test_the_sealed_machine_is_the_recorded_one_and_serves(vcr: Any) -> None:
    built = vcr.json("build", "--profile", "prod", STATIC)
    assert digests(built) == json.loads(PROD_GOLDEN.read_text())["static"]
    assert "vcr: start app" in (stage(built, "snapshot") / "console.log").read_text()
    machine = vcr.json("up", "--profile", "prod", STATIC)
    status, page = get(address(machine))
    assert status == 200
    assert "verifiable machine" in page
    assert [m["status"] for m in vcr.json("ps")["machines"]] == ["healthy"]
    assert "vcr: start app" in vcr("logs", "--console", STATIC).stdout
    vcr("down", "-t", "1", STATIC)


@pytest.mark.parametrize(
    ("lines", "why", "fix"),
    [
        (
            'HEALTHCHECK --interval=1s --retries=2 CMD ["busybox", "false"]',
            "but its health check fails: the health command exits with 1",
            "interval = 1 s and retries = 2 now; set `[health] start_period`",
        ),
        (
            'CMD ["busybox", "sh", "-c", "echo my last; exit 3"]',
            "the app ended with exit code 3; the last line of its log: my last",
            "`vcr logs`",
        ),
        (
            'CMD ["busybox", "wget", "-O", "-", "http://example.org/"]',
            "exit code 1; its log says: wget: bad address 'example.org'",
            "a prod machine has no network until it is healthy",
        ),
        (
            'HEALTHCHECK NONE\nCMD ["busybox", "httpd", "-f", "-p", "127.0.0.1:8080"]',
            "listens on port 8080, but only at 127.0.0.1:8080",
            "let it listen at 0.0.0.0",
        ),
        ('CMD ["busybox", "tail", "/dev/zero"]', "ran out of memory", "is 128 MiB now"),
    ],
    ids=["never healthy", "crashes", "needs the network", "loopback", "memory"],
)
def test_an_app_that_is_never_healthy(
    vcr: Any, project: Path, lines: str, why: str, fix: str
) -> None:
    with (project / "Dockerfile").open("a") as file:
        file.write(f"{lines}\n")
    stderr = vcr("build", "--profile", "prod", project, code=6).stderr
    assert "error: the app never became healthy" in stderr
    cause = stderr.rpartition("why: ")[2]
    assert why in cause
    assert fix in cause.partition("fix: ")[2]
    assert "console: vcr: start app" in stderr
    assert "vcr: facts" not in stderr
    if "memory" in why:  # nothing of this host decides which process ends, and when
        again = vcr("build", "--profile", "prod", project, code=6).stderr
        assert again.partition("error: ")[2] == stderr.partition("error: ")[2]


def test_verify_agrees_with_the_source_and_with_nothing_else(
    vcr: Any, project: Path, tmp_path: Path
) -> None:
    claim = vcr.json("build", project)
    ladder = tmp_path / "ladder.json"
    ladder.write_text(json.dumps(claim))
    assert vcr.json("verify", ladder, project)["same"] is True
    # From a repository, without what this host has in its store already.
    git = Nix(Settings.load()).toolset("git") / "usr/bin/git"
    env = {**os.environ, "GIT_EXEC_PATH": str(git.parents[1] / "lib/git-core")}
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "release")):
        subprocess.run([git, "-C", project, *words], check=True, env=env)
    assert "same" in vcr("verify", ladder, "--accept-cache", "--git", project).stdout
    claim["ladder"][1]["digest"] = "sha256:" + "0" * 64
    ladder.write_text(json.dumps(claim))
    done = vcr("verify", ladder, project, "--accept-cache", code=3)
    assert "error: the rung rootfs differs" in done.stderr
    assert "rootfs" in done.stdout
    assert "DIFFERS" in done.stdout


def test_explain_names_the_file(vcr: Any, project: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (project / "www" / "index.html").write_text(f"<p>verifiable machine, {name}</p>\n")
        built = vcr.json("build", "--profile", "prod", project)
        (tmp_path / name).write_text(json.dumps(built))
    assert "same" in vcr("explain", tmp_path / "first", tmp_path / "first").stdout
    done = vcr("explain", tmp_path / "first", tmp_path / "second", code=3)
    assert "/www/index.html" in done.stdout
    assert "error: the rung image differs" in done.stderr
    # With only the machines to compare, the page of memory is named.
    for name in ("first", "second"):
        claim = json.loads((tmp_path / name).read_text())
        claim["ladder"] = [rung for rung in claim["ladder"] if rung["name"] == "snapshot"]
        (tmp_path / name).write_text(json.dumps(claim))
    done = vcr("explain", tmp_path / "first", tmp_path / "second", code=3)
    assert "memory page" in done.stdout
    assert "the machines ran differently" in done.stderr


def test_explain_names_the_region_and_the_device(vcr: Any, tmp_path: Path) -> None:
    """One byte in the kernel's text, one of a device: that is all it finds."""
    built = vcr.json("build", "--profile", "prod", STATIC)
    other = tmp_path / "other"
    shutil.copytree(stage(built, "snapshot"), other)
    state = (other / "state").read_bytes()
    (other / "state").chmod(0o644)
    at = state.index(b"goldfish_rtc") + 30
    (other / "state").write_bytes(state[:at] + bytes([state[at] ^ 1]) + state[at + 1 :])
    (other / "ram").chmod(0o644)
    with (other / "ram").open("r+b") as ram:
        at = KERNEL_AT + 0x2345
        old = os.pread(ram.fileno(), 1, at)[0]
        os.pwrite(ram.fileno(), bytes([old ^ 1]), at)
    for name in ("first", "second"):
        ladder = [row for row in built["ladder"] if row["name"] in {"kernel", "snapshot"}]
        if name == "second":
            digest = machine_hash(other)
            ladder[-1] = {**ladder[-1], "digest": digest, "path": str(other / "machine.json")}
        (tmp_path / name).write_text(json.dumps({**built, "ladder": ladder}))
    done = vcr("explain", tmp_path / "first", tmp_path / "second", code=3)
    assert "snapshot: 3 differences" in done.stdout
    assert "1 page of" in done.stdout
    address = f"{0x8000_0000 + KERNEL_AT + 0x2345:#x}"
    # Which function is there is the kernel's affair; that one is named is ours.
    assert re.search(rf"\(address {address}, kernel[a-z ]*, \w+\+0x[0-9a-f]+\)", done.stdout)
    assert "device goldfish_rtc 0" in done.stdout
