"""Profiles, a debugger and more CPUs, of machines that run."""

import itertools
import json
import os
import signal
import socket as unix
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from again import assert_same_again, on_one_cpu
from determinism import busy_host, deriver
from services import toolset
from test_examples import address, get
from test_prod import STATIC, stage

from vcr.perf.profile import read

pytestmark = [pytest.mark.nix, pytest.mark.vm]


@contextmanager
def asked(url: str) -> Iterator[None]:
    """Ask the app for a page again and again while the block runs."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            get(url)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()


@pytest.fixture
def up(vcr: Any, tmp_path: Path) -> str:
    """The address of a machine that has the sampler already: compiling it takes a minute."""
    machine = vcr.json("up", STATIC)
    vcr("perf", "record", "--seconds", "0.5", "--output", tmp_path / "first", STATIC)
    return address(machine)


def test_a_busy_app_is_seen_and_what_the_kernel_does_for_it(
    vcr: Any, tmp_path: Path, up: str
) -> None:
    file = tmp_path / "app.json"
    with asked(up):
        told = vcr.json("perf", "record", "--seconds", "5", "--output", file, STATIC)
    assert told["samples"] > 50
    found = read(file)
    assert (found.profile, found.clock, found.samples) == ("vm", "time", told["samples"])
    # Only the app, whose server begins a process for each request.
    assert {stack.split(";")[0] for stack in found.stacks} == {"busybox"}
    assert any(";busybox`" in stack and ";kernel`" in stack for stack in found.stacks)
    functions = vcr.json("perf", "report", file)["functions"]
    names = {row["symbol"] for row in functions if row["object"] == "kernel"}
    assert {"do_trap_ecall_u", "handle_exception"} <= names
    assert sum(row["own"] for row in functions) == told["samples"]
    assert not any(name.startswith("0x") for name in names)
    picture = tmp_path / "app.svg"
    assert vcr("perf", "report", file, "--svg", picture).stdout == ""
    assert "do_trap_ecall_u (kernel)" in picture.read_text()
    head = vcr("perf", "report", file, "-n", "2").stdout.splitlines()
    assert head[0].split() == ["SELF", "TOTAL", "PROCESS", "OBJECT", "SYMBOL"]
    assert len(head) == 3


def test_it_ends_with_an_interrupt_and_leaves_nothing_running(
    vcr: Any, tmp_path: Path, up: str
) -> None:
    file = tmp_path / "system.json"
    with asked(up):
        child = vcr.spawn("perf", "record", "--system", "--output", file, STATIC)
        assert any("until Ctrl-C" in line for line in child.stderr)
        time.sleep(8)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=30)
    assert child.returncode == 0
    assert out.endswith(f"→ {file}\n")
    processes = {stack.split(";")[0] for stack in read(file).stacks}
    assert {"busybox", "agent"} <= processes
    assert not any(name.startswith("sampler") for name in processes)
    deadline = time.monotonic() + 60
    while "sampler" in vcr("exec", "--system", STATIC, "--", "ps").stdout:
        assert time.monotonic() < deadline


def test_top_goes_on_until_it_is_interrupted(vcr: Any, up: str) -> None:
    with asked(up):
        child = vcr.spawn("--json", "perf", "top", "--every", "1", STATIC)
        lines = [json.loads(line) for line in itertools.islice(child.stdout, 3)]
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
    assert child.returncode == 0
    assert [line["kind"] for line in lines] == ["perf"] * 3
    assert any(row["process"] == "busybox" for line in lines for row in line["functions"])


def test_a_release_shows_nothing(vcr: Any, tmp_path: Path) -> None:
    vcr("up", "--profile", "prod", STATIC)
    for words in (("perf", "record"), ("perf", "top"), ("gdb", "--print")):
        told = vcr(*words, STATIC, code=2).stderr
        assert "error: the machine cannot be looked into" in told
        assert "vcr up --profile vm" in told
    vcr("down", "-t", "1", STATIC)
    assert "is not up" in vcr("perf", "record", STATIC, code=2).stderr
    assert "error" in vcr("perf", "report", tmp_path / "none", code=2).stderr


def test_prod_debug_is_sampled_as_stage_is(vcr: Any, tmp_path: Path) -> None:
    machine = vcr.json("up", "--profile", "prod-debug", STATIC)
    vcr("perf", "record", "--seconds", "0.5", "--output", tmp_path / "first", STATIC)
    with asked(address(machine)):
        vcr("perf", "record", "--seconds", "4", "--output", tmp_path / "app", STATIC)
    found = read(tmp_path / "app")
    assert found.profile == "prod-debug"
    assert {stack.split(";")[0] for stack in found.stacks} == {"busybox"}


def test_a_boot_is_counted_in_instructions_and_the_same_again(vcr: Any, tmp_path: Path) -> None:
    built = vcr.json("build", "--profile", "prod", STATIC)
    file = tmp_path / "boot.json"
    vcr("perf", "record", "--boot", "--output", file, STATIC)
    found = read(file)
    made = json.loads((stage(built, "snapshot") / "machine.json").read_text())
    # One that turns out to reach a device is begun again, and seen twice.
    assert 0 <= found.duration - made["instructions"] < made["instructions"] / 10_000
    assert found.samples == found.duration // found.every
    processes = {stack.split(";")[0] for stack in found.stacks}
    assert {"firmware", "swapper", "init", "crun", "agent"} <= processes
    assert any(";kernel`do_populate_rootfs;" in stack for stack in found.stacks)
    (samples,) = Path(vcr.env["XDG_STATE_HOME"]).glob("vcr/roots/*/*/samples")
    with busy_host():
        assert_same_again([deriver(samples.resolve())], on_one_cpu)


def test_a_boot_without_our_kernel_is_refused(vcr: Any, project: Path) -> None:
    with (project / "vcr.toml").open("a") as file:
        file.write('kernel = "debian"\n')
    assert "only QEMU counts" in vcr("perf", "record", "--boot", project, code=2).stderr
    words = ("perf", "record", "--boot", "--seconds", "1", STATIC)
    assert "--boot takes all of the boot" in vcr(*words, code=2).stderr


@pytest.fixture
def debugger(vcr: Any) -> None:
    vcr.env["PATH"] = f"{toolset('gdb')}/usr/bin:{vcr.env['PATH']}"


@pytest.mark.usefixtures("debugger")
def test_a_debugger_stops_the_machine_and_lets_it_go(vcr: Any, up: str) -> None:
    told = vcr.json("gdb", "--print", STATIC)
    socket = Path(told["socket"])
    assert socket.is_socket()
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert f"target remote {socket}" in told["argv"]
    with closing(unix.socket(unix.AF_UNIX)) as stub:
        # The stub answers as the remote protocol of gdb has it: it supports something.
        stub.settimeout(30)
        stub.connect(str(socket))
        stub.sendall(b"$qSupported#37")
        assert b"PacketSize" in stub.recv(4096)
    script = ["info threads", "break do_sys_openat2", "continue", "backtrace", "delete", "detach"]
    argv = [*told["argv"][:1], "-nx", "-batch", *told["argv"][1:]]
    argv += [word for line in script for word in ("-ex", line)]
    with asked(up):  # opens a file, and so comes to the breakpoint
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert "CPU#0" in done.stdout, done.stderr
    assert "in do_sys_openat2 ()" in done.stdout
    assert "handle_exception ()" in done.stdout
    assert get(up)[0] == 200


@pytest.mark.usefixtures("debugger")
def test_gdb_has_the_terminal_and_the_machine_goes_on_after_it(vcr: Any, up: str) -> None:
    child = vcr.spawn("gdb", STATIC)  # its stdin is nobody's: gdb ends at the end of it
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "arch_cpu_idle ()" in out or " in " in out
    assert get(up)[0] == 200
    assert not list(Path(vcr.env["XDG_RUNTIME_DIR"]).rglob("gdb"))  # nobody listens any more


def test_turbo_takes_every_cpu_and_says_what_that_costs(vcr: Any) -> None:
    done = vcr("up", "--turbo", STATIC)
    assert "NOTHING ABOUT THIS RUN IS REPRODUCIBLE" in done.stderr
    count = ("exec", "--system", STATIC, "--", "nproc")
    assert vcr(*count).stdout == f"{min(len(os.sched_getaffinity(0)), 8)}\n"
    again = vcr("up", STATIC)
    assert "REPRODUCIBLE" not in again.stderr
    assert vcr(*count).stdout == "1\n"
    for profile in ("prod", "prod-debug", "dev", "vm-release"):
        told = vcr("up", "--turbo", "--profile", profile, STATIC, code=2).stderr
        assert f"--turbo is not for the profile {profile}" in told


def test_symbols_of_a_program_are_those_of_its_file(vcr: Any, tmp_path: Path) -> None:
    c = STATIC.with_name("c")
    machine = vcr.json("up", c)
    vcr("perf", "record", "--seconds", "0.5", "--output", tmp_path / "first", c)
    with asked(address(machine)):
        vcr("perf", "record", "--seconds", "4", "--output", tmp_path / "app", c)
    frames = {frame for stack in read(tmp_path / "app").stacks for frame in stack.split(";")}
    named = {frame for frame in frames if frame.startswith("server`")}
    # It is not stripped. Without frame pointers only what asks the kernel for something shows.
    assert named
    assert "server`[unknown]" not in named
