"""`vcr attest verify` and `keygen` from outside: options, messages, exit codes."""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from nitro_pki import TestModule
from test_attest_checker import digest_of, signed
from test_attest_dsse import ALICE, BOB
from test_attest_statement import BUILD, LADDER
from test_cli import errors_of, make_app

from vcr.app.proving.attestations import judge
from vcr.attest.domains import of_parent
from vcr.attest.keys import public_pem
from vcr.cli import run, vcr
from vcr.cli.context import App
from vcr.errors import ExitCode
from vcr.model.digest import Digest
from vcr.model.ladder import Rung

MODULE = TestModule()
AT = "2026-11-26T12:00:00Z"
MACHINE = ("--key", "alice.pub", "--root", "root.pem", "--at", AT, "--pcrs", "pcrs.json")


@pytest.fixture
def app(tmp_path: Path) -> App:
    for name, key in (("alice", ALICE), ("bob", BOB), ("twin", ALICE)):
        (tmp_path / f"{name}.pub").write_bytes(public_pem(key.public_key()))
    (tmp_path / "alice.json").write_bytes(signed("rebuild", ALICE))
    (tmp_path / "bob.json").write_bytes(signed("rebuild", BOB))
    (tmp_path / "root.json").write_bytes(signed("root-hash", ALICE))
    document = MODULE.document(user_data=of_parent(digest_of("root-hash")), nonce=b"\x00\xff")
    (tmp_path / "nitro").write_bytes(base64.b64encode(document))
    (tmp_path / "root.pem").write_bytes(MODULE.root_pem)
    registers = {f"PCR{n}": MODULE.pcrs[n].hex() for n in range(3)}
    (tmp_path / "pcrs.json").write_text(json.dumps({"Measurements": registers}))
    rungs = [{"name": n, "digest": d, "size": 1, "path": "/x"} for n, d in LADDER.items()]
    claim = {"schema": 1, "kind": "build", **BUILD, "ladder": rungs}
    (tmp_path / "ladder.json").write_text(json.dumps(claim))
    return make_app(tmp_path)


def verify(app: App, *words: str) -> int:
    known = {path.name for path in app.directory.iterdir()}
    argv = [str(app.directory / word) if word in known else word for word in words]
    return run(app, ["attest", "verify", *argv])


def output_of(app: App) -> str:
    assert isinstance(app.ui.out, io.StringIO)
    return app.ui.out.getvalue()


def test_a_statement_holds(app: App) -> None:
    assert verify(app, "alice.json", "--key", "alice.pub", "--ladder", "ladder.json") == 0
    assert "rebuild  signed by" in output_of(app)


def test_what_is_told_to_a_program(app: App) -> None:
    assert verify(app, "--json", "root.json", "nitro", *MACHINE) == 0
    told = json.loads(output_of(app))
    assert (told["schema"], told["kind"], told["holds"]) == (1, "attest-verify", True)
    assert [row["predicate"] for row in told["statements"]] == ["root-hash"]
    assert [row["type"] for row in told["evidence"]] == ["aws-nitro-v1"]
    assert told["ladder"] == LADDER
    assert told["build"] == BUILD
    assert told["kept"] == []


def test_two_independent_ones_are_demanded(app: App) -> None:
    both = ("--key", "alice.pub", "--key", "bob.pub", "--threshold", "2")
    assert verify(app, "alice.json", "bob.json", *both) == 0
    assert verify(app, "alice.json", *both) is ExitCode.MISMATCH
    assert "rejected at the threshold" in errors_of(app)


def test_a_key_under_two_names_counts_once(app: App) -> None:
    twice = ("--key", "alice.pub", "--key", "twin.pub", "--threshold", "2")
    assert verify(app, "alice.json", "alice.json", *twice) is ExitCode.MISMATCH
    assert "2 different trusted keys must vouch for the ladder; 1 did" in errors_of(app)


