"""What is demanded is met by nothing less: age, registers, the build, its source, who rebuilt."""

import datetime as dt
import hashlib
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nitro_pki import NOW, TestModule, certificate
from test_attest_checker import (
    IMAGE,
    MODULE,
    TRUST,
    check,
    document,
    policy,
    rejection,
    signed,
    software,
)
from test_attest_cli import app, output_of, verify  # noqa: F401 -- a fixture
from test_attest_dsse import ALICE, BOB, MALLORY
from test_attest_statement import BUILD, LADDER, PREDICATES, statement
from test_cli import errors_of

from vcr.app.proving.attestations import judge
from vcr.attest.checks.demand import Demand, NitroDemand
from vcr.attest.checks.receipt import Receipt
from vcr.attest.checks.rejected import Joint
from vcr.attest.domains import of_parent
from vcr.attest.dsse import sign
from vcr.attest.predicates import BUILD_COMMENT, BUILD_PROPERTY
from vcr.cli.context import App
from vcr.errors import ExitCode, UsageError
from vcr.model.digest import Digest
from vcr.model.ladder import Rung
from vcr.report.page import _attested

MINUTE = 60.0
NEW, OLD = "2026-11-26T11:59:30Z", "2026-11-26T11:58:00Z"
STAGE = {**BUILD, "profile": "prod-debug"}


def created(time: str, **more: Any) -> dict[str, Any]:
    return {"creationInfo": {"created": time, **more}}


# --- T9: age


def test_an_sbom_without_a_time_does_not_meet_an_age() -> None:
    """Two keys, a minute: the second of them said when only the sources are of."""
    wanted = replace(TRUST, threshold=2, max_age=MINUTE)
    fresh = signed("rebuild", ALICE, time=NEW)
    assert rejection(wanted, fresh, signed("sbom", BOB)).joint is Joint.AGE
    assert rejection(wanted, fresh, signed("sbom", BOB, **created(OLD))).joint is Joint.AGE
    assert check(wanted, fresh, signed("sbom", BOB, **created(NEW)))


@pytest.mark.parametrize("kind", PREDICATES)
def test_every_statement_says_when_it_was_made(kind: str) -> None:
    """Also one that is not needed for the threshold."""
    wanted = replace(TRUST, max_age=MINUTE)
    assert rejection(wanted, signed("rebuild", ALICE, time=NEW), signed(kind, BOB)).joint is (
        Joint.AGE
    )


def test_an_age_is_demanded_of_evidence_too() -> None:
    said = signed("rebuild", ALICE, time=NEW)
    bound = hashlib.sha256(statement("rebuild", time=NEW).to_bytes()).digest()
    wanted = replace(TRUST, max_age=MINUTE)
    later = NOW + dt.timedelta(seconds=20)
    assert check(wanted, said, document(user_data=of_parent(bound)), at=later)
    old = document(user_data=of_parent(bound), timestamp=int(NOW.timestamp() * 1000) - 59_000)
    assert check(wanted, said, old)
    error = rejection(wanted, said, old, at=later)
    assert (error.joint, error.what[:5]) == (Joint.AGE, "file1")
    error = rejection(wanted, said, software(ALICE, bound))
    assert (error.joint, error.what[:5]) == (Joint.AGE, "file1")
    assert check(wanted, said, software(ALICE, bound, made=NEW))
    assert rejection(wanted, said, software(ALICE, bound, made=OLD)).joint is Joint.AGE
    # [nitro] max_age is for evidence, whatever that of statements is
    strict = replace(wanted, nitro=replace(wanted.nitro, max_age=10.0))
    assert rejection(strict, said, old).joint is Joint.AGE


