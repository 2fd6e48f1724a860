"""Every verb, shown on the hello example, in each profile where it applies.

What else a verb does, and how it fails, is tried elsewhere, mostly on smaller projects.
"""

import json
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import AF_UNIX, socket

import pytest
from exports import state_of
from program import PROGRAM, REPO, Vcr, runner_in
from services import registry_server
from terminals import Terminal
from test_dev import until
from test_examples import GOLDEN, address, digests, get

from vcr.cli import VERBS
from vcr.model.profile import DEBUG_PROFILES, PROFILES, SEALED_PROFILES
from vcr.perf.profile import read

pytestmark = [pytest.mark.nix, pytest.mark.vm]

OPEN = ("dev", *DEBUG_PROFILES)  # what can be looked into


@pytest.fixture(scope="module", params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, as others have it: what is built is the same."""
    target = tmp_path_factory.mktemp("verbs") / "hello"
    shutil.copytree(REPO / "examples" / "hello", target)
    return target


@pytest.fixture(scope="module")
def at(profile: str, hello: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcr]:
    """Runs vcr in a state directory where hello is up with PROFILE."""
    with runner_in(tmp_path_factory.mktemp("state")) as vcr:
        vcr("up", "--profile", profile, hello)
        yield vcr


@pytest.fixture
def debug(at: Vcr, profile: str) -> Vcr:
    if profile not in DEBUG_PROFILES:
        pytest.skip("for machines of debug profiles")
    return at


def test_each_verb_is_here() -> None:
    text = Path(__file__).read_text()
    assert not [verb for verb in VERBS if f'"{verb}"' not in text]


# --- what is built


def test_lock_and_inspect(vcr: Vcr, hello: Path, profile: str) -> None:
    vcr("lock", "--check", hello)
    told = vcr.json("inspect", "--profile", profile, hello)
    assert (told["plan"]["name"], told["plan"]["profile"]) == ("hello", profile)


def test_build(at: Vcr, hello: Path, profile: str) -> None:
    built = digests(at.json("build", "--profile", profile, hello))
    recorded = json.loads(GOLDEN.read_text())["hello"]
    same = {"dev": set(), "vm": set(recorded)}.get(profile, {"image", "kernel", "initramfs"})
    assert {name: built[name] for name in same} == {name: recorded[name] for name in same}
    assert ("sealed" in built) is (profile in SEALED_PROFILES)


def test_verify_and_explain(at: Vcr, hello: Path, profile: str, tmp_path: Path) -> None:
    ladder = tmp_path / "ladder.json"
    ladder.write_text(at("--json", "build", "--profile", profile, hello).stdout)
    assert at.json("verify", "--accept-cache", ladder, hello)["same"] is True
    assert "same" in at("explain", ladder, ladder).stdout


def test_graph_and_report(at: Vcr, hello: Path, profile: str, tmp_path: Path) -> None:
    assert "image" in at("graph", "--profile", profile, hello).stdout
    at("report", "--profile", profile, tmp_path / "report.html", hello)
    text = (tmp_path / "report.html").read_text()
    assert ("<th>instructions" in text) is (profile in SEALED_PROFILES)


def test_attest(at: Vcr, hello: Path, profile: str, tmp_path: Path) -> None:
    if profile == "dev":
        pytest.skip("a dev image is for this host")
    at("attest", "keygen", tmp_path / "key")
    kind = "root-hash" if profile == "prod" else "provenance"
    at("attest", hello, "--profile", profile, "--predicate", kind, "--key", tmp_path / "key.key",
       "--output", tmp_path / "statement.json")  # fmt: skip
    words = ("--key", tmp_path / "key.pub", "--profile", profile)
    told = at.json("attest", "verify", tmp_path / "statement.json", *words)
    assert [row["predicate"] for row in told["statements"]] == [kind]


def test_export_push_and_pull(at: Vcr, hello: Path, profile: str, tmp_path: Path) -> None:
    if profile == "dev":
        pytest.skip("a dev image is for this host")
    export = tmp_path / "export"
    manifest = at.json("export", profile, export, hello)["manifest"]
    assert (export / "drive").exists() is (profile in SEALED_PROFILES)
    with registry_server(tmp_path / "registry") as registry:
        reference = f"{registry}/hello:1"
        at("push", reference, "--export", export)
        at("pull", reference, tmp_path / "pulled", "--manifest", manifest)
    assert state_of(tmp_path / "pulled") == state_of(export)


# --- what is up


def test_up_ps_and_logs(at: Vcr, hello: Path, profile: str) -> None:
    (machine,) = at.json("ps")["machines"]
    assert (machine["name"], machine["status"]) == ("hello", "healthy")
    again = at.json("up", "--profile", profile, hello)  # is up already
    assert again["pid"] == machine["pid"]
    assert get(f"{address(machine)}/health") == (200, "ok\n")
    assert get(f"{address(machine)}/") == (200, "hello from riscv64\n")
    assert "listening on port 8000" in at("logs", hello).stdout
    if profile != "dev":
        assert "vcr: start app" in at("logs", "--system", hello).stdout


def test_exec_and_shell(at: Vcr, hello: Path, profile: str) -> None:
    program = "import os, platform; print(os.getuid(), platform.machine())"
    words = ("exec", hello, "--", "python3", "-c", program)
    if profile not in OPEN:
        assert "the machine takes no commands" in at(*words, code=2).stderr
        return
    arch = platform.machine() if profile == "dev" else "riscv64"
    assert at(*words).stdout == f"65534 {arch}\n"
    if profile in DEBUG_PROFILES:
        assert at("exec", "--system", hello, "--", "id", "-u").stdout == "0\n"
    assert "the app's image has no shell" in at("shell", hello, code=2).stderr
    if profile in DEBUG_PROFILES:
        with Terminal([*PROGRAM, "shell", "--system", str(hello)], at.env) as terminal:
            terminal.expect("# ")
            terminal.type("hostname; exit 7\n")
            terminal.expect("vcr\r\n")
            assert terminal.wait() == 7


def test_cat_and_cp(at: Vcr, hello: Path, profile: str, tmp_path: Path) -> None:
    if profile not in OPEN:
        for words in (("cat", hello, "/app/app.py"), ("cp", hello, ":/app", tmp_path / "app")):
            assert "the machine takes no commands" in at(*words, code=2).stderr
        return
    source = (hello / "app.py").read_text()
    assert at("cat", hello, "/app/app.py").stdout == source
    at("cp", hello, ":/app/app.py", tmp_path)
    assert (tmp_path / "app.py").read_text() == source
    at("cp", hello, tmp_path / "app.py", ":/tmp/copy.py")
    assert at("cat", hello, "/tmp/copy.py").stdout == source


def test_ssh_config(debug: Vcr, hello: Path, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(debug("ssh-config", hello).stdout)
    assert "Host vcr-hello\n" in (tmp_path / "config").read_text()
    if shutil.which("ssh") is None:
        pytest.skip("needs an ssh client")
    argv = [
        "ssh",
        "-F",
        str(tmp_path / "config"),
        "-o",
        "BatchMode=yes",
        "vcr-hello",
        "uname",
        "-m",
    ]
    assert subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout == b"riscv64\n"


def test_perf(debug: Vcr, hello: Path, profile: str, tmp_path: Path) -> None:
    (machine,) = debug.json("ps")["machines"]
    child = debug.spawn("perf", "record", "--output", tmp_path / "app.json", hello)
    assert child.stderr is not None
    assert any("until Ctrl-C" in line for line in child.stderr)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        get(f"{address(machine)}/")
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 0
    assert read(tmp_path / "app.json").profile == profile
    rows = debug.json("perf", "report", tmp_path / "app.json")["functions"]
    processes = {row["process"] for row in rows}
    assert "python3" in processes
    assert processes <= {"python3", "cat"}, "the app, and what passes its output on"
    debug("perf", "report", tmp_path / "app.json", "--svg", tmp_path / "app.svg")
    assert "python3" in (tmp_path / "app.svg").read_text()


def test_gdb(debug: Vcr, hello: Path) -> None:
    told = debug.json("gdb", "--print", hello)
    with closing(socket(AF_UNIX)) as stub:
        stub.settimeout(30)
        stub.connect(told["socket"])
        stub.sendall(b"$qSupported#37")
        assert b"PacketSize" in received(stub, b"#")
        stub.sendall(b"+$D#44")  # detach: the machine goes on
        received(stub, b"$OK#9a")


def received(stub: socket, words: bytes) -> bytes:
    """Return what comes, up to and with WORDS."""
    data = b""
    while words not in data:
        piece = stub.recv(4096)
        assert piece, data
        data += piece
    return data


def test_looking_into_a_release_is_refused(at: Vcr, hello: Path, profile: str) -> None:
    if profile in OPEN:
        pytest.skip("it can be looked into")
    for words in (("perf", "record"), ("gdb", "--print"), ("ssh-config",)):
        assert "error: the machine " in at(*words, hello, code=2).stderr


def test_down(at: Vcr, hello: Path) -> None:
    at("down", hello)
    assert at.json("ps", "--all")["machines"] == []


# --- in the foreground


def test_run_hot(at: Vcr, hello: Path, profile: str, tmp_path: Path) -> None:
    """A change of the app is served; whom it is asked inside of is who serves it."""
    project = shutil.copytree(hello, tmp_path / "hello")
    child = at.spawn("run", "--hot", "--profile", profile, project)
    assert child.stdout is not None
    url = child.stdout.readline().split()[0]
    assert get(url) == (200, "hello from riscv64\n")
    app = project / "app.py"
    app.write_text(app.read_text().replace("hello from riscv64", "changed"))
    answers = set()

    def ask() -> bool:
        answers.add(get(url)[1])  # raises when nobody answers
        return "changed\n" in answers

    until(ask, 300)
    assert answers <= {"hello from riscv64\n", "changed\n"}
    if profile in OPEN:
        assert "changed" in at("cat", project, "/app/app.py").stdout
        at("exec", project, "--", "python3", "/app/app.py", "--check")
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    assert at.json("ps", "--all")["machines"] == []


# --- of a host, or of a directory


def test_what_knows_no_profile(vcr: Vcr, hello: Path, tmp_path: Path) -> None:
    assert "Here, hello: " in vcr("intro", hello).stdout
    assert "seal" in vcr("cache", "info", "--profile", "prod", hello).stdout
    assert vcr.json("doctor")["kind"] == "doctor"
    assert "-F _vcr_completion vcr" in vcr("completion", "bash").stdout
    vcr("prune", "--local", "--dry-run")  # the store is everybody's
    vcr("-C", tmp_path, "create", "other", "--template", "python")
    assert vcr.json("inspect", tmp_path / "other")["plan"]["name"] == "other"
