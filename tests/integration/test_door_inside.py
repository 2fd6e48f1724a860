"""The app's door where there is no enclave: in machines of every profile, and in containers."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.nix, pytest.mark.vm]

REPO = Path(__file__).resolve().parents[2]
HELLO = REPO / "examples" / "hello"
NO_ENCLAVE = "there is no enclave around this machine"
ASK = """
import json, os, socket
door = socket.socket(socket.AF_UNIX)
door.connect("/run/vcr/attest.sock")
door.sendall(b'{"user_data": "a2V5"}\\n{"nonce": "bg=="}\\n')
lines = door.makefile("rb")
told = [json.loads(lines.readline()), json.loads(lines.readline())]
try:
    os.unlink("/run/vcr/attest.sock")
except OSError as error:
    told.append(error.strerror)
print(json.dumps([os.getuid(), os.path.exists("/run/vcr/awake"), *told]))
"""


def asked(vcr: Any, project: Path, *words: str) -> list[Any]:
    """Ask the door from inside the app's container, as its user, which is nobody."""
    return list(json.loads(vcr("exec", *words, project, "--", "python3", "-c", ASK).stdout))


def check(told: list[Any]) -> None:
    user, is_awake, *answers, refusal = told
    assert user != 0
    assert is_awake is True
    assert len(answers) == 2
    for answer in answers:
        assert set(answer) == {"error"}
        assert answer["error"].startswith(NO_ENCLAVE)
    assert refusal in {"Read-only file system", "Permission denied"}


@pytest.mark.parametrize("profile", ["dev", "vm", "prod-debug"])
def test_it_is_there_and_says_that_nobody_signs(vcr: Any, profile: str) -> None:
    vcr("up", "--profile", profile, HELLO)
    check(asked(vcr, HELLO))
    if profile != "dev":
        program = ("--", "/run/vcr/vcr-attest", "--user-data", "6b6579")
        done = vcr("exec", HELLO, *program, code=1)
        assert (done.stdout, NO_ENCLAVE in done.stderr) == ("", True)
        done = vcr("exec", HELLO, "--", "/run/vcr/vcr-attest", "--nonce", "x", code=1)
        assert "usage: vcr-attest" in done.stderr
    vcr("down", "-t", "0", HELLO)


def test_a_snapshot_has_neither_a_document_nor_what_says_that_it_is_awake(
    vcr: Any, project: Path
) -> None:
    """What the app would make of either before the snapshot would be in it."""
    shell = (
        "busybox ls /run/vcr; test ! -e /run/vcr/awake || exit 1; /run/vcr/vcr-attest; "
        "exec busybox httpd -f -p 80"
    )
    command = json.dumps(["busybox", "sh", "-c", shell])
    (project / "Dockerfile").write_text(f"FROM busybox\nUSER 1000\nEXPOSE 80\nCMD {command}\n")
    vcr("up", "--profile", "prod", project)
    log = vcr("logs", project).stdout
    assert "has not continued from its snapshot yet" in log
    assert "awake\n" not in log
    vcr("down", "-t", "0", project)


def test_what_is_no_request_is_refused_in_the_machine(vcr: Any) -> None:
    vcr("up", HELLO)
    long = base64.b64encode(b"x" * 65).decode()
    lines = ['{"public_key": "a2V5"}', f'{{"nonce": "{long}"}}', "x", "x" * 100_000]
    script = (
        "import json, socket\n"
        f"for line in {lines!r}:\n"
        "    door = socket.socket(socket.AF_UNIX)\n"
        "    door.connect('/run/vcr/attest.sock')\n"
        "    door.sendall(line.encode()[:4096] + b'\\n')\n"
        "    print(json.loads(door.makefile('rb').readline())['error'])\n"
    )
    said = vcr("exec", HELLO, "--", "python3", "-c", script).stdout.splitlines()
    assert len(said) == len(lines)
    assert not any(NO_ENCLAVE in line for line in said)
    vcr("down", "-t", "0", HELLO)
