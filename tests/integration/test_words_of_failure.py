"""Each way in which an app dies, and what vcr says of it: the cause, and the setting.

The rule from facts to words is tried in tests/unit/test_diagnosis.py; here are real apps, real
containers and real machines. Boots cost: a machine tries what differs there.
"""

import json
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.nix

HELLO = Path(__file__).resolve().parents[2] / "examples" / "hello"
S390X = 22  # no host or guest of vcr is one
BAD_CHECK = 'HEALTHCHECK --interval=1s --retries=2 CMD ["busybox", "sh", "-c", "echo no; exit 4"]'
# One image for all that a script can do; WAY says which.
DIE = """\
case $WAY in
	code) echo no luck; exit 3 ;;
	end) echo done ;;
	signal) busybox sh -c 'kill -SEGV $$'; exit $? ;;
	library) echo "x: error while loading shared libraries: libx.so.1: cannot open" >&2; exit 127 ;;
	command) gunicorn; exit $? ;;
	device) busybox cat /dev/kvm; exit $? ;;
	root) echo x > /x; exit $? ;;
	denied) busybox cat /secret; exit $? ;;
	silent) exec busybox sleep 1000 ;;
	other) exec busybox httpd -f -p 3000 ;;
	loopback) exec busybox httpd -f -p 127.0.0.1:8080 ;;
	lies) echo "Read-only file system"; exec busybox httpd -f -p 127.0.0.1:8080 ;;
esac
"""
WAYS = {
    "code": ("the app ended with exit code 3; the last line of its log: no luck", "`vcr logs`"),
    "end": ("the app ended by itself, with exit code 0", "stay in the foreground"),
    "signal": ("the app ended by the signal SIGSEGV (exit code 139)", "fault of the program"),
    "library": ("exit code 127: a command or a library is missing; its log", "library libx.so.1"),
    "command": ("gunicorn: not found", "the image lacks the command gunicorn"),
    "device": ("/dev/kvm", "the container has no /dev/kvm"),
    "root": ("can't create /x: Read-only file system", "`[machine] writable` in vcr.toml is false"),
    "denied": ("can't open '/secret': Permission denied", "runs as user 1000"),
    "silent": ("nothing listens on port 8080", "`--timeout SECONDS`"),
    "other": ("nothing listens on port 8080", "`EXPOSE 3000`, or `[machine] ports = [3000]`"),
    "loopback": ("but only at 127.0.0.1:8080, the loopback of its container", "at 0.0.0.0"),
    "lies": ("but only at 127.0.0.1:8080, the loopback of its container", "at 0.0.0.0"),
}
LIVES = {"silent", "other", "loopback", "lies"}
PROGRAMS = {
    "missing": ("/nope", "", "the image has no /nope", "CMD or ENTRYPOINT"),
    "machine": ("/foreign", "", "/foreign is a program for s390x, and this", "build it for"),
    "script": ("/script", "#!/bin/bash\n", "begins with #!/bin/bash, which the image", "/bin/bash"),
}


def elf(machine: int) -> bytes:
    """Return how a program for MACHINE begins."""
    return struct.pack("<4sBBB9xHHI", b"\x7fELF", 2, 1, 1, 2, machine, 1) + bytes(40)


def prepare(project: Path, command: list[str], *lines: str, memory: str = "128 MiB") -> None:
    """Make PROJECT an image with all programs, that runs COMMAND."""
    (project / "die").write_text(DIE)
    (project / "foreign").write_bytes(elf(S390X))
    (project / "script").write_text("#!/bin/bash\necho\n")
    (project / "secret").write_text("secret\n")
    text = [
        "FROM busybox",
        "COPY --chmod=755 die foreign script /",
        "COPY --chmod=600 secret /",
        "USER 1000:1000",
        "EXPOSE 8080",
        *lines,
        f"CMD {json.dumps(command)}",
    ]
    (project / "Dockerfile").write_text("\n".join(text) + "\n")
    (project / "vcr.toml").write_text(
        '[base.busybox]\npackages = ["busybox-static"]\n\n'
        f'[machine]\nmemory = "{memory}"\nwritable = false\n'
    )