def test_a_loud_warning_for_a_root_that_is_not_aws(app: App) -> None:
    words = ("root.json", "nitro", "--key", "alice.pub", "--pcrs", "pcrs.json", "--at", AT)
    assert verify(app, *words, "--root", "root.pem") == 0
    assert "warning: --root" in errors_of(app)
    assert "not those of AWS" in errors_of(app)
    assert verify(app, *words) is ExitCode.MISMATCH
    assert "rejected at the certificate chain" in errors_of(app)


@pytest.mark.parametrize(
    ("words", "joint"),
    [
        (("--nonce", "00fe"), "nonce"),
        (("--pcr", f"0={'00' * 48}"), "PCR"),
        (("--pcr", "16=sealed"), "PCR"),
        (("--at", "2026-12-26T12:00:00Z"), "certificate validity"),
        (("--at", "2026-11-26T12:10:00Z", "--max-age", "5m"), "age"),
    ],
)
def test_each_demand_names_its_joint(app: App, words: tuple[str, ...], joint: str) -> None:
    common = ("root.json", "nitro", "--key", "alice.pub", "--root", "root.pem", "--at", AT)
    assert verify(app, *common, *words) is ExitCode.MISMATCH
    assert f"nitro: rejected at the {joint}" in errors_of(app)


def test_demands_that_are_met(app: App) -> None:
    demands = ("--nonce", "00ff", "--max-age", "5m", "--pcr", f"2={MODULE.pcrs[2].hex()}")
    assert verify(app, "root.json", "nitro", *MACHINE, *demands) == 0


def test_demands_of_evidence_that_nobody_gave(app: App) -> None:
    for words in (("--pcr", f"0={'ab' * 48}"), ("--max-age", "5m")):
        assert verify(app, "root.json", "--key", "alice.pub", *words) is ExitCode.MISMATCH
    assert "rejected at the document" in errors_of(app)
    assert verify(app, "root.json", "--key", "alice.pub", "--nonce", "00") is ExitCode.MISMATCH
    assert "rejected at the nonce" in errors_of(app)


def test_a_document_by_itself_is_trusted_for_its_registers(app: App) -> None:
    words = ("nitro", "--root", "root.pem", "--at", AT, "--nonce", "00ff")
    assert verify(app, *words) is ExitCode.USAGE
    assert verify(app, *words, "--pcrs", "pcrs.json") == 0
    assert verify(app, *words, "--pcr", f"0={'ab' * 48}") is ExitCode.MISMATCH


def test_a_policy_file(app: App) -> None:
    policy = app.directory / "policy.toml"
    policy.write_text('[keys]\nalice = "alice.pub"\nbob = "bob.pub"\n[predicates]\nrebuild = 2\n')
    assert verify(app, "alice.json", "bob.json", "--policy", "policy.toml") == 0
    assert verify(app, "alice.json", "--policy", "policy.toml") is ExitCode.MISMATCH
    assert "a rebuild of it" in errors_of(app)


def test_another_ladder(app: App) -> None:
    path = app.directory / "ladder.json"
    path.write_text(path.read_text().replace(LADDER["kernel"], "sha256:" + "0" * 64))
    words = ("alice.json", "--key", "alice.pub", "--ladder", "ladder.json")
    assert verify(app, *words) is ExitCode.MISMATCH
    assert "the subject kernel is not that of the ladder" in errors_of(app)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no key is trusted yet"),
        (("--key", "none.pub"), "cannot read the key"),
        (("--key", "alice.pub", "--at", "noon"), "--at noon is wrong"),
        (("--key", "alice.pub", "--at", "2026-11-26T00:00:00"), "has no time zone"),
        (("--key", "alice.pub", "--nonce", "xyz"), "--nonce xyz is not hex"),
        (("--key", "alice.pub", "--max-age", "old"), "--max-age old is wrong"),
        (("--key", "alice.pub", "--pcr", "0"), "PCR 0= is wrong"),
        (("--key", "alice.pub", "--pcr", "x=ab"), "PCR x=ab is wrong"),
        (("--key", "alice.pub", "--pcrs", "alice.json"), "has no registers"),
        (("--key", "alice.pub", "--pcrs", "alice.pub"), "has no registers"),
        (("--key", "alice.pub", "--root", "alice.pub"), "is not a certificate"),
        (("--key", "alice.pub", "none.json"), "cannot read none.json"),
        (("--key", "alice.pub", "--threshold", "0"), "--threshold"),
    ],
)
def test_options_that_are_wrong(app: App, words: tuple[str, ...], said: str) -> None:
    assert verify(app, "alice.json", *words) is ExitCode.USAGE
    assert said in errors_of(app)


