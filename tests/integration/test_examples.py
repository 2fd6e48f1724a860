"""Each example builds to its recorded ladder and serves."""

import json
import ssl
import urllib.request
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from again import assert_same_again
from determinism import busy_host, deriver

pytestmark = [pytest.mark.nix, pytest.mark.vm, pytest.mark.limit(900)]

REPO = Path(__file__).resolve().parents[2]
GOLDEN = REPO / "tests" / "golden" / "ladder.json"


def digests(build: dict[str, Any]) -> dict[str, str]:
    return {rung["name"]: rung["digest"] for rung in build["ladder"]}


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        return answer.status, answer.read().decode()


def address(machine: dict[str, Any]) -> str:
    forward = machine["forwards"][0]
    return f"http://{forward['address']}:{forward['host']}"


def test_every_example_has_a_recorded_ladder() -> None:
    names = {path.parent.name for path in REPO.glob("examples/*/Dockerfile")}
    assert set(json.loads(GOLDEN.read_text())) == names


def built(vcr: Any, name: str) -> Path:
    """Build the example NAME and compare its ladder with the recorded one."""
    example = REPO / "examples" / name
    tried = vcr.attempt("build", example)
    if tried.returncode == 7:
        pytest.skip(f"needs inputs that cannot be fetched here: {tried.stderr[-500:]}")
    assert digests(vcr.json("build", example)) == json.loads(GOLDEN.read_text())[name]
    return example


def test_static(vcr: Any) -> None:
    example = built(vcr, "static")
    # Its health check is a command in the container, run by the agent.
    machine = vcr.json("up", example)
    status, page = get(address(machine))
    assert status == 200
    assert "verifiable machine" in page
    vcr("down", "-t", "1", example)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("flask", "hello from flask"),
        ("node", "hello from node, up "),
        ("c", "hello from c"),
        ("go", "hello from go"),
        ("rust", "hello from rust"),
    ],
)
def test_what_runs_installers(vcr: Any, name: str, words: str) -> None:
    """pip, npm, apt-get with gcc, and compilers: their RUNs are carried out from the lock alone."""
    example = built(vcr, name)
    machine = vcr.json("up", example)
    assert get(f"{address(machine)}/health")[0] == 200
    assert words in get(f"{address(machine)}/")[1]
    vcr("down", "-t", "1", example)


def test_tls_serves_and_has_no_document_where_there_is_no_enclave(vcr: Any) -> None:
    example = built(vcr, "tls")
    forward = vcr.json("up", example)["forwards"][0]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = HTTPSConnection("127.0.0.1", forward["host"], timeout=60, context=context)
    for path, status, words in (
        ("/", 200, b"hello from inside"),
        ("/attestation?nonce=00", 503, b"there is no enclave around this machine"),
    ):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, words in answer.read()) == (status, True)
    connection.close()
    vcr("down", "-t", "1", example)


def test_a_root_of_many_files_is_the_same_under_load(vcr: Any) -> None:
    """mksquashfs packed ends of files together as its threads came by, once."""
    example = built(vcr, "node")
    stages = {s["name"]: s["path"] for s in vcr.json("build", example)["stages"]}
    drv = deriver(stages["squashfs"])
    with busy_host():
        assert_same_again([drv], numbers=range(3))
