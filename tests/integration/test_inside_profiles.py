"""Looking inside what is up: commands, shells, files; in each profile that lets one in."""

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import PROGRAM, Vcr, runner_in
from terminals import Terminal

from vcr.sandbox.hardware import DEBUG_PORTS

pytestmark = [pytest.mark.nix, pytest.mark.vm]

STATIC = Path(__file__).resolve().parents[2] / "examples" / "static"
MACHINES = ("vm", "prod-debug")


@pytest.fixture(scope="module", params=["dev", *MACHINES])
def up(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcr]:
    """examples/static, up for all tests of this module with one profile."""
    with runner_in(tmp_path_factory.mktemp("up")) as runner:
        runner("up", "--profile", request.param, STATIC)
        runner.env["profile"] = request.param  # for the tests; vcr does not look there
        yield runner


@pytest.fixture
def machine(up: Vcr) -> Vcr:
    if up.env["profile"] not in MACHINES:
        pytest.skip("there is no machine")
    return up


def terminal(vcr: Vcr, *words: str, rows: int = 24, columns: int = 80) -> Terminal:
    return Terminal([*PROGRAM, *words], vcr.env, rows=rows, columns=columns)


def fed(vcr: Vcr, data: bytes, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    argv = [*PROGRAM, *map(str, words)]
    return subprocess.run(
        argv, env=vcr.env, input=data, capture_output=True, check=False, timeout=120
    )


# --- commands


def test_a_command_gives_its_streams_and_its_exit_code(up: Vcr) -> None:
    assert up("exec", STATIC, "--", "busybox", "id").stdout.startswith("uid=1000")
    script = "echo out; echo err >&2; exit 7"
    done = up("exec", STATIC, "--", "busybox", "sh", "-c", script, code=7)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    told = up.json("exec", STATIC, "--", "busybox", "echo", "-q", "--json")
    assert (told["code"], told["stdout"], told["stderr"]) == (0, "-q --json\n", "")
    assert "not found" in up("exec", STATIC, "--", "nothing-like-it", code=255).stderr
    assert up("exec", STATIC, "--", "busybox", "sh", "-c", "kill -9 $$", code=137).stdout == ""


def test_the_machine_itself_is_roots(machine: Vcr) -> None:
    assert machine("exec", "--system", STATIC, "--", "id", "-u").stdout == "0\n"
    assert "no such file" in machine("exec", "--system", STATIC, "--", "/none", code=127).stderr
    killed = ("sh", "-c", "kill -9 $$")
    assert machine("exec", "--system", STATIC, "--", *killed, code=137).stdout == ""


def test_a_container_of_this_host_has_no_system(up: Vcr) -> None:
    if up.env["profile"] != "dev":
        pytest.skip("there is a machine")
    for words in (("exec", STATIC, "--", "id"), ("shell", STATIC), ("cat", STATIC, "/x")):
        told = up(words[0], "--system", *words[1:], code=2).stderr
        assert "there is no machine to look into" in told


def test_stdin_and_its_end_are_passed_on(up: Vcr) -> None:
    assert fed(up, b"hi\n", "exec", "-i", STATIC, "--", "busybox", "cat").stdout == b"hi\n"
    data = os.urandom(700_000)  # more than is ever on the way
    summed = fed(up, data, "exec", "-i", STATIC, "--", "busybox", "sha256sum").stdout
    assert summed.split()[0].decode() == hashlib.sha256(data).hexdigest()
    back = fed(up, data, "exec", "-i", STATIC, "--", "busybox", "cat").stdout
    assert back == data
    # Who does not read it ends all the same; without -i there is none.
    assert fed(up, data, "exec", "-i", STATIC, "--", "busybox", "true").returncode == 0
    assert fed(up, b"hi\n", "exec", STATIC, "--", "busybox", "cat").stdout == b""


def test_a_signal_reaches_the_command(up: Vcr) -> None:
    script = "trap 'echo got INT; exit 5' INT; echo ready; while :; do busybox sleep 0.1; done"
    child = up.spawn("exec", STATIC, "--", "busybox", "sh", "-c", script)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    assert child.stdout.read() == "got INT\n"
    assert child.wait(20) == 5


def test_who_is_killed_takes_the_command_along(up: Vcr) -> None:
    script = "echo started; exec busybox sleep 4711"
    child = up.spawn("exec", STATIC, "--", "busybox", "sh", "-c", script)
    assert child.stdout is not None
    assert child.stdout.readline() == "started\n"
    child.kill()
    deadline = time.monotonic() + 20
    while "sleep 4711" in up("exec", STATIC, "--", "busybox", "ps").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_second_interrupt_ends_a_command_that_ignores_it(machine: Vcr) -> None:
    script = "trap '' INT TERM; echo ready; while :; do busybox sleep 0.1; done"
    child = machine.spawn("exec", STATIC, "--", "busybox", "sh", "-c", script)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    time.sleep(1)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 130
    deadline = time.monotonic() + 60  # it is asked to end first, and then made to
    while "trap ''" in machine("exec", "--system", STATIC, "--", "ps").stdout:
        assert time.monotonic() < deadline


def test_many_at_once_and_one_more_waits(machine: Vcr) -> None:
    words = ("exec", STATIC, "--", "busybox", "sh", "-c", "echo here; exec busybox sleep 100")
    first = [machine.spawn(*words) for _ in range(DEBUG_PORTS)]
    for child in first:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
    late = machine.spawn("exec", STATIC, "--", "busybox", "echo", "at last")
    assert late.stderr is not None
    assert late.stdout is not None
    assert "waiting" in late.stderr.readline()
    first[0].send_signal(signal.SIGINT)
    assert late.stdout.read() == "at last\n"
    for child in first[1:]:
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130


# --- terminals


@pytest.mark.parametrize("system", [False, True])
def test_a_shell_on_a_terminal(up: Vcr, *, system: bool) -> None:
    if system and up.env["profile"] not in MACHINES:
        pytest.skip("there is no machine")
    words = ["shell", *(["--system"] if system else []), str(STATIC)]
    with terminal(up, *words, rows=30, columns=100) as at:
        prompt = "# " if system else "$ "
        at.expect(prompt)
        at.type("busybox stty size; echo $TERM\n")
        at.expect("30 100\r\nxterm\r\n")
        at.resize(50, 132)
        time.sleep(0.5)
        at.type("busybox stty size\n")
        at.expect("50 132\r\n")
        at.type("busybox sleep 100\n")
        at.expect("sleep 100\r\n")
        time.sleep(1)
        at.type("\x03")
        at.expect(prompt)
        at.type("echo it was $?; busybox tty; exit 7\n")
        at.expect("it was 130\r\n/dev/")
        assert at.wait() == 7


def test_ctrl_d_ends_a_shell_and_it_can_be_used_as_a_filter(up: Vcr) -> None:
    with terminal(up, "shell", str(STATIC)) as at:
        at.expect("$ ")
        assert at.is_raw()
        at.type("false\n")
        at.expect("$ ")
        at.type("\x04")
        assert at.wait() == 1
    assert fed(up, b"echo $((6*7)); exit 3\n", "shell", STATIC).stdout == b"42\n"


def test_the_terminal_is_restored_whatever_happens(up: Vcr) -> None:
    script = "echo ready; exec busybox sleep 1000"
    words = ("exec", "-it", str(STATIC), "--", "busybox", "sh", "-c", script)
    for by in (signal.SIGTERM, signal.SIGHUP):
        with terminal(up, *words) as at:
            at.expect("ready")
            assert at.is_raw()
            at.child.send_signal(by)
            assert at.wait() == 128 + by
    with terminal(up, "exec", "-t", str(STATIC), "--", "busybox", "cat") as at:
        at.type("typed\n")
        at.expect("typed\r\ntyped\r\n")
        at.type("\x04")
        assert at.wait() == 0


def test_a_terminal_takes_one(up: Vcr) -> None:
    assert "stdin is not a terminal" in up("exec", "-t", STATIC, "--", "x", code=2).stderr


# --- files


def test_files_are_read_whole(up: Vcr) -> None:
    assert "verifiable machine" in up("cat", STATIC, "/www/index.html").stdout
    assert "no such file" in up("cat", STATIC, "/none", code=1).stderr.lower()
    assert "is a directory" in up("cat", STATIC, "/www", code=1).stderr.lower()
    raw = fed(up, b"", "cat", STATIC, "/bin/busybox").stdout
    there = up("exec", STATIC, "--", "busybox", "sha256sum", "/bin/busybox").stdout.split()[0]
    assert hashlib.sha256(raw).hexdigest() == there
    assert len(raw) > 500_000


def test_no_link_leads_out_of_the_container(machine: Vcr) -> None:
    # The container's root is where an absolute link begins.
    assert "sysinit" in machine("cat", "--system", STATIC, "/etc/inittab").stdout
    assert machine("cat", "--system", STATIC, "/proc/version").stdout.startswith("Linux version")
    script = "mkdir /tmp/own; cd /tmp/own; ln -s /../../etc/inittab out; ln -s /www/index.html in"
    machine("exec", STATIC, "--", "busybox", "sh", "-c", script)
    assert "no such file" in machine("cat", STATIC, "/tmp/own/out", code=1).stderr
    assert "verifiable machine" in machine("cat", STATIC, "/tmp/own/in").stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with what a copy has to keep."""
    root = tmp_path / "tree"
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "data").write_bytes(os.urandom(600_000))
    (root / "deep" / "er" / "empty").touch()
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "secret").write_text("x")
    (root / "secret").chmod(0o600)
    (root / "link").symlink_to("deep/data")
    return root


def listing(root: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(root)): (
            str(path.readlink())
            if path.is_symlink()
            else (path.stat().st_mode & 0o777, path.read_bytes(), int(path.stat().st_mtime))
            if path.is_file()
            else None
        )
        for path in root.rglob("*")
    }


def test_a_directory_there_and_back(up: Vcr, tree: Path, tmp_path: Path) -> None:
    up("cp", STATIC, tree, ":/tmp/copy")
    shown = up("exec", STATIC, "--", "busybox", "ls", "-ln", "/tmp/copy").stdout
    assert " 1000 " in shown  # the app's
    assert "-rwxr-xr-x" in shown
    up("cp", STATIC, "app:/tmp/copy", tmp_path / "back")
    assert listing(tmp_path / "back") == listing(tree)
    # Into a directory that is there it goes by its name; over one it does not.
    up("cp", STATIC, tree, "app:/tmp/")
    assert up("exec", STATIC, "--", "busybox", "cat", "/tmp/tree/run").stdout == "#!/bin/sh\n"
    assert "exists already" in up("cp", STATIC, tree, ":/tmp/", code=1).stderr
    up("cp", STATIC, ":/tmp/copy/run", tmp_path)
    assert (tmp_path / "run").read_text() == "#!/bin/sh\n"
    (tmp_path / "copy").mkdir()
    assert "exists already" in up("cp", STATIC, ":/tmp/copy", tmp_path, code=2).stderr
    up("exec", STATIC, "--", "busybox", "rm", "-r", "/tmp/copy", "/tmp/tree")


def test_a_file_replaces_a_file(up: Vcr, tmp_path: Path) -> None:
    for text in ("one", "another"):
        (tmp_path / "file").write_text(text)
        up("cp", STATIC, tmp_path / "file", ":/tmp/file")
        assert up("cat", STATIC, "/tmp/file").stdout == text
    up("cp", STATIC, ":/www/index.html", tmp_path / "file")
    assert "verifiable machine" in (tmp_path / "file").read_text()


def test_what_cannot_be_copied_leaves_nothing(up: Vcr, tree: Path, tmp_path: Path) -> None:
    told = up("cp", STATIC, tree, ":/www/copy", code=1).stderr
    assert "permission denied" in told.lower()  # it is root's, and the app is somebody else
    told = up("cp", STATIC, tree, ":/sys/copy", code=1).stderr
    assert "read-only file system" in told.lower()
    assert "no such file" in up("cp", STATIC, ":/none", tmp_path, code=1).stderr.lower()
    assert "cannot write" in up("cp", STATIC, ":/www", tmp_path / "none/www", code=5).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]
    assert "there is no" in up("cp", STATIC, tmp_path / "none", ":/tmp", code=2).stderr
    for words in ((":/a", ":/b"), ("a", "b"), (":/a",)):
        assert "side" in up("cp", *words, code=2).stderr or len(words) == 1
    assert ".vcr" not in up("exec", STATIC, "--", "busybox", "ls", "-a", "/tmp").stdout


def test_what_leads_out_stays_there(up: Vcr, tmp_path: Path) -> None:
    script = (
        "mkdir -p /tmp/bad/sub; cd /tmp/bad; ln -s /etc/passwd a; ln -s ../../x b; "
        "ln -s sub/../../.. c; ln -s sub d; busybox mkfifo e; echo fine > f"
    )
    up("exec", STATIC, "--", "busybox", "sh", "-c", script)
    told = up("cp", STATIC, ":/tmp/bad", tmp_path).stderr
    assert sorted(path.name for path in (tmp_path / "bad").iterdir()) == ["d", "f", "sub"]
    assert told.count("left out:") == 4
    up("exec", STATIC, "--", "busybox", "rm", "-r", "/tmp/bad")


def test_no_link_of_a_copy_reads_the_hosts_files(up: Vcr, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id").write_text("of the host")
    script = (
        "mkdir -p /tmp/d/sub/deep; cd /tmp/d; ln -s ../.ssh/id config; ln -s sub l; "
        "ln -s ../../.ssh/id sub/up; ln -s .. sub/deep/s; ln -s sub/deep/s/../../.ssh/id m; "
        "ln -s ../sub/file sub/in; echo fine > sub/file"
    )
    up("exec", STATIC, "--", "busybox", "sh", "-c", script)
    told = up("cp", STATIC, ":/tmp/d", tmp_path).stderr
    found = [path for path in (tmp_path / "d").rglob("*") if path.is_file()]
    assert {path.read_text() for path in found} == {"fine\n"}
    assert not any((tmp_path / "d" / name).is_symlink() for name in ("config", "m", "sub/up"))
    assert (tmp_path / "d" / "sub" / "in").read_text() == "fine\n"
    assert told.count("left out:") == 3
    up("exec", STATIC, "--", "busybox", "rm", "-r", "/tmp/d")


def test_files_of_the_machine(machine: Vcr, tree: Path, tmp_path: Path) -> None:
    machine("cp", "--system", STATIC, tree, ":/run/tree")
    machine("cp", "--system", STATIC, ":/run/tree", tmp_path / "back")
    assert listing(tmp_path / "back") == listing(tree)
    machine("cp", "--system", STATIC, ":/proc/version", tmp_path)
    assert (tmp_path / "version").read_text().startswith("Linux version")
    machine("exec", "--system", STATIC, "--", "rm", "-r", "/run/tree")


# --- who has none


def test_an_image_without_a_shell(vcr: Vcr, project: Path) -> None:
    (project / "Dockerfile").write_text(
        "FROM busybox AS tools\nFROM scratch\nCOPY --from=tools /bin/busybox /busybox\n"
        'EXPOSE 80\nCMD ["/busybox", "httpd", "-f", "-p", "80"]\n'
    )
    vcr("up", "--profile", "dev", project)
    told = vcr("shell", project, code=2).stderr
    assert "the app's image has no shell" in told
    assert "vcr exec -- PROGRAM" in told
    vcr("up", project)
    assert "vcr shell --system" in vcr("shell", project, code=2).stderr
    assert fed(vcr, b"id -u\n", "shell", "--system", project).stdout == b"0\n"


def test_what_is_not_up(vcr: Vcr, project: Path) -> None:
    for words in (("exec", project, "--", "id"), ("shell", project), ("cp", project, ":/a", "b")):
        assert "is not up" in vcr(*words, code=2).stderr


# --- docker, podman


def test_in_a_container_of_a_program_of_this_host(vcr: Vcr, project: Path, runtime: Path) -> None:
    (project / "www/link").symlink_to("index.html")
    vcr("up", "--profile", "dev", "--runtime", runtime.name, project)
    assert vcr("exec", project, "--", "busybox", "id", "-u").stdout == "1000\n"
    assert fed(vcr, b"hi", "exec", "-i", project, "--", "busybox", "cat").stdout == b"hi"
    assert "verifiable machine" in vcr("cat", project, "/www/index.html").stdout
    assert "verifiable machine" in vcr("cat", project, "/www/link").stdout
    vcr("cp", project, ":/www", project / "out")
    assert (project / "out/link").is_symlink()
    assert (project / "out/index.html").read_text() == (project / "www/index.html").read_text()
    with terminal(vcr, "shell", str(project)) as at:
        at.expect("$ ")
        at.type("exit 7\n")
        assert at.wait() == 7
    assert "there is no machine" in vcr("cat", "--system", project, "/x", code=2).stderr
