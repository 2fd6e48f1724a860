"""From what was seen of an app to the words for why it does not start."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vcr.diagnosis.facts import MARK, Facts, Listener, Program, last_facts, read_facts
from vcr.diagnosis.look import Watched, cpu_ms, is_settled
from vcr.diagnosis.program import NO_LIBRARY, Command, own_architecture, why_not
from vcr.diagnosis.program_words import PROGRAMS
from vcr.diagnosis.root import files_below
from vcr.diagnosis.words import Situation, cause_of
from vcr.dockerfile.health_place import health_place
from vcr.model.health import CommandProbe, HealthCheck, HttpProbe
from vcr.model.project import load_project

FULL = Facts(
    exit=137,
    program=Program("/app", "machine", "62:2", "243:2"),
    oom=2,
    killed=("python3", "sh"),
    memory_mib=480,
    available_mib=7,
    read_only=True,
    user=1000,
    listens=(Listener("127.0.0.1", 80), Listener("::", 8080)),
    cpu_ms=1234,
)
MACHINE = Situation(port=8080, memory_mib=512, seconds=60.4, detail="closed")
SIZE = 480  # of the machine's memory, which a container has not
COMMAND = HealthCheck(CommandProbe(("check",)), interval=5.0, start_period=10.0)
HTTP = HealthCheck(HttpProbe(8080, "/"))


def listening(*places: tuple[str, int]) -> Facts:
    return Facts(listens=tuple(Listener(*place) for place in places))


def ended(code: int, **more: Any) -> Facts:
    return Facts(exit=code, **more)


def words(facts: Facts, now: Situation = MACHINE) -> str:
    cause = cause_of(facts, now)
    return f"{cause.why} | {cause.fix}"


def test_facts_survive_the_way() -> None:
    assert read_facts(FULL.to_line()) == FULL
    assert read_facts(Facts().to_line()) == Facts()
    assert read_facts("{}") == Facts()
    console = ["boot", f"{MARK}{{}}", f"{MARK}{FULL.to_line()}", "reboot: Power down"]
    assert last_facts(console) == FULL
    assert last_facts(["boot"]) is None
    assert last_facts([f"{MARK}rubbish"]) is None


@pytest.mark.parametrize(
    "line",
    [
        "", "[]", "null", "7", '{"exit": "1"}', '{"exit": 256}', '{"exit": -1}', '{"exit": true}',
        '{"listens": [["::%\\u001b[31m", 1]]}',
        '{"listens": [["x", 1]]}', '{"listens": [["::", 65536]]}', '{"listens": [["::"]]}',
        '{"listens": 5}', '{"killed": [1]}', '{"killed": ["' + "x" * 301 + '"]}',
        '{"program": []}', '{"program": {"path": 5}}', '{"oom": 1e400}',
        json.dumps({"killed": ["a"] * 9}), " " * 20_000,
    ],
)  # fmt: skip
def test_other_things_are_no_facts(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_facts(line)


@pytest.mark.parametrize(
    ("problem", "name", "expected"),
    [
        ("missing", "", "the image has no /app, which its CMD or ENTRYPOINT starts | COPY or"),
        ("directory", "", "/app is not a file"),
        ("mode", "", "/app is not executable | `COPY --chmod=755`"),
        ("denied", "", "the app's user, 1000, may not execute /app"),
        ("format", "", "/app is neither a program nor a script"),
        (
            "machine",
            "62:2",
            "/app is a program for x86-64, and this machine is riscv64 | build it",
        ),
        ("machine", "999:2", "/app is a program for 999:2, and"),
        ("interpreter", "/bin/bash", "/app begins with #!/bin/bash, which the image does not have"),
        ("interpreter", "/bin/sh\r", "#!/bin/sh\\r (with the line ends of Windows"),
        ("loader", "/lib/ld-musl-riscv64.so.1", "needs /lib/ld-musl-riscv64.so.1, the loader"),
        ("library", "libpq.so.5", "/app needs the library libpq.so.5, which is nowhere where its"),
    ],
)
def test_a_program_that_cannot_be_started(problem: str, name: str, expected: str) -> None:
    facts = ended(1, program=Program("/app", problem, name, "243:2"), user=1000)
    assert expected in words(facts)
    assert problem in PROGRAMS
    # Whatever it prints: nothing of it has run.
    lies = replace(MACHINE, log=["sh: nope: not found", "read-only file system"])
    assert words(facts, lies) == words(facts)


@pytest.mark.parametrize(
    ("library", "loader", "package"),
    [
        ("libpq.so.5", "/lib64/ld-linux-x86-64.so.2", "Debian: libpq5 or a similar name"),
        ("libX11.so.6", "/lib64/ld-linux-x86-64.so.2", "Debian: libx11-6 or a similar name"),
        ("libgcc_s.so.1", "/lib64/ld-linux-x86-64.so.2", "Debian: libgcc-s1 or a similar name"),
        ("/opt/libstdc++.so.6", "/lib/ld-linux-aarch64.so.1", "Debian: libstdc++6 or a similar"),
        ("libm.so.6", "/lib64/ld-linux-x86-64.so.2", "(Debian: libc6)"),
        ("libpq.so.5", "/lib/ld-musl-x86_64.so.1", "(Alpine: `apk add so:libpq.so.5`)"),
        ("odd", "/lib64/ld-linux-x86-64.so.2", "(of its distribution)"),
        ("x\x1b[31m", "/lib/ld-musl-x86_64.so.1", "`apk add so:x\\x1b[31m`"),
    ],
)
def test_which_package_has_a_library(library: str, loader: str, package: str) -> None:
    assert package in words(ended(127, program=Program("/app", "library", library, loader)))


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
def test_a_program_in_c_without_its_library(tmp_path: Path) -> None:
    """Its loader may say nothing, or in words that no pattern knows: the file says it itself."""
    (tmp_path / "x.c").write_text("int x(void) { return 0; }\n")
    (tmp_path / "app.c").write_text("int x(void); int main(void) { return x(); }\n")
    library = ["gcc", "-shared", "-fPIC", "-Wl,-soname,libvcrx.so.4", "-o", "libvcrx.so.4", "x.c"]
    for argv in (library, ["gcc", "-o", "app", "app.c", "./libvcrx.so.4", "-Wl,-z,nodlopen"]):
        subprocess.run(argv, cwd=tmp_path, check=True)
    (tmp_path / "app").rename(tmp_path / "program")
    done = subprocess.run([tmp_path / "program"], capture_output=True, check=False, cwd="/")
    assert done.returncode == NO_LIBRARY
    env = (f"LD_LIBRARY_PATH={tmp_path}",)
    with files_below(Path("/")) as files:

        def seen(*variables: str) -> Program | None:
            command = Command((str(tmp_path / "program"),), variables, "/", 0, code=NO_LIBRARY)
            return why_not(files, command, own_architecture())

        found = seen()
        assert found is not None
        assert (found.path, found.problem) == (str(tmp_path / "program"), "library")
        assert found.name == "libvcrx.so.4"
        assert seen(*env) is None
    said = words(ended(NO_LIBRARY, program=found), replace(MACHINE, log=[]))
    assert "program needs the library libvcrx.so.4" in said
    assert "Debian: libvcrx4" in said


def test_memory() -> None:
    said = words(ended(137, oom=1, killed=("python3",), memory_mib=SIZE))
    assert "the machine ran out of memory, and the kernel ended python3" in said
    assert '`[machine] memory` in vcr.toml is 512 MiB now; for instance memory = "1024 MiB"' in said
    # A worker of an app that continues, and one of a shell that says so by its own code.
    worker = Facts(oom=3, killed=("worker", "worker"), memory_mib=SIZE)
    assert "the kernel ended worker |" in words(worker)
    assert "the kernel ended a process |" in words(ended(1, oom=1, memory_mib=SIZE))
    # One that continues from a snapshot does not say what it was built with.
    assert "| give it more: `[machine] memory` in vcr" in words(worker, Situation())
    # It thrashes, and nobody was ended.
    said = words(Facts(memory_mib=SIZE, available_mib=7))
    assert "almost no memory left: 7 of 480 MiB" in said
    assert "`[machine] memory`" in said
    assert "memory" not in words(Facts(memory_mib=SIZE, available_mib=100))


def test_memory_of_this_host_is_no_setting() -> None:
    said = words(ended(137, oom=1))
    assert "this host, or a container around vcr, ran out of memory" in said
    assert "`[machine] memory` is for machines only" in said
    # Others of this host may run out of it at the same time.
    assert "memory" not in words(ended(1, oom=1))
    assert "by the signal SIGKILL (exit code 137)" in words(ended(137))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0, "by itself, with exit code 0 | CMD has to stay in the foreground"),
        (1, "with exit code 1; the last line of its log: bye | `vcr logs`"),
        (126, "with exit code 126: a command cannot be executed"),
        (127, "with exit code 127: a command or a library is missing"),
        (128, "with exit code 128"),
        (132, "by the signal SIGILL (exit code 132)"),
        (134, "by the signal SIGABRT (exit code 134)"),
        (139, "by the signal SIGSEGV (exit code 139)"),
        (159, "by the signal SIGSYS (exit code 159)"),
        (255, "with exit code 255"),
    ],
)
def test_how_it_ended(code: int, expected: str) -> None:
    assert f"the app ended {expected}" in words(ended(code), replace(MACHINE, log=["hello", "bye"]))


ROOT = ended(1, read_only=True)
USER = ended(1, user=1000)
GLIBC = (
    "/app: error while loading shared libraries: libfoo.so.1: cannot open shared object file: No"
    " such file or directory"
)
MUSL = "Error loading shared library libz.so.1: No such file or directory (needed by /app)"


@pytest.mark.parametrize(
    ("facts", "line", "expected"),
    [
        (ROOT, "mkdir: can't create directory '/x': Read-only file system", "`[machine] writable`"),
        (ROOT, "OSError: [Errno 30] Read-only file system: '/proc/sys/x'", "/proc/sys and /sys"),
        (USER, "touch: /src/x: Read-only file system", "a mount that is read-only"),
        (ended(127), GLIBC, "lacks the library libfoo.so.1"),
        (ended(127), MUSL, "lacks the library libz.so.1"),
        (ended(1), "/app: /lib/libc.so.6: version `GLIBC_2.38' not found (required by /app)",
         "older than GLIBC_2.38"),
        (ended(127), "sh: gunicorn: not found", "lacks the command gunicorn"),
        (ended(127), "/start.sh: line 3: node: command not found", "lacks the command node"),
        (ended(127), "env: 'python3': No such file or directory", ""),
        (ended(1), "sh: can't open '/dev/kvm': No such file or directory", "has no /dev/kvm"),
        (ended(1), "FileNotFoundError: [Errno 2] No such file or directory: '/dev/net/tun'",
         "has no /dev/net/tun"),
        (ended(1), "open /dev/fuse: no such file or directory", "has no /dev/fuse"),
        (USER, "PermissionError: [Errno 13] Permission denied: '/data/x'", "as user 1000: give"),
        (ended(1), "mount: permission denied (are you root?)", "root has few capabilities"),
        (ended(1), "bind: Address already in use", "want the same port"),
        (ended(1), "write error: No space left on device", "half of `[machine] memory`"),
        (ended(1), 'psycopg2: could not translate host name "db": Name or service not known',
         "[services]"),
        (ended(1), "wget: bad address 'example.org'", "[services]"),
    ],
)  # fmt: skip
def test_the_log_hints(facts: Facts, line: str, expected: str) -> None:
    said = words(facts, replace(MACHINE, log=["begin", line, "end"]))
    assert expected in said
    if expected:
        assert f"its log says: {line} |" in said


def test_a_script_whose_last_words_are_an_error_may_end_well() -> None:
    said = words(ended(0), replace(MACHINE, log=["started", "/bin/sh: 1: httpd: not found"]))
    assert "with exit code 0; its log says: /bin/sh: 1: httpd: not found |" in said
    assert "lacks the command httpd" in said
    assert "stay in the foreground" in words(ended(0), replace(MACHINE, log=["x: not found", "ok"]))


def test_a_machine_that_has_no_network_yet() -> None:
    now = replace(MACHINE, log=["wget: bad address 'x'"], has_network=False)
    assert "no network until it is healthy" in words(ended(1), now)


def test_facts_come_before_the_log() -> None:
    lies = replace(MACHINE, log=["sh: nope: not found", "Read-only file system"])
    assert "ran out of memory" in words(ended(137, oom=1, memory_mib=SIZE), lies)
    assert "by the signal SIGSEGV" in words(ended(139), lies)
    assert "not found" not in words(ended(139), lies)
    assert "not found" not in words(ended(0), lies)
    assert "127.0.0.1:8080" in words(listening(("127.0.0.1", 8080)), lies)


def test_ports() -> None:
    said = words(listening(("127.0.0.1", 8080)))
    assert "listens on port 8080, but only at 127.0.0.1:8080, the loopback of its contai" in said
    assert "0.0.0.0" in said
    assert "only at 127.0.0.1:8080, [::1]:8080" in words(
        listening(("127.0.0.1", 8080), ("::1", 8080))
    )
    said = words(listening(("0.0.0.0", 3000), ("127.0.0.1", 9000)))
    assert "nothing listens on port 8080 after 60 s; the app listens at 0.0.0.0:3000" in said
    assert "`EXPOSE 3000`, or `[machine] ports = [3000, 9000]`" in said
    said = words(listening(("::", 8080)))
    assert "[::]:8080, for IPv6 alone" in said
    said = words(Facts(), replace(MACHINE, check=HTTP))
    assert "nothing listens on port 8080 after 60 s; the app still runs | if port 8080 is" in said
    assert "`[health] start_period`" in said
    said = words(Facts(), replace(MACHINE, log=["cannot open /dev/kvm: No such device"]))
    assert "its log says: cannot open /dev/kvm" in said


def test_health_checks_that_fail() -> None:
    now = replace(MACHINE, check=COMMAND, detail="exit code 1: no database")
    said = words(listening(("0.0.0.0", 8080)), now)
    assert "but its health check has failed for 60 s: exit code 1: no database" in said
    assert "start_period = 10 s, interval = 5 s and retries = 3 now" in said
    # The command looks from inside, so where the app listens says nothing.
    assert words(listening(("127.0.0.1", 8080)), now) == said
    now = replace(MACHINE, check=COMMAND, detail="exit code 127: executable file `curl` not found")
    own = "the health check itself fails whatever the app does: exit code 127"
    assert own in words(Facts(), now)
    slow = replace(now, detail="the health command did not end within its timeout, 30 s: waits")
    assert "its timeout, 30 s: waits | give it more: `[health] timeout`" in words(Facts(), slow)
    now = replace(MACHINE, check=HTTP, detail="GET /: HTTP 500")
    assert "its health check has failed for 60 s: GET /: HTTP 500" in words(
        listening(("0.0.0.0", 8080)),
        now,
    )
    assert "loopback" in words(listening(("127.0.0.1", 8080)), now)


@pytest.mark.parametrize(
    ("said", "is_own"),
    [
        ("exit code 127", True),
        ("exit code 126: sh: /check: Permission denied", True),
        ("exit code 1: /bin/sh: 1: curl: not found", True),
        ("exit code 1: bash: line 1: curl: command not found", True),
        ("exit code 1: sh: wget: not found", True),
        ("exit code 2: wget: unrecognized option '--spidr'\nTry `wget --help' for more", True),
        ("exit code 1: nc: invalid option -- 'z'", True),
        ("exit code 2: curl: option --fial: is unknown", True),
        ("exit code 1: BusyBox v1.37.0 (Debian) multi-call binary.\n\nUsage: nc", True),
        ("exit code 2: sh: 1: Syntax error: Unterminated quoted string", True),
        ("exit code 1: Error: Cannot find module '/app/check.js'", True),
        ("exit code 1: python3: can't open file '/check.py': [Errno 2] No such file", True),
        ("exit code 22: curl: (22) The requested URL returned error: 404 Not Found", False),
        ("exit code 1: wget: server returned error: HTTP/1.1 404 Not Found", False),
        ("exit code 1: cat: /run/ready: No such file or directory", False),
        ("exit code 1: the page was not found", False),
        ("exit code 7: curl: (7) Failed to connect to localhost port 80", False),
    ],
)
def test_a_check_that_fails_by_itself_is_told_with_its_line(said: str, is_own: bool) -> None:
    now = replace(MACHINE, check=COMMAND, detail=said, place="Dockerfile:4:1")
    told = words(listening(("0.0.0.0", 8080)), now)
    own = "the health check itself fails, at Dockerfile:4:1, whatever the app does: exit code"
    assert (own in told) is is_own
    assert ("give it more time" in told) is not is_own


@pytest.mark.parametrize(
    ("dockerfile", "section", "place"),
    [
        ("FROM a\nHEALTHCHECK CMD x\nCMD y\n", "", "Dockerfile:2:1"),
        ("FROM a\nHEALTHCHECK CMD x\nHEALTHCHECK CMD y\n", "", "Dockerfile:3:1"),
        ("FROM a AS b\nHEALTHCHECK CMD x\nFROM b\nCMD y\n", "", "Dockerfile:2:1"),
        ("FROM a AS b\nHEALTHCHECK CMD x\nFROM a\nCMD y\n", "", ""),
        ("FROM a\nHEALTHCHECK CMD x\n", '[health]\ncommand = ["z"]\n', "vcr.toml: [health]"),
    ],
)
def test_the_place_of_a_health_check(
    tmp_path: Path, dockerfile: str, section: str, place: str
) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    (tmp_path / "vcr.toml").write_text(section)
    assert health_place(load_project(tmp_path)) == place


def test_names_of_others_stay_on_their_line() -> None:
    evil = "x\nerror: forged\x1b[2J"
    for facts in (
        ended(1, program=Program(evil, "loader", evil, "243:2")),
        ended(137, oom=1, killed=(evil,)),
        ended(1),
    ):
        cause = cause_of(facts, replace(MACHINE, log=[evil], detail=evil))
        assert "\n" not in cause.why + cause.fix
        assert "\x1b" not in cause.why + cause.fix


def stat_of(state: str = "S", flags: int = 0x400000, began: float = 0.0) -> str:
    fields = ["0"] * 50
    fields[0], fields[6] = state, str(flags)
    fields[19] = str(int(began * os.sysconf("SC_CLK_TCK")))
    return f"7 (a) Z 1) {' '.join(fields)}\n"


def test_an_app_that_has_settled() -> None:
    assert is_settled(stat_of())
    assert not is_settled(stat_of("Z"))
    assert not is_settled(stat_of(flags=0x400040))  # PF_FORKNOEXEC
    now = float(Path("/proc/uptime").read_text().split()[0])
    assert not is_settled(stat_of(began=now - 0.2))
    assert is_settled(stat_of(began=now - 1.5))


FORKED = """
import os, signal
child = os.fork()
if child == 0:
    signal.pause()