@pytest.mark.parametrize("wanted", [TRUST, replace(TRUST, max_age=MINUTE)])
def test_nothing_comes_from_the_future(wanted: Demand) -> None:
    bound = hashlib.sha256(statement("rebuild", time=NEW).to_bytes()).digest()
    said = signed("rebuild", ALICE, time=NEW)
    ahead, too_far = "2026-11-26T12:01:00Z", "2026-11-26T12:01:01Z"
    assert check(wanted, signed("rebuild", ALICE, time=ahead))
    for content in (
        signed("rebuild", ALICE, time=too_far),
        signed("sbom", ALICE, **created(too_far)),
        software(ALICE, bound, made=too_far),
        document(user_data=of_parent(bound), timestamp=int(NOW.timestamp() * 1000) + 61_000),
    ):
        assert rejection(wanted, said, content).joint is Joint.AGE


# --- T10: whose machine


@pytest.mark.parametrize("missing", [{0, 1, 2}, {0}, {1}, {2}, {1, 2}])
def test_a_document_of_anybodys_enclave_is_rejected(missing: set[int]) -> None:
    told = {number: value for number, value in IMAGE.items() if number not in missing}
    wanted = replace(TRUST, nitro=replace(TRUST.nitro, pcrs=told, nonce=b"n"))
    error = rejection(wanted, signed("root-hash", ALICE), document(nonce=b"n"))
    assert (error.joint, error.what[:5]) == (Joint.PCR, "file1")
    assert "--pcrs FILE" in error.fix
    alone = Demand(nitro=wanted.nitro)
    assert rejection(alone, document(nonce=b"n")).joint is Joint.PCR


def test_a_ladder_with_registers_says_whose_machine_it_is() -> None:
    registers = {f"pcr{n}": f"sha384:{IMAGE[n].hex()}" for n in IMAGE}
    module_root = Digest(f"sha256:{hashlib.sha256(b'root').hexdigest()}")
    ladder = {**LADDER, "sealed": module_root, **registers}
    nitro = NitroDemand(root=MODULE.root, nonce=b"n")
    wanted = Demand(nitro=nitro, ladder=ladder, ladder_terms=BUILD)
    extended = dict(MODULE.pcrs)
    extended[16] = hashlib.sha384(bytes(48) + bytes.fromhex(module_root.hex)).digest()
    good = document(nonce=b"n", pcrs=dict(sorted(extended.items())))
    assert check(wanted, good).ladder == ladder
    assert rejection(wanted, document(nonce=b"n")).why.startswith("PCR16")
    del ladder["pcr1"]
    assert rejection(wanted, good).joint in {Joint.PCR, Joint.SUBJECT}


def test_a_register_that_contradicts_the_ladder_is_not_demanded_instead_of_it() -> None:
    """Who demands one machine by an option, and has a statement of another, has neither."""
    measured = {f"pcr{n}": Digest(f"sha384:{'ab' * 48}") for n in IMAGE}
    plain = statement("root-hash")
    said = replace(plain, subjects={**plain.subjects, **measured})
    bound = hashlib.sha256(said.to_bytes()).digest()
    error = rejection(
        TRUST, sign(said.to_bytes(), [ALICE]).to_bytes(), document(user_data=of_parent(bound))
    )
    assert error.joint is Joint.PCR
    assert "that of the ladder" in error.why


def test_a_document_that_binds_to_nothing_is_rejected() -> None:
    alone = Demand(nitro=TRUST.nitro)
    for content in (document(), document(user_data=None), document(nonce=b"n")):
        error = rejection(alone, content)
        assert (error.joint, "no statement" in error.why) == (Joint.USER_DATA, True)
    asked = replace(alone, nitro=replace(alone.nitro, user_data=b"mine"))
    assert check(asked, document(user_data=b"mine"))
    assert rejection(asked, document()).joint is Joint.USER_DATA


def test_evidence_of_a_key_needs_a_trusted_one_and_a_statement() -> None:
    said = signed("rebuild", ALICE)
    bound = hashlib.sha256(statement("rebuild").to_bytes()).digest()
    assert rejection(TRUST, said, software(MALLORY, bound)).joint is Joint.SIGNATURE
    assert rejection(Demand(nitro=TRUST.nitro), software(ALICE, bound)).joint is Joint.SIGNATURE
    assert rejection(TRUST, software(ALICE, bound)).joint is Joint.USER_DATA
    assert rejection(TRUST, software(ALICE, b"")).joint is Joint.USER_DATA


