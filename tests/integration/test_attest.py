"""Statements about real builds: made, verified together, witnessed, and read by stock cosign."""

import base64
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from services import tool

REPO = Path(__file__).resolve().parents[2]
STATIC = REPO / "examples" / "static"
PROD = ("--profile", "prod")
VM = ("--profile", "vm")
TYPES = {
    "provenance": "https://slsa.dev/provenance/v1",
    "root-hash": "https://vcr.example/attestation/root-hash/v1",
}

pytestmark = [pytest.mark.nix, pytest.mark.vm]


@pytest.fixture
def keys(vcr: Any, tmp_path: Path) -> Path:
    for name in ("alice", "bob"):
        vcr("attest", "keygen", tmp_path / name)
    return tmp_path


def statement(path: Path) -> dict[str, Any]:
    content = json.loads(base64.b64decode(json.loads(path.read_text())["payload"]))
    assert isinstance(content, dict)
    return content


def state(vcr: Any, keys: Path, predicate: str, *words: str | Path) -> Path:
    output = keys / f"{predicate}.json"
    vcr("attest", STATIC, "--predicate", predicate, "--key", keys / "alice.key",
        "--output", output, *words)  # fmt: skip
    return output


def test_statements_about_a_sealed_machine_hold_together(vcr: Any, keys: Path) -> None:
    kinds = ("provenance", "root-hash", "run-once", "sbom", "cyclonedx")
    files = [state(vcr, keys, kind, *PROD) for kind in kinds]
    (keys / "ladder.json").write_text(vcr("--json", "build", STATIC, *PROD).stdout)
    words = ("--key", keys / "alice.pub", "--ladder", keys / "ladder.json")
    told = vcr.json("attest", "verify", *files, *words)
    assert tuple(row["predicate"] for row in told["statements"]) == kinds
    execution = statement(files[2])["predicate"]["execution"]
    assert execution["same"] is True
    assert execution["instructions"] > 100_000_000
    assert files[0].read_bytes() == state(vcr, keys, "provenance", *PROD).read_bytes()


def test_a_ladder_with_another_digest_is_rejected(vcr: Any, keys: Path) -> None:
    said = state(vcr, keys, "provenance")
    ladder = json.loads(vcr("--json", "build", STATIC).stdout)
    ladder["ladder"][0]["digest"] = "sha256:" + "0" * 64
    (keys / "ladder.json").write_text(json.dumps(ladder))
    words = ("--key", keys / "alice.pub", "--ladder", keys / "ladder.json")
    assert "rejected at the subject" in vcr("attest", "verify", said, *words, code=3).stderr


def test_a_debug_profile_has_to_be_asked_for(vcr: Any, keys: Path) -> None:
    said = state(vcr, keys, "provenance", *VM)
    words = ("attest", "verify", said, "--key", keys / "alice.pub")
    assert "rejected at the build" in vcr(*words, code=3).stderr
    assert vcr.json(*words, *VM)["build"]["profile"] == "vm"


def test_two_who_rebuilt_are_two(vcr: Any, keys: Path) -> None:
    (keys / "ladder.json").write_text(vcr("--json", "build", STATIC).stdout)
    for name in ("alice", "bob"):
        vcr("verify", keys / "ladder.json", STATIC,
            "--sign", keys / f"{name}.key", "--output", keys / f"{name}.json",
            "--time", "2026-11-26T00:00:00Z")  # fmt: skip
    trust = ("--key", keys / "alice.pub", "--key", keys / "bob.pub", "--threshold", "2")
    vcr("attest", "verify", keys / "alice.json", keys / "bob.json", *trust, *VM)
    one = vcr("attest", "verify", keys / "alice.json", keys / "alice.json", *trust, *VM, code=3)
    assert "rejected at the threshold" in one.stderr
    predicate = statement(keys / "bob.json")["predicate"]
    assert predicate["same"] is True
    assert predicate["time"] == "2026-11-26T00:00:00Z"