def test_a_key_pair_is_made_and_kept(app: App) -> None:
    name = str(app.directory / "carol")
    assert run(app, ["attest", "keygen", name]) == 0
    assert f"{name}.pub" in output_of(app)
    assert run(app, ["attest", "keygen", name]) is ExitCode.USAGE
    assert "exists already" in errors_of(app)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "there is nothing to sign with"),
        (("--key", "none"), "cannot read the key"),
        (("--key", "none", "--provider", "nitro"), "name a file: --output"),
        (("--key", "carol.key", "--time", "noon"), "--time noon is wrong"),
        (("--key", "carol.key", "--output", "x", "--nonce", "z"), "--nonce z is not hex"),
    ],
)
def test_a_statement_needs_a_key(app: App, words: tuple[str, ...], said: str) -> None:
    run(app, ["attest", "keygen", str(app.directory / "carol")])
    argv = [str(app.directory / word) if word == "carol.key" else word for word in words]
    assert run(app, ["attest", str(app.directory), *argv]) is ExitCode.USAGE
    assert said in errors_of(app)


@pytest.mark.parametrize("verb", ["make", "verify", "keygen"])
def test_help_of_each_part_is_as_recorded(
    repo: Path, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    vcr.main(["attest", verb, "--help"], prog_name="vcr", standalone_mode=False)
    golden = repo / "tests" / "golden" / "help" / f"attest-{verb}.txt"
    assert capsys.readouterr().out == golden.read_text(), f"{golden} differs; see CONTRIBUTING.md"


def test_a_report_judges_each_file_by_itself(app: App) -> None:
    ladder = [Rung(name, Digest(digest), 1, Path("x")) for name, digest in LADDER.items()]
    paths = [app.directory / name for name in ("alice.json", "bob.json", "nitro")]
    alice, bob, nitro = judge(paths, [app.directory / "alice.pub"], ladder)
    assert (alice.file, alice.holds) == ("alice.json", True)
    assert alice.words.startswith("rebuild, signed by ")
    assert not bob.holds
    assert bob.words.startswith("at the signature: no trusted key")
    assert not nitro.holds  # its root is not that of AWS
    assert "certificate" in nitro.words
    other = [replace(ladder[0], digest=Digest("sha256:" + "00" * 32)), *ladder[1:]]
    (changed,) = judge(paths[:1], [app.directory / "alice.pub"], other)
    assert changed.words.startswith("at the subject: ")
    (untrusted,) = judge(paths[:1], [], ladder)
    assert not untrusted.holds


def test_a_program_of_vcr_toml_is_not_run(app: App) -> None:
    """`--provider command` is of the user; who wrote the program's name may be a stranger."""
    here, out = app.directory, app.directory / "said.json"
    (here / "Dockerfile").write_text("FROM scratch\n")
    (here / "vcr.toml").write_text(f'[attest]\ncommand = ["touch", "{here}/ran"]\n')
    run(app, ["attest", "keygen", str(here / "dora")])
    words = ["--key", str(here / "dora.key"), "--output", str(out), "--provider", "command"]
    assert run(app, ["attest", str(here), *words]) is ExitCode.USAGE
    assert "would run on this host" in errors_of(app)
    assert not (here / "ran").exists()
