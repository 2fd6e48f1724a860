"""The profile dev: the image as a container of this host, and --hot."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from processes import command_lines, zombies

from vcr.app.hosting.prune import prune_local
from vcr.runtime.record import Records
from vcr.settings import Settings
from vcr.tools.nix import Nix

REPO = Path(__file__).resolve().parents[2]
DEV = ("--profile", "dev")
FORBID = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
NO_NAMESPACES = ("unshare", "--user", "--map-root-user", "sh", "-c", FORBID, "sh")
pytestmark = pytest.mark.nix


def get(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return str(answer.read().decode())


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)
    return found


def processes(directory: Path) -> list[str]:
    """Command lines that name DIRECTORY: the shim, crun, and what has its root there."""
    lines = command_lines()
    return [words for words in lines if str(directory) in words and "from vcr.cli" not in words]


def app_says(project: Path, script: str, *, user: str = "1000:1000", more: str = "") -> None:
    """Make PROJECT's app run SCRIPT in busybox and then serve."""
    command = json.dumps(["busybox", "sh", "-c", f"{script}; exec busybox httpd -f -p 80"])
    (project / "Dockerfile").write_text(
        f"FROM busybox\nUSER {user}\nEXPOSE 80\n{more}CMD {command}\n"
    )


@pytest.mark.parametrize(("example", "log"), [("hello", "GET /health"), ("static", "")])
def test_an_example_from_up_to_down(vcr: Any, tmp_path: Path, example: str, log: str) -> None:
    project = REPO / "examples" / example
    up = vcr.json("up", *DEV, project)
    assert up["status"] == "healthy"
    assert example in get(up["forwards"][0]["host"]).lower()
    (row,) = vcr.json("ps")["machines"]
    assert (row["name"], row["status"]) == (example, "healthy")
    assert log in vcr("logs", project).stdout
    assert vcr.json("up", *DEV, project)["pid"] == up["pid"]
    vcr("down", project)
    assert vcr.json("ps", "--all")["machines"] == []
    until(lambda: not processes(tmp_path))