def test_a_witness_of_another_ladder_states_nothing(vcr: Any, keys: Path) -> None:
    ladder = json.loads(vcr("--json", "build", STATIC, "image").stdout)
    ladder["ladder"][0]["digest"] = "sha256:" + "0" * 64
    (keys / "ladder.json").write_text(json.dumps(ladder))
    vcr("verify", keys / "ladder.json", STATIC, "--sign", keys / "alice.key",
        "--output", keys / "never.json", code=3)  # fmt: skip
    assert not (keys / "never.json").exists()


def test_what_is_stated_is_rebuilt(vcr: Any, keys: Path, project: Path) -> None:
    said = state(vcr, keys, "provenance")
    words = ("attest", "verify", said, *VM, "--key", keys / "alice.pub", "--rebuild", "-C")
    assert "same" in vcr(*words, STATIC).stdout
    project = project.rename(project.with_name("static"))
    (project / "www" / "index.html").write_text("something else\n")
    assert "the rung image differs" in vcr(*words, project, code=3).stderr


def test_a_host_without_enclaves_says_so(vcr: Any, keys: Path) -> None:
    words = ("--key", keys / "alice.key", "--output", keys / "x", "--provider", "nitro")
    done = vcr("attest", STATIC, *PROD, *words, code=5)
    assert "this host has no Nitro enclave" in done.stderr
    assert not (keys / "x").exists()


def test_a_service_gets_the_statement(vcr: Any, keys: Path, project: Path) -> None:
    script = "import sys,hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
    output = keys / "said.json"
    words = ("--key", keys / "alice.key", "--output", output, "--provider", "command")
    service = shlex.join([sys.executable, "-c", script])
    vcr("attest", project, *words, "--service", service)
    receipt = output.with_name("said.json.command")
    told = vcr("attest", "verify", output, receipt, *VM, "--key", keys / "alice.pub").stdout
    assert "kept, not verified: 65 bytes of" in told
    assert base64.b64decode(json.loads(receipt.read_text())["answer"])
    receipt.write_text(receipt.read_text().replace('"answer":"', '"answer":"QUJD'))
    proof = (output, receipt, *VM, "--key", keys / "alice.pub")
    done = vcr("attest", "verify", *proof, code=3)
    assert "rejected at the receipt" in done.stderr


def test_a_key_answers_a_challenge(vcr: Any, keys: Path) -> None:
    output = state(vcr, keys, "provenance", "--nonce", "00ff")
    evidence = output.with_name("provenance.json.software")
    words = ("attest", "verify", output, evidence, *VM, "--key", keys / "alice.pub")
    vcr(*words, "--nonce", "00ff")
    assert "rejected at the nonce" in vcr(*words, "--nonce", "00fe", code=3).stderr


def test_stock_cosign_verifies_our_envelopes_offline(vcr: Any, keys: Path) -> None:
    cosign = tool("test-programs", "cosign")
    files = {kind: state(vcr, keys, kind, *PROD) for kind in TYPES}
    ladder = json.loads(vcr("--json", "build", STATIC, *PROD).stdout)["ladder"]
    paths = {rung["name"]: rung["path"] for rung in ladder}

    def check(kind: str, blob: str, key: str = "alice.pub") -> int:
        return subprocess.run(
            [cosign, "verify-blob-attestation", "--insecure-ignore-tlog", "--key", keys / key,
             "--signature", files[kind], "--type", TYPES[kind], blob],
            env={"HOME": str(keys), "PATH": ""}, capture_output=True, timeout=120, check=False,
        ).returncode  # fmt: skip

    assert check("provenance", paths["image"]) == 0
    assert check("root-hash", paths["sealed"]) == 0  # the drive's file is a subject, too
    assert check("provenance", paths["sealed"]) != 0
    assert check("provenance", paths["image"], "bob.pub") != 0
