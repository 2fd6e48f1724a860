"""Files verified together: who vouches, for what, how many, and what binds to it."""

import base64
import datetime as dt
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nitro_pki import NOW, TestModule
from test_attest_dsse import ALICE, BOB, MALLORY, trusted
from test_attest_statement import BUILD, LADDER, statement

from vcr.attest import strict_json
from vcr.attest.checks.checker import Verdict, verify_files
from vcr.attest.checks.demand import Demand, NitroDemand
from vcr.attest.checks.evidence import SOFTWARE_PAYLOAD
from vcr.attest.checks.policy import read_policy
from vcr.attest.checks.receipt import Receipt
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.domains import PARENT, of_app, of_parent
from vcr.attest.dsse import sign
from vcr.attest.keys import create_pair, key_id, public_pem
from vcr.attest.predicates import TYPES
from vcr.errors import UsageError
from vcr.formats import pcrs
from vcr.model.digest import Digest

MODULE = TestModule()
IMAGE = {number: MODULE.pcrs[number] for number in range(3)}
TRUST = Demand(trusted=trusted(ALICE, BOB), nitro=NitroDemand(root=MODULE.root, pcrs=IMAGE))


def signed(kind: str, *keys: Ed25519PrivateKey, **changes: Any) -> bytes:
    return sign(statement(kind, **changes).to_bytes(), keys).to_bytes()


def digest_of(kind: str) -> bytes:
    return hashlib.sha256(statement(kind).to_bytes()).digest()


def check(wanted: Demand, *contents: bytes, at: dt.datetime = NOW) -> Verdict:
    files = [(f"file{number}", content) for number, content in enumerate(contents)]
    return verify_files(files, wanted, at)


def rejection(wanted: Demand, *contents: bytes, at: dt.datetime = NOW) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        check(wanted, *contents, at=at)
    return caught.value


def test_a_statement_holds() -> None:
    verdict = check(TRUST, signed("rebuild", ALICE))
    assert verdict.ladder == LADDER
    assert [(s.kind, s.signers) for s in verdict.said] == [
        ("rebuild", frozenset({key_id(ALICE.public_key())}))
    ]


def test_a_rejection_names_the_file() -> None:
    error = rejection(TRUST, signed("rebuild", ALICE), signed("rebuild", MALLORY))
    assert error.what == "file1: rejected at the signature"


def test_two_who_rebuilt_reach_a_threshold_of_two() -> None:
    two = replace(TRUST, threshold=2)
    assert check(two, signed("rebuild", ALICE), signed("rebuild", BOB))
    assert check(two, signed("rebuild", ALICE, BOB))


@pytest.mark.parametrize(
    "contents",
    [
        (signed("rebuild", ALICE),),
        (signed("rebuild", ALICE), signed("rebuild", ALICE)),
        (signed("rebuild", ALICE, ALICE),),
        (signed("rebuild", ALICE), signed("run-once", ALICE)),
        (signed("rebuild", ALICE, MALLORY),),
    ],
    ids=["one", "the same twice", "two signatures", "two statements", "a stranger"],
)
def test_one_key_is_not_two(contents: tuple[bytes, ...]) -> None:
    error = rejection(replace(TRUST, threshold=2), *contents)
    assert error.joint is Joint.THRESHOLD
    assert error.details == (("expected", "2"), ("got", "1"))


def test_keys_for_each_kind_of_statement() -> None:
    wanted = replace(TRUST, predicates={TYPES["rebuild"]: 2, TYPES["sbom"]: 1})
    rebuilt = (signed("rebuild", ALICE), signed("rebuild", BOB))
    assert check(wanted, *rebuilt, signed("sbom", BOB))
    assert "a sbom of it" in rejection(wanted, *rebuilt).why
    assert "a rebuild of it" in rejection(wanted, rebuilt[0], signed("sbom", BOB)).why


def test_statements_about_two_ladders() -> None:
    other = sign(
        replace(
            statement("rebuild"), subjects={**LADDER, "image": Digest.of_bytes(b"x")}
        ).to_bytes(),
        [BOB],
    ).to_bytes()
    error = rejection(TRUST, signed("rebuild", ALICE), other)
    assert (error.joint, error.what[:5]) == (Joint.SUBJECT, "file1")
    assert rejection(replace(TRUST, ladder={"image": LADDER["image"]}), other).joint is (
        Joint.SUBJECT
    )