def test_the_image_is_built_for_this_host(vcr: Any, project: Path) -> None:
    built = vcr.json("build", *DEV, project)
    assert built["arch"] == {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    assert [rung["name"] for rung in built["ladder"]] == ["image"]


def test_a_port_that_is_taken_and_two_side_by_side(vcr: Any, project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(project, other)
    (other / "www/index.html").write_text("the other")
    first = vcr.json("up", *DEV, project)
    port = first["forwards"][0]["host"]
    assert f"port {port} is not free" in vcr("up", *DEV, other, "-p", f"{port}:8080", code=5).stderr
    second = vcr.json("up", *DEV, other)
    assert get(second["forwards"][0]["host"]) == "the other"
    assert "verifiable" in get(port)
    vcr("down", "--all")
    assert processes(tmp_path) == []


def test_variables_and_volumes(vcr: Any, project: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir(mode=0o777)
    shown.chmod(0o777)
    (shown / "file").write_text("from the host\n")
    (tmp_path / "env").write_text("# a comment\nA=file\nB=file value\n")
    script = (
        "echo $A+$B+$C; cat /data/file; echo written > /data/new; "
        "echo x > /fixed/x || echo refused; busybox cat /proc/1/cmdline | busybox tr '\\0' ' '"
    )
    app_says(project, script, more="ENV A=image C=image\n")
    options = ("--env-file", tmp_path / "env", "-e", "A=flag")
    volumes = ("-v", f"{shown}:/data", "-v", f"{shown}:/fixed:ro")
    vcr("up", *DEV, project, *options, *volumes)
    said = vcr("logs", project).stdout.splitlines()
    assert said[:2] == ["flag+file value+image", "from the host"]
    assert "refused" in said
    assert (shown / "new").read_text() == "written\n"
    assert "variables, volumes" in vcr("up", project, "-e", "A=b", code=2).stderr
    assert "there is no" in vcr("up", *DEV, project, "-v", "./none:/x", code=2).stderr


def test_a_volume_with_a_name_is_kept_until_it_is_removed(
    vcr: Any, project: Path, tmp_path: Path
) -> None:
    (project / "data").mkdir()
    (project / "data" / "seed").write_text("of the image\n")
    script = (
        "busybox cat /data/seed; busybox cat /data/new || echo first; echo kept > /data/new; "
        "busybox stat -c '%u:%g %a' /data"
    )
    app_says(project, script, more="COPY --chown=1000:1000 --chmod=750 data /data\n")
    words = (*DEV, project, "-v", "data:/data")
    seed, owner = "of the image", "1000:1000 750"
    for second in ("first", "kept"):
        vcr("up", *words)
        said = vcr("logs", project).stdout.splitlines()
        assert (said[0], said[-1]) == (seed, owner)
        assert second in said
        vcr("down", project)
        # As `vcr prune --local`, but for builds: the store is everybody's.
        prune_local(Records(Settings.load(vcr.env)), dry_run=False)
    (row,) = vcr.json("ps", "--volumes")["volumes"]
    assert (row["name"], row["service"], row["project"]) == ("data", "", str(project))
    assert Path(row["path"], "new").read_text() == "kept\n"
    assert row["size"] > 0
    vcr("up", *words)
    assert [each["name"] for each in vcr.json("down", "--volumes", project)["volumes"]] == ["data"]
    assert vcr.json("ps", "--volumes")["volumes"] == []
    assert not Path(row["path"]).exists()
    assert "volumes" in vcr("up", "--profile", "vm", project, "-v", "data:/data", code=2).stderr


def test_a_range_of_ports_leads_to_the_app(vcr: Any, project: Path) -> None:
    app_says(project, "true", more="EXPOSE 9000-9999\n")
    up = vcr.json("up", *DEV, project, "-p", "80", "-p", "9000-9599")
    assert len({row["host"] for row in up["forwards"]}) == len(up["forwards"]) == 601
    hosts = {row["guest"]: row["host"] for row in up["forwards"]}
    with pytest.raises(OSError, match=r"."):
        get(hosts[9599])
    with pytest.raises(HTTPError, match="404"):  # by the app
        get(hosts[80])
    assert "at most 4096" in vcr("up", *DEV, project, "-p", "1-5000", code=2).stderr


@pytest.mark.parametrize("umask", ["000", "077"])
def test_the_umask_lets_nobody_in_and_keeps_nothing_out(
    vcr: Any, project: Path, tmp_path: Path, umask: str
) -> None:
    vcr.before = ("sh", "-c", f'umask {umask}; exec "$@"', "sh")
    told = vcr.json("up", *DEV, project)
    assert "verifiable machine" in get(told["forwards"][0]["host"])
    said = vcr("exec", project, "--", "busybox", "cat", "/etc/resolv.conf").stdout
    assert said.startswith("nameserver")  # the app, which is somebody else, reads it
    state, runtime = tmp_path / "state" / "vcr", Path(vcr.env["XDG_RUNTIME_DIR"]) / "vcr"
    for place in (state, runtime):
        assert place.stat().st_mode & 0o777 == 0o700
    for path in (*(state / "machines").rglob("*"), *runtime.rglob("*")):
        status = path.lstat()
        is_socket = stat.S_ISSOCK(status.st_mode)
        kept = "upper" in path.parts or "work" in path.parts or "root" in path.parts
        assert kept or is_socket or path.is_symlink() or not status.st_mode & 0o022, path


def test_other_variables_start_it_anew(vcr: Any, project: Path) -> None:
    first = vcr.json("up", *DEV, project)
    second = vcr.json("up", *DEV, project, "-e", "A=b")
    assert first["pid"] != second["pid"]
    assert vcr.json("up", *DEV, project, "-e", "A=b")["pid"] == second["pid"]


def test_other_ports_start_it_anew(vcr: Any, project: Path) -> None:
    first = vcr.json("up", *DEV, project)
    port = first["forwards"][0]["guest"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        wanted = f"{free.getsockname()[1]}:{port}"
    up = vcr("up", *DEV, project, "-p", wanted)
    had = f"{first['forwards'][0]['host']}:{port}"
    assert f"is started again: its ports are 127.0.0.1:{had}" in up.stderr
    second = vcr.json("ps")["machines"][0]
    assert second["pid"] != first["pid"]
    assert get(second["forwards"][0]["host"])
    assert f"127.0.0.1:{wanted}" == "{address}:{host}:{guest}".format(**second["forwards"][0])
    again = vcr.json("up", *DEV, project, "-p", wanted)
    assert again["pid"] == second["pid"]
    assert vcr.json("up", *DEV, project)["pid"] == second["pid"]


@pytest.mark.parametrize(
    ("user", "capabilities"), [("1000:1000", "0000000000000000"), ("0:0", "00000000800405fb")]
)
def test_what_the_app_may_do(vcr: Any, project: Path, user: str, capabilities: str) -> None:
    script = (
        "busybox grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; "
        "busybox id -u; busybox ls /proc | busybox grep -c '^[0-9]'; "
        "echo x > /x && echo root; echo x > /tmp/x && echo tmp; "
        "busybox mount -t tmpfs none /tmp || echo no mount"
    )
    app_says(project, script, user=user)
    vcr("up", *DEV, project)
    said = vcr("logs", project).stdout
    assert re.findall(r"Cap\w+:\s+(\w+)", said) == [capabilities] * 2
    assert re.search(r"NoNewPrivs:\s+1", said)
    lines = said.splitlines()
    assert user.partition(":")[0] in lines
    assert int(lines[lines.index(user.partition(":")[0]) + 1]) < 8  # its own processes only
    assert {"tmp", "no mount"} <= set(lines)
    assert ("root" in lines) == (user == "0:0")  # the image's root directory is root's


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_run_leaves_nothing_behind(
    vcr: Any, project: Path, tmp_path: Path, number: signal.Signals
) -> None:
    child = vcr.spawn("run", *DEV, project)
    assert child.stdout.readline().startswith("http://127.0.0.1:")
    assert processes(tmp_path)
    child.send_signal(number)
    child.wait(60)
    until(lambda: not processes(tmp_path))
    assert vcr.json("ps")["machines"] == []


def test_killing_the_shim_ends_the_container(vcr: Any, project: Path, tmp_path: Path) -> None:
    up = vcr.json("up", *DEV, project)
    os.kill(up["pid"], signal.SIGKILL)
    until(lambda: not processes(tmp_path))
    assert vcr.json("ps", "--all")["machines"][0]["status"] == "exited"
    assert vcr.json("up", *DEV, project)["status"] == "healthy"


def test_an_app_that_ends_is_exit_code_6(vcr: Any, project: Path, tmp_path: Path) -> None:
    (project / "Dockerfile").write_text(
        'FROM busybox\nEXPOSE 80\nCMD ["busybox", "sh", "-c", "echo no luck; exit 3"]\n'
    )
    done = vcr("up", *DEV, project, code=6)
    assert "console: vcr: exit app rc=3" in done.stderr
    assert "app: no luck" in done.stderr
    until(lambda: not processes(tmp_path))


def test_the_source_directory_is_shown_where_the_label_says(vcr: Any, project: Path) -> None:
    dockerfile = (project / "Dockerfile").read_text()
    (project / "Dockerfile").write_text(f"{dockerfile}LABEL vcr.dev.mount=/src\n")
    text = (project / "Dockerfile").read_text().replace('"/www"]', '"/src/www"]')
    (project / "Dockerfile").write_text(text)
    port = vcr.json("up", *DEV, project)["forwards"][0]["host"]
    (project / "www" / "index.html").write_text("live")
    assert get(port) == "live"


# --- who is not root

START = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from vcr.errors import VcrError
from vcr.model.project import load_project
from vcr.runtime.machine import start
from vcr.runtime.record import Records
from vcr.settings import Settings
home = Path(sys.argv[3])
records = Records(Settings.load({"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "r")}))
try:
    machine = start(load_project(home / "project"), Path(sys.argv[2]), [], records,
                    die_with_parent=True)
    try:
        machine = machine.wait_until_healthy(None)
        print(json.dumps(machine.channels.log.read_text().splitlines()))
    finally:
        machine.stop(0)
except VcrError as error:
    sys.exit(f"{error.code} {error.what}: {error.why}")
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of another user's, which pytest's are not."""
    path = Path(tempfile.mkdtemp(prefix="vcr-home-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def start_as(
    home: Path, built: str, *before: str, script: str = START
) -> "subprocess.CompletedProcess[str]":
    """Start what was BUILT by the pinned Python below the command BEFORE, state in HOME."""
    python = Nix(Settings.load()).toolset("python") / "usr/bin/python3"
    shutil.copytree(REPO / "vcr", home / "lib/vcr", dirs_exist_ok=True)
    argv = [*before, str(python), "-I", "-B", "-c", script, str(home / "lib"), built, str(home)]
    env = {"HOME": str(home), "PATH": os.environ["PATH"]}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=120)


def built_container(vcr: Any, project: Path, home: Path) -> str:
    shutil.copytree(project, home / "project")
    vcr("up", *DEV, project)
    record = next(Path(vcr.env["XDG_STATE_HOME"]).glob("vcr/machines/*/machine.json"))
    return str(json.loads(record.read_text())["vm"])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_who_is_not_root_runs_it_as_any_user_of_the_image(
    vcr: Any, project: Path, home: Path
) -> None:
    app_says(project, "busybox id -u; busybox id -g; echo x > /tmp/x && echo wrote", user="33:44")
    built = built_container(vcr, project, home)
    for path in (home, *home.rglob("*")):
        os.chown(path, 4321, 4321)
    become = ("setpriv", "--reuid=4321", "--regid=4321", "--clear-groups")
    for _ in range(2):  # what the first leaves behind must not be in the way of the second
        done = start_as(home, built, *become)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == ["33", "44", "wrote"]


LOOK = START.replace(
    "        print(json.dumps(machine.channels.log.read_text().splitlines()))\n",
    """
        from vcr.agent.debug import Request
        from vcr.runtime.exec import answer, copy_in, copy_out, find_shell, inside_of
        inside = inside_of(load_project(home / "project"), records, print)
        copy_in(inside, home / "project/www", "/tmp", print, system=False)
        copy_out(inside, "/tmp/www", str(home / "back"), print, system=False)
        ran = answer(inside, Request(("busybox", "sh", "-c", "id -u; ls -ln /tmp; exit 3")))
        print(json.dumps([find_shell(inside), ran.code, ran.out.decode(), ran.err.decode(),
                          (home / "back/index.html").read_text()]))
""",
)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_who_is_not_root_looks_inside_too(vcr: Any, project: Path, home: Path) -> None:
    built = built_container(vcr, project, home)
    for path in (home, *home.rglob("*")):
        os.chown(path, 4321, 4321)
    become = ("setpriv", "--reuid=4321", "--regid=4321", "--clear-groups")
    done = start_as(home, built, *become, script=LOOK)
    assert done.returncode == 0, done.stderr
    shell, code, out, err, page = json.loads(done.stdout)
    assert (shell[-1], code, err) == ("sh", 3, "")
    assert out.splitlines()[0] == "1000"
    assert " 1000     1000 " in out.splitlines()[-1]
    assert "verifiable" in page


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to forbid namespaces")
def test_without_user_namespaces_it_is_exit_code_5(vcr: Any, project: Path, home: Path) -> None:
    built = built_container(vcr, project, home)
    done = start_as(home, built, *NO_NAMESPACES)
    assert "5 this host does not allow containers: cannot make a user" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to forbid namespaces")
def test_whether_a_container_can_be_made_is_found_by_trying(home: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "from vcr.engines.container.probe import why_no_container; print(why_no_container())"
    )
    assert start_as(home, "", script=script).stdout == "\n"
    assert (
        "cannot make a user namespace" in start_as(home, "", *NO_NAMESPACES, script=script).stdout
    )


@pytest.mark.vm
@pytest.mark.kernel("amd64")
def test_in_a_vm(vcr: Any, project: Path, tmp_path: Path) -> None:
    refused = vcr("up", *DEV, "--runtime", "vm", "-e", "A=b", project, code=2).stderr
    assert "-e is not for --runtime vm" in refused
    up = vcr.json("up", *DEV, "--runtime", "vm", project)
    assert "verifiable" in get(up["forwards"][0]["host"])
    said = vcr("exec", project, "--", "busybox", "uname", "-m").stdout
    assert said.strip() == os.uname().machine
    assert "start app" in vcr("logs", "--system", project).stdout
    vcr("down", project)
    until(lambda: not processes(tmp_path))


@pytest.mark.vm
@pytest.mark.kernel("amd64")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to forbid namespaces")
def test_where_no_container_can_be_made_it_is_a_vm(vcr: Any, project: Path) -> None:
    vcr("up", *DEV, "--runtime", "vm", project)  # Nix's sandbox takes namespaces, too
    vcr("down", "-t", "0", project)
    vcr.before = NO_NAMESPACES
    try:
        done = vcr("up", *DEV, project)
        assert "it runs in a VM. this host does not allow containers" in done.stderr
        kernel = vcr("exec", "--system", project, "--", "uname", "-r").stdout
        assert kernel.strip() != os.uname().release
        vcr("down", "-t", "0", project)
    finally:
        vcr.before = ()


def port_in(line: str) -> int:
    """Return the port of the address in LINE."""
    found = re.search(r":(\d+)/", line)
    assert found, line
    return int(found[1])


@pytest.mark.vm
@pytest.mark.kernel("amd64")
def test_hot_in_a_vm(vcr: Any, project: Path) -> None:
    child = vcr.spawn("run", *DEV, "--runtime", "vm", "--hot", project)
    port = port_in(child.stdout.readline())
    (project / "www" / "index.html").write_text("changed")
    until(lambda: get(port) == "changed", 240)
    assert vcr("cat", project, "/www/index.html").stdout == "changed"
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130


def test_what_could_not_be_started_is_waited_for(vcr: Any, project: Path) -> None:
    """As long as it is not, the app that ends does not come to its end."""
    machine = vcr.json("up", *DEV, project)
    for _ in range(3):
        assert "not found" in vcr("exec", project, "--", "none", code=255).stderr
    until(lambda: not zombies(machine["pid"]), 10)


# --- by a program of the user's


def test_a_runtime_that_does_not_work_is_exit_code_5(vcr: Any, project: Path) -> None:
    vcr.env["DOCKER_HOST"] = "unix:///nowhere"
    done = vcr("up", *DEV, "--runtime", "docker", project, code=5)
    assert re.search(r"docker (is not on this host|does not work here)", done.stderr)
    assert "leave --runtime out" in done.stderr


def test_a_runtime_that_was_asked_for(vcr: Any, project: Path, runtime: Path) -> None:
    program = runtime.name
    app_says(project, "echo $A; busybox id -u; echo x > /x || echo refused")
    assert vcr.json("up", *DEV, "--runtime", program, "-e", "A=b", project)["status"] == "healthy"
    logs = vcr("logs", project).stdout
    assert logs.splitlines()[:2] == ["b", "1000"]
    assert "refused" in logs
    vcr("down", "-t", "1", project)
    listed = subprocess.run([runtime, "ps", "-a"], capture_output=True, text=True, check=True)
    assert f"vcr.local/{project.name}" not in listed.stdout


# --- hot


def test_hot_serves_the_change_and_the_old_version_until_then(vcr: Any, project: Path) -> None:
    child = vcr.spawn("run", *DEV, "--hot", project)
    port = port_in(child.stdout.readline())
    assert "verifiable" in get(port)
    (project / "www" / "index.html").write_text("changed once")
    answers = set()

    def ask() -> bool:
        answers.add(get(port))  # raises when nobody answers
        return "changed once" in answers

    until(ask)
    assert len(answers) == 2
    # A change that cannot be built, and one that is never healthy: the old one goes on.
    dockerfile = (project / "Dockerfile").read_text()
    (project / "Dockerfile").write_text(f"{dockerfile}RUBBISH\n")
    assert "unknown instruction" in read_until(child.stderr, "continues to serve")
    assert get(port) == "changed once"
    (project / "Dockerfile").write_text(
        dockerfile.replace('CMD ["busybox", "httpd"', 'CMD ["busybox", "nothing"')
    )
    assert "stopped before it was healthy" in read_until(child.stderr, "continues to serve")
    assert get(port) == "changed once"
    (row,) = vcr.json("ps")["machines"]
    assert row["status"] == "healthy"
    assert row["forwards"][0]["host"] == port
    (project / "www" / "index.html").write_text("changed twice")
    (project / "Dockerfile").write_text(dockerfile)
    until(lambda: get(port) == "changed twice")
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert vcr.json("ps", "--all")["machines"] == []
    with pytest.raises(urllib.error.URLError):
        get(port)


def test_hot_ignores_what_the_image_does(vcr: Any, project: Path) -> None:
    (project / ".dockerignore").write_text("*.log\n")
    child = vcr.spawn("run", *DEV, "--hot", project)
    port = port_in(child.stdout.readline())
    (project / "some.log").write_text("x")
    (project / "www" / "index.html").write_text("changed")
    until(lambda: get(port) == "changed")
    child.send_signal(signal.SIGINT)
    told = child.communicate(timeout=60)[1]
    assert "changed: www/index.html" in told
    assert "some.log" not in told


def test_hot_leaves_to_the_app_what_it_sees_itself(vcr: Any, project: Path) -> None:
    text = (project / "Dockerfile").read_text().replace('"/www"]', '"/src/www"]')
    (project / "Dockerfile").write_text(f"{text}LABEL vcr.dev.mount=/src\n")
    child = vcr.spawn("run", *DEV, "--hot", project)
    port = port_in(child.stdout.readline())
    (project / "www" / "index.html").write_text("live")
    assert get(port) == "live"
    (project / "Dockerfile").write_text(f"{text}LABEL vcr.dev.mount=/src\nENV A=b\n")
    told = read_until(child.stderr, "serves after")
    assert "changed: Dockerfile" in told
    assert "index.html" not in told.partition("changed: Dockerfile")[0]


@pytest.mark.vm
def test_hot_in_the_stage_machine(vcr: Any, project: Path, tmp_path: Path) -> None:
    child = vcr.spawn("run", "--hot", project)
    port = port_in(child.stdout.readline())
    (project / "www" / "index.html").write_text("changed")
    answers = set()

    def ask() -> bool:
        answers.add(get(port))
        return "changed" in answers

    until(ask, 240)
    assert len(answers) == 2
    child.kill()
    child.wait()
    until(lambda: not processes(tmp_path))


def read_until(pipe: Any, words: str) -> str:
    """Read lines of PIPE up to one with WORDS."""
    lines = []
    for line in pipe:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"no {words!r} in {lines}")
