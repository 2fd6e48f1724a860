"""What is said of a step that calls a program which the packages of its base do not have."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from vcr.build.absent import absent
from vcr.build.builder import RunError
from vcr.dockerfile.commands import commands_of
from vcr.errors import ExitCode, VcrError
from vcr.lock.debian.commands import advice, instead_of_apk, package_of
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock, LockedDebian, LockedImage
from vcr.model.plan import Plan
from vcr.model.project import load_project
from vcr.planner.project import make_plan

NAME = "python:3.12-slim"
DEBIAN = LockedDebian(suite="s", snapshot="20260101T000000Z", archs=dict.fromkeys(Arch, ()))
IMAGE = LockedImage.model_validate(
    {
        "reference": "docker://x",
        "archs": {
            arch: {"manifest": f"sha256:{'0' * 64}", "config": {}, "blobs": {}} for arch in Arch
        },
    }
)


def planned(
    root: Path, run: str, base: LockedDebian | LockedImage = DEBIAN, start: str = ""
) -> Plan:
    (root / "Dockerfile").write_text(f"FROM {start}{NAME}\nWORKDIR /a\nRUN {run}\n")
    lock = Lock.model_validate(
        {"schema": 1, "epoch": 7, "inputs": {}, "bases": {NAME: base}, "urls": {}}
    )
    return make_plan(load_project(root), lock, arch=Arch.RISCV64, profile="vm")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/bin/sh: 1: apt-get: not found", "apt-get"),
        ("/bin/sh: git: not found", "git"),
        ("/bin/bash: line 3: make: command not found", "make"),
        ("bash: curl: command not found", "curl"),
        ("/app/run.sh: 7: /usr/bin/jq: not found", "jq"),
        ('exec: "gcc": executable file not found in $PATH', "gcc"),
    ],
)
@pytest.mark.parametrize("start", ["", "--platform=$BUILDPLATFORM "])
def test_a_command_that_the_packages_lack(
    tmp_path: Path, line: str, command: str, start: str
) -> None:
    plan = planned(tmp_path, "x", start=start)
    found = absent(plan, "0.2.run", "RUN x exited with 127", ["a", line, "make: leaving", " "])
    assert found is not None
    assert found.why.startswith(f'{command} is not there: [base."{NAME}"] of vcr.toml')
    assert f'add "{package_of(command)}"' in found.fix


def test_a_step_that_fails_otherwise_keeps_its_words(tmp_path: Path) -> None:
    plan, line = planned(tmp_path, "x"), "sh: 1: git: not found"
    assert absent(plan, "0.2.run", "RUN x exited with 1", [line, "error: no tests"]) is None
    assert absent(plan, "0.2.run", "RUN x exited with 1", ["x", line]) is not None
    assert absent(plan, "0.2.run", "RUN x exited with 127", ["page not found"]) is None
    assert absent(plan, "0.1.workdir", "RUN x exited with 127", [line]) is None


def test_an_image_lacks_what_it_lacks(tmp_path: Path) -> None:
    plan = planned(tmp_path, "x", IMAGE)
    assert absent(plan, "0.2.run", "RUN x exited with 127", ["sh: git: not found"]) is None


def test_what_is_not_locked_for_an_architecture_names_it(tmp_path: Path) -> None:
    plan = planned(tmp_path, "x")
    error = VcrError("RUN x asks", why="GET http://h/", fix="run `vcr lock`", code=ExitCode.LOCK)
    assert RunError(plan, "0.2.run", "a", error).fix == "run `vcr lock`"
    found = RunError(replace(plan, arch=Arch.AMD64), "0.2.run", "a", error)
    assert "`vcr lock --arch amd64`" in found.fix
    assert (found.why, found.code) == (error.why, ExitCode.LOCK)


def test_apt_and_apk_are_explained() -> None:
    assert advice("apt-get", "apt-get install x", "a").endswith("and configure = true")
    told = advice("apk", "apk --no-cache add git build-base 'musl-dev>1' .run-deps -t x", "a:1")
    assert '"git", "build-essential"' in told
    assert 'packages of [base."a:1"]' in told
    assert instead_of_apk("apk add -q a=1.2~3 b>2 && apk add c; echo d") == ("a", "b", "c")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("apt-get update && apt-get install -y git", ("apt-get",)),
        ("set -eux; if ! which x; then /usr/bin/curl -o y z | tar x; fi", ("which", "curl", "tar")),
        ("A=1 B='c d' make -j$(nproc)", ("make", "nproc")),
        ("echo 'git is; curl' \"; wget\" && (cd /a; ./configure)", ("configure",)),
        ("pip install curl git", ("pip",)),
    ],
)
def test_commands_of_a_shell(text: str, names: tuple[str, ...]) -> None:
    assert commands_of(text) == names


@pytest.mark.parametrize(
    "text", ["A='' ", "\n", "; ", "A=1 ", "set -e ", "(", "a", "'\"", '"a$', "apk add ", "1: a: "]
)
def test_long_texts_take_no_long_time(text: str) -> None:
    long = text * (200_000 // len(text))
    began = time.process_time()
    commands_of(long)
    instead_of_apk(long)
    assert time.process_time() - began < 5
