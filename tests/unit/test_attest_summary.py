"""Verification summaries: what one says, and that none is written unless everything holds."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from test_attest_cli import app, verify  # noqa: F401 -- a fixture
from test_attest_dsse import BOB, trusted
from test_attest_statement import LADDER
from test_cli import errors_of

from vcr.attest.checks.checker import verify_files
from vcr.attest.checks.policy import read_policy
from vcr.attest.dsse import read_envelope, signers
from vcr.attest.predicates import parse_time
from vcr.attest.summary import PolicyFile, summarize
from vcr.cli.context import App
from vcr.errors import ExitCode


@pytest.fixture
def policy(app: App) -> Path:  # noqa: F811
    key = app.directory / "bob.key"
    key.write_bytes(BOB.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.chmod(0o600)
    (app.directory / "no.toml").write_text('threshold = 2\n[keys]\nalice = "alice.pub"\n')
    path = app.directory / "policy.toml"
    path.write_text('[keys]\nalice = "alice.pub"\n')
    return path


def summary(app: App, *words: str, policy: str = "policy.toml") -> int:  # noqa: F811
    target = str(app.directory / "vsa.json")
    return verify(app, *words, "--policy", policy, "--vsa", target, "--sign", "bob.key")


def test_a_summary_says_what_was_verified_by_which_policy(app: App, policy: Path) -> None:  # noqa: F811
    assert summary(app, "alice.json", "--ladder", "ladder.json") == 0
    envelope = read_envelope((app.directory / "vsa.json").read_bytes())
    assert signers(envelope, trusted(BOB))
    told: dict[str, Any] = json.loads(envelope.payload)
    assert told["predicateType"] == "https://slsa.dev/verification_summary/v1"
    digests = {row["name"]: f"sha256:{row['digest']['sha256']}" for row in told["subject"]}
    assert digests == LADDER
    said = told["predicate"]
    assert (said["verificationResult"], said["slsaVersion"]) == ("PASSED", "1.1")
    assert said["verifiedLevels"] == ["SLSA_BUILD_LEVEL_UNEVALUATED"]
    assert said["verifier"]["id"] == "https://vcr.example/verifier/v1"
    hashed = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
              for path in (policy, app.directory / "alice.json")}  # fmt: skip
    assert said["policy"] == {"uri": policy.name, "digest": {"sha256": hashed[policy.name]}}
    (given,) = said["inputAttestations"]
    assert given == {"uri": "alice.json", "digest": {"sha256": hashed["alice.json"]}}
    assert said["resourceUri"] == f"pkg:oci/a@{LADDER['image'].replace(':', '%3A')}"
    assert parse_time(said["timeVerified"])


def test_no_summary_is_written_unless_everything_holds(app: App, policy: Path) -> None:  # noqa: F811
    assert summary(app, "bob.json") is ExitCode.MISMATCH
    assert summary(app, "alice.json", policy="no.toml") is ExitCode.MISMATCH
    assert not (app.directory / "vsa.json").exists()


def test_only_the_policy_says_what_is_enough(app: App, policy: Path) -> None:  # noqa: F811
    for more in (("--key", "bob.pub"), ("--threshold", "1"), ("--at", "2026-11-26T12:00:00Z"),
                 ("--profile", "prod"), ("--root", "root.pem"), ("--log-key", "bob.pub"),
                 ("--max-age", "5m"), ("--nonce", "00")):  # fmt: skip
        assert summary(app, "alice.json", *more) is ExitCode.USAGE
    assert "write it into the policy" in errors_of(app)
    words = ("alice.json", "--key", "alice.pub")
    vsa = ("--vsa", str(app.directory / "vsa.json"))
    assert verify(app, *words, *vsa) is ExitCode.USAGE
    assert verify(app, *words, "--sign", "bob.key") is ExitCode.USAGE
    assert verify(app, *words, *vsa, "--sign", "bob.key") is ExitCode.USAGE
    assert summary(app, "alice.json", policy="none.toml") is ExitCode.USAGE
    assert not (app.directory / "vsa.json").exists()


def test_an_image_in_a_registry_is_named_as_such(app: App, policy: Path) -> None:  # noqa: F811
    data = (app.directory / "alice.json").read_bytes()
    name = f"registry.example:5000/team/app@{LADDER['image']}"
    when = parse_time("2026-11-26T12:00:00Z")
    verdict = verify_files([(name, data)], read_policy(policy), when)
    told = summarize(
        verdict, PolicyFile("p", b""), when, "registry.example:5000/team/app"
    ).predicate
    digest = LADDER["image"].replace(":", "%3A")
    where = "?repository_url=registry.example:5000/team/app"
    assert told["resourceUri"] == f"pkg:oci/app@{digest}{where}"
    assert told["inputAttestations"][0]["uri"] == f"oci://{name}"