def error_of(done: Any) -> tuple[str, str]:
    """Return why and how to fix it, of what vcr printed last."""
    lines = [line.strip() for line in done.stderr.splitlines()]
    (why,) = [line for line in lines if line.startswith("why: ")]
    (fix,) = [line for line in lines if line.startswith("fix: ")]
    assert "facts" not in done.stderr
    return why, fix


def test_each_way_in_a_container(vcr: Any, project: Path) -> None:
    prepare(project, ["busybox", "sh", "/die"])
    for way, (why, fix) in WAYS.items():
        limit = ("--timeout", "3") if way in LIVES else ()
        done = vcr("up", "--profile", "dev", "-e", f"WAY={way}", *limit, project, code=6)
        said = error_of(done)
        assert why in said[0], way
        assert fix in said[1], way
        what = "did not become" if way in LIVES else "stopped before it was"
        assert f"error: {project.name} {what} healthy" in done.stderr
    assert vcr.json("ps", "--all")["machines"] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_cannot_be_started(vcr: Any, project: Path, name: str) -> None:
    """With or without a port, and each time: there is no moment at which it is healthy."""
    path, _, why, fix = PROGRAMS[name]
    prepare(project, [path])
    text = (project / "Dockerfile").read_text().replace("EXPOSE 8080\n", "")
    (project / "Dockerfile").write_text(text)
    for _ in range(4 if name == "missing" else 1):
        said = error_of(vcr("up", "--profile", "dev", project, code=6))
        assert why in said[0]
        assert fix in said[1]


def test_in_a_container_of_a_program_of_the_users(vcr: Any, project: Path, runtime: Path) -> None:
    """The same words, of what the program says and of what can be seen from this host."""
    program = runtime.name
    dev = ("up", "--profile", "dev", "--runtime", program)
    prepare(project, ["busybox", "sh", "/die"])
    for way in ("code", "signal", "command", "root", "denied", "other", "loopback", "silent"):
        limit = ("--timeout", "4") if way in LIVES else ()
        said = error_of(vcr(*dev, "-e", f"WAY={way}", *limit, project, code=6))
        assert WAYS[way][0] in said[0], way
        assert WAYS[way][1] in said[1], way
    for path, _, why, fix in PROGRAMS.values():
        prepare(project, [path])
        # Without a port there is no moment at which it is healthy, either.
        text = (project / "Dockerfile").read_text().replace("EXPOSE 8080\n", "")
        (project / "Dockerfile").write_text(text)
        said = error_of(vcr(*dev, project, code=6))
        assert why in said[0]
        assert fix in said[1]
    listed = subprocess.run([runtime, "ps", "-a"], capture_output=True, text=True, check=True)
    assert f"vcr.local/{project.name}" not in listed.stdout
    prepare(project, ["busybox", "sh", "/die"])
    (project / "new").mkdir()
    done = vcr(*dev, "-v", f"{project}/new:/proc/x", project, code=5)
    assert f"{program} cannot run the container" in done.stderr


def test_a_library_that_is_missing(vcr: Any, project: Path) -> None:
    """Of a program that was copied without what it is linked with; with its words or without."""
    (project / "vcr.lock").write_bytes((HELLO / "vcr.lock").read_bytes())
    text = (HELLO / "vcr.toml").read_text().partition("[health]")[0]
    (project / "vcr.toml").write_text(text)
    (project / "Dockerfile").write_text(
        "FROM python AS full\nFROM scratch\nCOPY --from=full /usr/bin/python3.1? /app\n"
        "COPY --from=full /usr/lib/*-linux-gnu/ld-linux-*.so.? /lib/\n"
        "COPY --from=full /usr/lib/*-linux-gnu/ld-linux-*.so.? /lib64/\n"
        'CMD ["/app", "-c", "pass"]\n'
    )
    said = error_of(vcr("up", "--profile", "dev", project, code=6))
    assert re.search(r"/app needs the library lib\w+\.so\.[0-9], which is nowhere", said[0])
    assert "install the package that has it (Debian: lib" in said[1]


