"""Machines end when they should, and say what went wrong."""

import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from processes import command_lines

pytestmark = [pytest.mark.nix, pytest.mark.vm]


def qemu_processes(directory: Path) -> list[str]:
    """Command lines of the live QEMUs whose files are below DIRECTORY."""
    lines = command_lines()
    return [words for words in lines if "qemu-system-riscv64" in words and str(directory) in words]


def wait_for(child: subprocess.Popen[str], pattern: str) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if re.search(pattern, line):
            return
    raise AssertionError(f"no {pattern!r} in the output: {child.stderr and child.stderr.read()}")


def wait_until_gone(directory: Path) -> None:
    deadline = time.monotonic() + 20
    while qemu_processes(directory) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert qemu_processes(directory) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_run_leaves_no_machine_behind(
    vcr: Any, project: Path, tmp_path: Path, number: signal.Signals
) -> None:
    child = vcr.spawn("run", project)
    wait_for(child, r"^http://127\.0\.0\.1:\d+/")
    assert len(qemu_processes(tmp_path)) == 1
    child.send_signal(number)
    child.wait(60)
    assert child.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    wait_until_gone(tmp_path)
    assert vcr.json("ps")["machines"] == []


def test_interrupting_up_stops_the_machine(vcr: Any, project: Path, tmp_path: Path) -> None:
    child = vcr.spawn("up", project)
    deadline = time.monotonic() + 120
    while not qemu_processes(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    wait_until_gone(tmp_path)


def test_an_app_that_never_gets_healthy_is_exit_code_6(vcr: Any, project: Path) -> None:
    (project / "Dockerfile").write_text(
        "FROM busybox\n"
        'HEALTHCHECK --interval=1s --retries=2 CMD ["busybox", "false"]\n'
        'CMD ["busybox", "sh", "-c", "echo I am here; exec busybox sleep 1000"]\n'
    )
    done = vcr("up", project, code=6)
    assert "did not become healthy" in done.stderr
    assert "console: vcr: start app" in done.stderr
    assert "app: I am here" in done.stderr
    assert vcr.json("ps", "--all")["machines"] == []


def test_an_app_that_ends_at_once_is_exit_code_6(vcr: Any, project: Path) -> None:
    (project / "Dockerfile").write_text(
        'FROM busybox\nEXPOSE 80\nCMD ["busybox", "sh", "-c", "echo no luck; exit 3"]\n'
    )
    done = vcr("up", project, code=6)
    assert "stopped before it was healthy" in done.stderr
    assert "console: vcr: exit app rc=3" in done.stderr
    assert "app: no luck" in done.stderr


def test_two_projects_side_by_side_and_a_port_conflict(
    vcr: Any, project: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    project_copy = subprocess.run(["cp", "-r", project, other], check=True)
    assert project_copy.returncode == 0
    first = vcr.json("up", project)
    port = first["forwards"][0]["host"]
    conflict = vcr("up", other, "-p", f"{port}:8080", code=5)
    assert f"port {port} is not free" in conflict.stderr
    assert "the network of a machine or container (vcr-relay" in conflict.stderr
    second = vcr.json("up", other)
    assert second["forwards"][0]["host"] != port
    assert {m["status"] for m in vcr.json("ps")["machines"]} == {"healthy"}
    vcr("down", "--all", "-t", "0")
    assert vcr.json("ps", "--all")["machines"] == []


def test_up_twice_keeps_the_machine_and_a_change_replaces_it(vcr: Any, project: Path) -> None:
    first = vcr.json("up", project)
    assert vcr.json("up", project)["pid"] == first["pid"]
    (project / "www" / "index.html").write_text("changed")
    second = vcr.json("up", project)
    assert second["pid"] != first["pid"]


def test_a_port_of_somebody_else_is_named(vcr: Any, project: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = vcr("up", project, "-p", f"{port}:8080", code=5)
    assert re.search(rf"port {port} is not free\n  why: \S+ \(pid \d+\) listens", done.stderr)


@pytest.mark.parametrize("writable", [True, False])
def test_what_the_app_may_write(vcr: Any, project: Path, writable: bool) -> None:
    script = (
        "for place in /data /tmp /run /www; do "
        "echo x > $place/x && echo wrote $place; done 2>&1; busybox id -u; "
        "exec busybox httpd -f -p 8080 -h /www"
    )
    command = json.dumps(["busybox", "sh", "-c", script])
    (project / "Dockerfile").write_text(
        "FROM busybox\nUSER 1000:1000\nVOLUME /data\nEXPOSE 8080\n"
        f"COPY --chown=1000:1000 www /www\nCMD {command}\n"
    )
    toml = (project / "vcr.toml").read_text()
    (project / "vcr.toml").write_text(f"{toml}writable = {str(writable).lower()}\n")
    vcr("up", project)
    written = vcr("logs", project).stdout.splitlines()
    # /run is root's in the image, and begins so, as in Docker.
    denied = "sh: can't create /run/x: Permission denied"
    assert written[:3] == ["wrote /data", "wrote /tmp", denied]
    last = "wrote /www" if writable else "sh: can't create /www/x: Read-only file system"
    assert written[3:] == [last, "1000"]