def module_of_now() -> TestModule:
    """A security module whose certificates are valid as this runs."""
    now = dt.datetime.now(dt.UTC)
    module = TestModule(now=now)
    begin = now - dt.timedelta(minutes=1)
    module.certificates = [certificate(n, module.keys, begin=begin) for n in range(4)]
    return module


def test_a_report_does_not_take_a_document_of_anybody(
    app: App,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if the test authority were AWS: the chain holds, and the enclave is anybody's."""
    module = module_of_now()
    bound = hashlib.sha256(statement("root-hash").to_bytes()).digest()
    (app.directory / "nitro").write_bytes(module.document(user_data=of_parent(bound)))
    aws = partial(Demand, nitro=NitroDemand(root=module.root))
    monkeypatch.setattr("vcr.app.proving.attestations.Demand", aws)
    ladder = [Rung(name, Digest(digest), 1, Path("x")) for name, digest in LADDER.items()]
    paths = [app.directory / name for name in ("root.json", "nitro")]
    said, proof = judge(paths, [app.directory / "alice.pub"], ladder)
    assert said.holds
    assert not proof.holds
    assert proof.words.startswith("at the PCR: PCR0, PCR1 and PCR2 are not all demanded")
    registers = {number: module.pcrs[number] for number in range(3)}
    _, proof = judge(paths, [app.directory / "alice.pub"], ladder, BUILD, registers)
    assert proof.holds
    other = {**registers, 1: bytes(48)}
    _, proof = judge(paths, [app.directory / "alice.pub"], ladder, BUILD, other)
    assert proof.words.startswith("at the PCR: PCR1 is not the expected one")


def test_a_receipt_in_a_report_is_kept_and_not_verified(app: App) -> None:  # noqa: F811
    bound = hashlib.sha256(statement("rebuild").to_bytes()).digest()
    path = app.directory / "alice.json.command"
    path.write_bytes(Receipt("ipr", bound, b"number 7").to_bytes())
    ladder = [Rung(name, Digest(digest), 1, Path("x")) for name, digest in LADDER.items()]
    paths = [app.directory / "alice.json", path]
    _, kept = judge(paths, [app.directory / "alice.pub"], ladder)
    assert (kept.holds, kept.is_kept, kept.state) == (False, True, "kept")

    class Page:
        attested = (kept,)

    html = "".join(_attested(Page()))  # type: ignore[arg-type]
    assert "<td>kept</td>" in html
    assert ">verified" not in html


# --- T11: what it was built for


def other(kind: str, **changes: Any) -> bytes:
    """A statement of BOB's about the same digests, but built for something else."""
    build = {**BUILD, **changes}
    if kind == "sbom":
        text = BUILD_COMMENT + json.dumps(build, sort_keys=True)
        return signed(kind, BOB, comment=text)
    if kind == "cyclonedx":
        row = {"name": BUILD_PROPERTY, "value": json.dumps(build, sort_keys=True)}
        return signed(kind, BOB, metadata={"properties": [row]})
    if kind == "provenance":
        definition = {**PREDICATES[kind]["buildDefinition"], "externalParameters": build}
        return signed(kind, BOB, buildDefinition=definition)
    return signed(kind, BOB, build=build)


CHANGES: dict[str, Any] = {
    "name": "b", "profile": "vm-release", "arch": "arm64", "engine": "cartesi",
    "engine_version": "11", "epoch": 2,
}  # fmt: skip


@pytest.mark.parametrize("kind", PREDICATES)
@pytest.mark.parametrize("term", CHANGES)
def test_two_statements_of_contradicting_terms_do_not_pass_together(kind: str, term: str) -> None:
    assert check(TRUST, signed("rebuild", ALICE), other(kind)).terms == BUILD
    error = rejection(TRUST, signed("rebuild", ALICE), other(kind, **{term: CHANGES[term]}))
    assert (error.joint, error.what[:5]) == (Joint.BUILD, "file1")
    assert error.details == (("expected", str(BUILD[term])), ("got", str(CHANGES[term])))


@pytest.mark.parametrize("profile", ["prod-debug", "vm", "dev", "Prod", "prod ", ""])
def test_a_debug_profile_does_not_pass_as_a_release(profile: str) -> None:
    said = signed("rebuild", ALICE, build={**BUILD, "profile": profile})
    error = rejection(TRUST, said)
    assert (error.joint, "[build]" in error.fix) == (Joint.BUILD, True)
    assert check(replace(TRUST, build={"profile": profile}), said)
    assert rejection(replace(TRUST, build={"profile": "prod"}), said).joint is Joint.BUILD
    # a ladder comes with the statement: it does not ask for what it is
    told = replace(TRUST, ladder=LADDER, ladder_terms={**BUILD, "profile": profile})
    assert rejection(told, said).joint is Joint.BUILD


def test_a_statement_that_does_not_say_what_it_is_of_cannot_stand_alone() -> None:
    assert rejection(TRUST, signed("sbom", ALICE)).joint is Joint.BUILD
    assert check(TRUST, signed("sbom", ALICE), signed("rebuild", BOB)).terms == BUILD
    assert rejection(
        replace(TRUST, build={"profile": "prod"}), signed("sbom", ALICE)
    ).joint is Joint.BUILD  # fmt: skip


@pytest.mark.parametrize(
    "build",
    [
        {}, {"name": "a"}, {**BUILD, "epoch": True}, {**BUILD, "epoch": -1},
        {**BUILD, "epoch": "1"}, {**BUILD, "epoch": 10**18}, {**BUILD, "name": ["a"]},
        {**BUILD, "name": None}, {**BUILD, "name": "a" * 257}, "prod", 7, None, [BUILD],
    ],
    ids=range(13),
)  # fmt: skip
def test_terms_that_are_none(build: Any) -> None:
    error = rejection(TRUST, signed("run-once", ALICE, build=build))
    assert error.joint in {Joint.PREDICATE, Joint.BUILD}


def test_a_statement_says_what_it_was_built_for_in_one_place() -> None:
    """Another word elsewhere does not hide it; and only an SBOM may leave it out."""
    debug = {**PREDICATES["provenance"]["buildDefinition"], "externalParameters": STAGE}
    hidden = signed("provenance", ALICE, buildDefinition=debug, build=BUILD)
    assert rejection(TRUST, hidden).joint is Joint.BUILD
    epochs = {**PREDICATES["provenance"]["buildDefinition"], "internalParameters": {"epoch": 2}}
    said = signed("rebuild", BOB)
    two = signed("provenance", ALICE, buildDefinition=epochs)
    assert rejection(TRUST, said, two).joint is Joint.PREDICATE
    for kind in ("root-hash", "run-once", "rebuild"):
        content = {**PREDICATES[kind]}
        del content["build"]
        silent = replace(statement(kind), predicate=content)
        unsaid = sign(silent.to_bytes(), [ALICE]).to_bytes()
        assert rejection(TRUST, said, unsaid).joint is Joint.PREDICATE
        assert rejection(TRUST, said, signed(kind, ALICE, build=None)).joint is Joint.PREDICATE


@pytest.mark.parametrize("term", CHANGES)
def test_a_ladder_of_something_else_is_not_that_of_the_statement(
    app: App,  # noqa: F811
    term: str,
) -> None:
    path = app.directory / "ladder.json"
    words = ("alice.json", "--key", "alice.pub", "--ladder", "ladder.json")
    assert verify(app, *words) == 0
    path.write_text(json.dumps({**json.loads(path.read_text()), term: CHANGES[term]}))
    assert verify(app, *words) is ExitCode.MISMATCH
    assert "rejected at the build" in errors_of(app)
    assert "is not that of the ladder" in errors_of(app)


@pytest.mark.parametrize("term", CHANGES)
def test_a_policy_says_what_it_must_be_built_for(tmp_path: Path, term: str) -> None:
    text = "[build]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in BUILD.items())
    wanted = replace(TRUST, build=policy(tmp_path, text).build)
    assert wanted.build == BUILD
    assert check(wanted, signed("rebuild", ALICE))
    error = rejection(wanted, other("rebuild", **{term: CHANGES[term]}))
    assert (error.joint, "demanded" in error.why) == (Joint.BUILD, True)


def test_the_build_is_printed(app: App) -> None:  # noqa: F811
    assert verify(app, "alice.json", "--key", "alice.pub") == 0
    assert (
        "about name a, profile prod, arch riscv64, engine qemu, engine_version 10.0, epoch 1\n"
        in output_of(app)
    )


def test_a_debug_profile_is_asked_for_by_an_option(app: App) -> None:  # noqa: F811
    (app.directory / "debug.json").write_bytes(signed("rebuild", ALICE, build=STAGE))
    words = ("debug.json", "--key", "alice.pub")
    assert verify(app, *words) is ExitCode.MISMATCH
    assert "rejected at the build" in errors_of(app)
    assert verify(app, *words, "--profile", "prod-debug") == 0
    assert verify(app, *words, "--profile", "prod") is ExitCode.MISMATCH
    assert verify(app, "alice.json", "--key", "alice.pub", "--profile", "prod-debug") is (
        ExitCode.MISMATCH
    )


def test_two_statements_about_two_drives() -> None:
    plain = statement("root-hash")
    moved = replace(plain, subjects={**plain.subjects, "drive": Digest.of_bytes(b"another")})
    error = rejection(TRUST, signed("root-hash", ALICE), sign(moved.to_bytes(), [BOB]).to_bytes())
    assert (error.joint, "different drives" in error.why) == (Joint.SUBJECT, True)


# --- ladders


def test_a_policy_with_only_the_image_accepts_the_statement_about_it(tmp_path: Path) -> None:
    text = f'[ladder]\nimage = "{LADDER["image"]}"\n'
    part = policy(tmp_path, text)
    wanted = replace(TRUST, ladder=part.ladder, is_partial=part.is_partial)
    assert check(wanted, signed("rebuild", ALICE)).ladder == LADDER
    subjects = {**LADDER, "image": Digest.of_bytes(b"x")}
    moved = replace(statement("rebuild"), subjects=subjects)
    error = rejection(wanted, sign(moved.to_bytes(), [ALICE]).to_bytes())
    assert (error.joint, "image" in error.why) == (Joint.SUBJECT, True)
    fewer = replace(moved, subjects={"kernel": LADDER["kernel"]})
    error = rejection(wanted, sign(fewer.to_bytes(), [ALICE]).to_bytes())
    assert error.details[1] == ("got", "no such rung")


def test_a_ladder_without_rungs_demands_nothing_and_is_refused(
    app: App,  # noqa: F811
) -> None:
    path = app.directory / "ladder.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "ladder": []}))
    words = ("alice.json", "--key", "alice.pub", "--ladder", "ladder.json")
    assert verify(app, *words) is ExitCode.MISMATCH
    assert "is empty" in errors_of(app)
    with pytest.raises(UsageError, match="ladder is wrong"):
        policy(app.directory, "[ladder]\n")


def test_a_ladder_has_what_a_policy_demands_of_it(app: App) -> None:  # noqa: F811
    (app.directory / "policy.toml").write_text(
        f'[keys]\na = "alice.pub"\n[ladder]\nimage = "sha256:{"0" * 64}"\n'
    )
    words = ("alice.json", "--policy", "policy.toml", "--ladder", "ladder.json")
    assert verify(app, *words) is ExitCode.MISMATCH
    assert "is not the one that the policy demands" in errors_of(app)


# --- T2, T12: what policies demand of who built


def rebuilt(what: object, key: Any = ALICE) -> bytes:
    return signed("rebuild", key, **({} if what is None else {"rebuilt": what}))


def test_a_policy_demands_that_the_toolchain_was_rebuilt(tmp_path: Path) -> None:
    for level, holds, fails in (
        ("toolchain", ["toolchain"], ["project", None, "all", 7, ["toolchain"]]),
        ("project", ["project", "toolchain"], [None, "", "Project"]),
    ):
        demanded = policy(tmp_path, f'[rebuild]\nrebuilt = "{level}"\n')
        wanted = replace(TRUST, rebuilt=demanded.rebuilt)
        for word in holds:
            assert check(wanted, rebuilt(word))
        for wrong in fails:
            assert rejection(wanted, rebuilt(wrong)).joint is Joint.PREDICATE
            assert rejection(wanted, rebuilt(level), rebuilt(wrong, BOB)).joint is Joint.PREDICATE
        assert rejection(wanted, signed("provenance", ALICE)).joint is Joint.THRESHOLD


def test_a_policy_refuses_a_source_that_was_changed(tmp_path: Path) -> None:
    wanted = replace(TRUST, unchanged=policy(tmp_path, "[source]\nchanged = false\n").unchanged)
    assert wanted.unchanged
    clean = {"name": "source", "digest": {"gitCommit": "a" * 40}}
    lock = {"name": "vcr.lock", "digest": {"sha256": "0" * 64}}

    def built_of(*rows: Any, kind: str = "provenance") -> bytes:
        given = {"resolvedDependencies": [*rows, lock]}
        if kind == "rebuild":
            return signed(kind, ALICE, **given)
        definition = {**PREDICATES[kind]["buildDefinition"], **given}
        return signed(kind, ALICE, buildDefinition=definition)

    assert check(wanted, built_of(clean))
    assert check(wanted, built_of(clean), built_of(clean, kind="rebuild"))
    assert rejection(wanted, signed("run-once", ALICE)).joint is Joint.THRESHOLD
    for rows in (
        [],
        [{**clean, "annotations": {"changed": True}}],
        [{**clean, "annotations": {"changedFiles": ["app/key"], "changedCount": 1}}],
        [clean, {**clean, "annotations": {"changed": True}}],
        [{"name": "source"}],
        [{"name": "source", "digest": {}}],
        [{"name": "source", "digest": 7}],
        [{**clean, "annotations": 7}],
        [7],
    ):
        assert rejection(wanted, built_of(*rows)).joint is Joint.PREDICATE
        assert rejection(wanted, built_of(clean), built_of(*rows, kind="rebuild")).joint is (
            Joint.PREDICATE
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[build]\nprofile = 'prid'", "build.profile"),
        ("[build]\narch = 'm68k'", "build.arch"),
        ("[build]\nengine = 'bochs'", "build.engine"),
        ("[build]\nepoch = 1.0", "build.epoch"),
        ("[build]\nepoch = -1", "build.epoch"),
        ("[build]\nname = 7", "build.name"),
        ("[build]\ncolour = 'red'", "build.colour"),
        ("[rebuild]\nrebuilt = 'everything'", "rebuild.rebuilt"),
        ("[rebuild]", "rebuild.rebuilt"),
        ("[source]\nchanged = true", "source.changed"),
        ("max_age = inf", "max_age"),
        ("max_age = nan", "max_age"),
        (f"max_age = '{'9' * 400}h'", "max_age"),
        ("[nitro]\npcrs = { 00 = 'ab' }", "nitro.pcrs"),
        (f"[nitro]\npcrs = {{ 0 = '{'ab ' * 32}' }}", "nitro.pcrs"),
    ],
)
def test_a_policy_that_demands_what_cannot_be(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        policy(tmp_path, text)
    assert words in caught.value.what


def test_a_statement_of_the_engine_is_not_lost() -> None:
    """The order in which they are given does not matter."""
    debug = signed("rebuild", BOB, build=STAGE)
    for contents in ((signed("rebuild", ALICE), debug), (debug, signed("rebuild", ALICE))):
        assert rejection(TRUST, *contents).joint is Joint.BUILD
        asked = replace(TRUST, build={"profile": "prod-debug"})
        assert rejection(asked, *contents).joint is Joint.BUILD