def test_a_predicate_that_contradicts_its_subjects() -> None:
    assert rejection(TRUST, signed("run-once", ALICE, machineHash="x")).joint is Joint.PREDICATE


def test_a_statement_that_is_too_old_or_does_not_say() -> None:
    hour = replace(TRUST, max_age=3600)
    fresh = signed("rebuild", ALICE, time="2026-11-26T11:30:00Z")
    created = {"creationInfo": {"created": "2026-11-26T11:30:00Z"}}
    assert check(hour, fresh, signed("sbom", ALICE, **created))
    assert rejection(hour, fresh, at=NOW + dt.timedelta(hours=1)).joint is Joint.AGE
    assert rejection(hour, fresh, at=NOW - dt.timedelta(hours=1)).joint is Joint.AGE
    assert rejection(hour, signed("rebuild", ALICE)).joint is Joint.AGE


def document(**fields: Any) -> bytes:
    return MODULE.document(**{"user_data": of_parent(digest_of("root-hash")), **fields})


def test_a_document_binds_to_a_statement() -> None:
    verdict = check(TRUST, signed("root-hash", ALICE), document())
    assert [proof.kind for proof in verdict.proofs] == ["aws-nitro-v1"]
    assert check(TRUST, signed("root-hash", ALICE), document().hex().encode())
    bound = digest_of("root-hash")
    wrongs = (of_parent(digest_of("rebuild")), bound, b"", None, of_parent(b""), of_app(bound),
              of_parent(bound) + b"\n", bound + PARENT)  # fmt: skip
    for wrong in wrongs:
        error = rejection(TRUST, signed("root-hash", ALICE), document(user_data=wrong))
        assert (error.joint, error.what[:5]) == (Joint.USER_DATA, "file1")


def test_registers_in_the_ladder_are_demanded_of_a_document() -> None:
    """Who signs for an enclave's image need not be asked for its registers again."""
    module = TestModule()
    measured = {f"pcr{n}": Digest(f"sha384:{module.pcrs[n].hex()}") for n in (0, 1, 2)}
    module.extend(16, bytes.fromhex(LADDER["sealed"].hex))
    trust = replace(TRUST, nitro=NitroDemand(root=module.root))

    def proof(**registers: Digest) -> tuple[bytes, bytes]:
        plain = statement("root-hash")
        said = replace(plain, subjects={**plain.subjects, **measured, **registers})
        bound = hashlib.sha256(said.to_bytes()).digest()
        return sign(said.to_bytes(), [ALICE]).to_bytes(), module.document(
            user_data=of_parent(bound)
        )

    assert check(trust, *proof()).proofs
    for name in measured:
        error = rejection(trust, *proof(**{name: Digest("sha384:" + "1" * 96)}))
        assert (error.joint, error.why[:4]) == (Joint.PCR, name.upper())
    other = TestModule()
    other.extend(16, b"another root")
    said, _ = proof()
    bound = hashlib.sha256(base64.b64decode(json.loads(said)["payload"])).digest()
    wrong = rejection(
        replace(TRUST, nitro=NitroDemand(root=other.root)),
        said,
        other.document(user_data=of_parent(bound)),
    )
    assert (wrong.joint, wrong.why[:5]) == (Joint.PCR, "PCR16")


def test_a_document_that_answers() -> None:
    challenged = replace(TRUST, nitro=replace(TRUST.nitro, nonce=b"fresh"))
    assert check(challenged, signed("root-hash", ALICE), document(nonce=b"fresh"))
    assert rejection(challenged, signed("root-hash", ALICE), document()).joint is Joint.NONCE


def test_a_document_that_is_required() -> None:
    required = replace(TRUST, nitro=replace(TRUST.nitro, required=True))
    assert check(required, signed("root-hash", ALICE), document())
    assert rejection(required, signed("root-hash", ALICE)).joint is Joint.DOCUMENT