for pid in (child, os.getpid()):
    print(int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[6]) & 0x40)
os.kill(child, signal.SIGKILL)
"""


def test_a_child_that_has_become_no_program_yet() -> None:
    """What this kernel says of a process between fork and exec, and after it."""
    done = subprocess.run([sys.executable, "-c", FORKED], stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [b"64", b"0"]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    (tmp_path / "root" / "bin").mkdir(parents=True)
    config = {
        "process": {
            "user": {"uid": 0, "gid": 0, "additionalGids": []},
            "args": ["app"],
            "env": ["PATH=/bin"],
            "cwd": "/",
        },
        "root": {"readonly": True},
        "mounts": [{"destination": "/proc"}, {"destination": "/data"}],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    return Watched(tmp_path / "root", tmp_path, tmp_path / "status", 0, rootless=True)


def test_what_is_seen_of_a_container(watched: Watched) -> None:
    assert watched.facts(None).program is None
    facts = watched.facts(1)
    assert facts.exit == 1
    assert facts.read_only
    assert facts.program == Program("app", "missing")
    assert read_facts(facts.to_line()) == facts
    app = watched.root / "bin" / "app"
    app.write_text("#!/data/sh\n")
    app.chmod(0o755)
    assert watched.facts(1).program is None  # nobody looks into a volume
    app.write_text("#!/proc/sh\n")
    assert watched.facts(1).program == Program("/bin/app", "interpreter", "/proc/sh")


def test_a_container_runs_when_it_has_run_for_a_moment(watched: Watched) -> None:
    assert watched.state() == "starting"
    with subprocess.Popen(["sleep", "60"]) as app:
        watched.status.write_text(json.dumps({"pid": app.pid}))
        assert watched.state() == "starting"
        deadline = time.monotonic() + 20
        while watched.state() != "running" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert watched.state() == "running"
        app.kill()
    assert watched.state() == "starting"  # it is gone; whoever waits for it knows its exit code


def test_time_of_the_cpu_is_counted() -> None:
    before = cpu_ms()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        while cpu_ms() - before < 200:
            pass
        busy.kill()