def test_a_health_check_that_fails(vcr: Any, project: Path) -> None:
    prepare(project, ["busybox", "sleep", "1000"], BAD_CHECK)
    said = error_of(vcr("up", "--profile", "dev", project, code=6))
    assert "the app runs, but its health check has failed for" in said[0]
    assert "exit code 4: no" in said[0]
    assert "interval = 1 s and retries = 2 now" in said[1]
    assert "`[health] start_period`" in said[1]
    lines = 'HEALTHCHECK --interval=1s --retries=2 CMD ["curl", "http://127.0.0.1/"]'
    prepare(project, ["busybox", "sleep", "1000"], lines)
    said = error_of(vcr("up", "--profile", "dev", project, code=6))
    assert "the health check itself fails, at Dockerfile:6:1," in said[0]
    assert "curl" in said[0]
    lines = "HEALTHCHECK --interval=1s --retries=2 CMD busybox nc --zero localhost 80 || exit 1"
    prepare(project, ["busybox", "sleep", "1000"], 'SHELL ["busybox", "sh", "-c"]', lines)
    said = error_of(vcr("up", "--profile", "dev", project, code=6))
    assert "the health check itself fails, at Dockerfile:7:1," in said[0]
    assert "more time" not in said[1]


@pytest.mark.vm
@pytest.mark.parametrize("name", ["memory", "loopback", "machine"])
def test_in_a_machine(vcr: Any, project: Path, name: str) -> None:
    if name == "memory":
        # It keeps a line that never ends.
        prepare(project, ["busybox", "tail", "/dev/zero"])
        why = "the machine ran out of memory, and the kernel ended"
        fix = '`[machine] memory` in vcr.toml is 128 MiB now; for instance memory = "256 MiB"'
    elif name == "machine":
        prepare(project, ["/foreign"])
        why = "/foreign is a program for s390x, and this machine is riscv64"
        fix = "build it for riscv64"
    else:
        prepare(project, ["busybox", "sh", "/die"], f"ENV WAY={name}")
        with (project / "vcr.toml").open("a") as file:
            file.write('[health]\nhttp = "/"\nstart_period = "20s"\ninterval = "1s"\n')
        why, fix = WAYS[name]
    said = error_of(vcr("up", project, code=6))
    assert why in said[0]
    assert fix in said[1]


AWAKE = "until [ -e /run/vcr/awake ]; do busybox sleep 1; done"
IN_AN_ENCLAVE = {
    "code": ("echo no luck; exit 3", *WAYS["code"]),
    "loopback": (
        "kill $!; wait; exec busybox httpd -f -p 127.0.0.1:8080 -h /www",
        *WAYS["loopback"],
    ),
}


@pytest.mark.vm
@pytest.mark.kernel("enclave")
@pytest.mark.limit(1800)
@pytest.mark.parametrize("way", IN_AN_ENCLAVE)
def test_in_an_enclave(vcr: Any, project: Path, way: str) -> None:
    """What is seen there of an app that fails once it continues from its snapshot."""
    then, why, fix = IN_AN_ENCLAVE[way]
    prepare(project, ["busybox", "sh", "/start"], "COPY start /", "COPY start /www/index.html")
    (project / "start").write_text(f"busybox httpd -f -p 8080 -h /www &\n{AWAKE}\n{then}\n")
    with (project / "vcr.toml").open("a") as file:
        file.write('[health]\nhttp = "/"\nstart_period = "5s"\ninterval = "1s"\n')
    said = error_of(vcr("up", "--profile", "prod", "--enclave", project, code=6))
    assert why in said[0]
    assert fix in said[1]