def test_the_register_that_the_sealed_root_extends() -> None:
    module = TestModule(keys=MODULE.keys, certificates=MODULE.certificates)
    module.extend(pcrs.ROOT_PCR, bytes.fromhex(LADDER["sealed"].hex))
    sealed = replace(TRUST, nitro=replace(TRUST.nitro, pcrs={**IMAGE, 16: b""}))
    good = module.document(user_data=of_parent(digest_of("root-hash")))
    registers = dict(sorted(module.pcrs.items()))
    assert check(sealed, signed("root-hash", ALICE), good)
    module.extend(pcrs.ROOT_PCR, b"more")
    other = module.document(user_data=of_parent(digest_of("root-hash")))
    assert rejection(sealed, signed("root-hash", ALICE), other).joint is Joint.PCR
    assert rejection(sealed, good).joint is Joint.PCR  # nobody says which root
    answering = replace(sealed.nitro, nonce=b"n")
    alone = Demand(nitro=answering, ladder=LADDER, ladder_terms=BUILD)
    assert check(alone, module.document(nonce=b"n", pcrs=registers))
    assert rejection(alone, other).joint is Joint.PCR


def test_a_document_by_itself() -> None:
    alone = Demand(nitro=replace(TRUST.nitro, nonce=b"fresh"))
    assert check(alone, document(nonce=b"fresh")).said == ()
    assert rejection(Demand(), document()).joint is Joint.CHAIN


def test_what_is_demanded_is_not_met_by_leaving_it_out() -> None:
    alone = Demand(nitro=replace(TRUST.nitro, user_data=of_parent(digest_of("root-hash"))))
    said = signed("root-hash", ALICE)
    assert rejection(replace(alone, trusted=TRUST.trusted), document()).joint is Joint.THRESHOLD
    assert rejection(replace(alone, threshold=2), document()).joint is Joint.THRESHOLD
    assert rejection(TRUST).joint is Joint.THRESHOLD
    assert (
        rejection(replace(alone, ladder=LADDER, ladder_terms=BUILD), document()).joint
        is Joint.SUBJECT
    )
    challenged = replace(TRUST, nitro=replace(TRUST.nitro, nonce=b"n"))
    assert rejection(challenged, said).joint is Joint.NONCE
    receipt = Receipt("ipr", digest_of("root-hash"), b"").to_bytes()
    assert rejection(challenged, said, receipt).joint is Joint.NONCE


def software(
    key: Ed25519PrivateKey, bound: bytes, nonce: bytes = b"", made: str | None = None
) -> bytes:
    content = {"nonce": nonce.hex(), "reportData": bound.hex()}
    content |= {} if made is None else {"time": made}
    return sign(strict_json.dump(content), [key], SOFTWARE_PAYLOAD).to_bytes()


def test_evidence_of_a_key() -> None:
    said = signed("rebuild", ALICE)
    assert check(TRUST, said, software(ALICE, digest_of("rebuild"))).proofs
    challenged = replace(TRUST, nitro=replace(TRUST.nitro, nonce=b"fresh"))
    assert check(challenged, said, software(ALICE, digest_of("rebuild"), b"fresh"))
    for wanted, content, joint in (
        (TRUST, software(MALLORY, digest_of("rebuild")), Joint.SIGNATURE),
        (TRUST, software(ALICE, digest_of("sbom")), Joint.USER_DATA),
        (challenged, software(ALICE, digest_of("rebuild")), Joint.NONCE),
        (TRUST, sign(b"{}", [ALICE], SOFTWARE_PAYLOAD).to_bytes(), Joint.DOCUMENT),
        (TRUST, sign(b"{}", [ALICE], "text/plain").to_bytes(), Joint.STATEMENT),
    ):
        assert rejection(wanted, said, content).joint is joint


def test_a_receipt_belongs_to_its_statement() -> None:
    said = signed("rebuild", ALICE)
    receipt = Receipt("ipr submit", digest_of("rebuild"), b"number 7").to_bytes()
    (kept,) = check(TRUST, said, receipt).proofs
    assert (kept.kind, kept.is_verified) == ("receipt-v1", False)
    assert kept.words == "kept, not verified: 8 bytes of ipr submit"
    other = Receipt("ipr submit", digest_of("sbom"), b"number 7").to_bytes()
    assert rejection(TRUST, said, other).joint is Joint.RECEIPT
    assert rejection(TRUST, receipt).joint is Joint.RECEIPT
    edited = json.loads(receipt) | {"answer": "bnVtYmVyIDg="}
    assert rejection(TRUST, said, strict_json.dump(edited) + b"\n").joint is Joint.RECEIPT
    assert rejection(TRUST, said, b'{"mediaType":"application/vnd.vcr.receipt.v1+json"}').joint is (
        Joint.RECEIPT
    )


@pytest.mark.parametrize("content", [b"", b"hello", b"{}", b"\x84", b"[]", b"\xff\xff"])
def test_a_file_that_is_nothing(content: bytes) -> None:
    assert rejection(TRUST, content).joint in {Joint.ENVELOPE, Joint.DOCUMENT}


POLICY = """
threshold = 2
max_age = "1h"
[keys]
alice = "alice.pub"
again = "alice.pub"
bob = '''
{pem}'''
[predicates]
rebuild = 2
"https://spdx.dev/Document" = 1
[ladder]
image = "{image}"
[nitro]
pcrs = {{ 0 = "{pcr}", 16 = "sealed" }}
nonce = "00ff"
max_age = "5m"
"""


def policy(tmp_path: Path, text: str) -> Demand:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return read_policy(path)


def test_a_policy_is_read(tmp_path: Path) -> None:
    create_pair(tmp_path / "alice")
    pem = public_pem(BOB.public_key()).decode()
    wanted = policy(tmp_path, POLICY.format(pem=pem, image=LADDER["image"], pcr="ab" * 48))
    assert len(wanted.trusted) == 2  # alice is there twice
    assert wanted.threshold == 2
    assert wanted.max_age == 3600
    assert wanted.predicates == {TYPES["rebuild"]: 2, TYPES["sbom"]: 1}
    assert (wanted.ladder, wanted.is_partial) == ({"image": LADDER["image"]}, True)
    assert wanted.nitro == NitroDemand(
        pcrs={0: b"\xab" * 48, 16: b""}, nonce=b"\x00\xff", max_age=300, required=True
    )


def test_an_empty_policy_trusts_nobody(tmp_path: Path) -> None:
    assert policy(tmp_path, "") == Demand()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("treshold = 2", "treshold is wrong"),
        ("threshold = 0", "threshold is wrong"),
        ("threshold = true", "threshold is wrong"),
        ("[predicates]\nnonsense = 1", "predicates"),
        ("[nitro]\npcrs = { 0 = 'ab' }", "nitro.pcrs"),
        ("[nitro]\npcrs = { 32 = 'ab' }", "nitro.pcrs"),
        ("[nitro]\nnonce = 'xyz'", "nitro.nonce"),
        ("[nitro]\nroot = 'x'", "nitro.root"),
        ("[ladder]\nimage = 'md5:0'", "ladder.image"),
        ("max_age = 'long'", "max_age"),
        ("[keys]\nalice = 'none.pub'", "cannot read the key"),
        ("[keys]\nalice = '-----BEGIN nonsense'", "keys.alice is not a public key"),
        ("[[", "cannot read the policy"),
    ],
)
def test_a_policy_that_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        policy(tmp_path, text)
    assert words in caught.value.what
    with pytest.raises(UsageError, match="cannot read"):
        read_policy(tmp_path / "none.toml")


def test_the_policy_of_the_documentation_is_one(tmp_path: Path, repo: Path) -> None:
    text = (repo / "docs/attest.md").read_text()
    (block,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for name in ("release", "alice", "rekor"):
        create_pair(tmp_path / name)
    block = block.replace('"..."', f'"{"ab" * 48}"').replace("sha256:...", LADDER["image"])
    wanted = policy(tmp_path, block)
    assert (wanted.threshold, len(wanted.trusted), len(wanted.logs)) == (2, 2, 1)
    assert wanted.nitro.pcrs[16] == b""


def test_the_documentation_names_every_joint_and_type(repo: Path) -> None:
    text = (repo / "docs/attest.md").read_text()
    assert [uri for uri in TYPES.values() if f"`{uri}`" not in text] == []
    assert [joint for joint in Joint if joint not in text] == []
