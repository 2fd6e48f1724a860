"""Which side asked for a document, and that no bytes of one make it a document of the other."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nitro_pki import NOW
from test_attest_checker import MODULE, TRUST, check, digest_of, rejection, signed
from test_attest_dsse import ALICE
from test_cli import make_app

from vcr.attest.checks.demand import Demand, NitroDemand
from vcr.attest.checks.policy import read_policy
from vcr.attest.checks.rejected import Joint
from vcr.attest.domains import APP, MAX_DATA, PARENT, of_app, of_parent
from vcr.cli import run

KEY = b"k" * 32  # the SHA-256 of a public key, say
BOUND = digest_of("root-hash")
OF_APP = MODULE.document(user_data=of_app(KEY), nonce=b"n")


def wanting(data: bytes) -> Demand:
    """Return a demand that a document of the app binds DATA."""
    registers = {n: MODULE.pcrs[n] for n in (0, 1, 2)}
    return Demand(nitro=NitroDemand(root=TRUST.nitro.root, pcrs=registers, app_data=data))


@given(st.binary(max_size=MAX_DATA), st.binary(max_size=MAX_DATA))
def test_no_bytes_of_one_domain_are_those_of_another(one: bytes, other: bytes) -> None:
    assert of_parent(one) != of_app(other)
    assert (of_parent(one) == of_parent(other)) == (one == other)
    assert not PARENT.startswith(APP)
    assert not APP.startswith(PARENT)


def test_the_loader_has_the_same_domains(repo: Path) -> None:
    text = (repo / "guest/loader/document.go").read_text()
    for name, domain in (("parentDomain", PARENT), ("appDomain", APP)):
        assert f'{name} = "{domain.decode()[:-1]}\\n"' in " ".join(text.split())
    assert f"maxData = {MAX_DATA} " in " ".join(text.split())


def test_a_document_of_the_app_holds_for_who_asks_for_it() -> None:
    assert check(wanting(KEY), OF_APP).proofs


@pytest.mark.parametrize(
    "data",
    [KEY[:-1], KEY + b"k", b"", of_app(KEY), of_parent(KEY), bytes(32), BOUND],
    ids=["shorter", "longer", "none", "with the domain", "of the parent", "zeros", "a statement"],
)
def test_a_document_of_the_app_for_something_else_is_rejected(data: bytes) -> None:
    assert rejection(wanting(data), OF_APP).joint is Joint.USER_DATA


@pytest.mark.parametrize(
    "user_data",
    [of_parent(KEY), KEY, of_parent(of_app(KEY)), b"\n" + of_app(KEY), None, of_app(KEY)[:-1]],
    ids=["parent", "bare", "parent with the app's", "newline", "none", "cut"],
)
def test_the_parent_cannot_say_what_the_app_binds(user_data: bytes | None) -> None:
    """T3: the parent got genuine documents with any user_data, so with any key of its own."""
    document = MODULE.document(user_data=user_data, nonce=b"n")
    assert rejection(wanting(KEY), document).joint is Joint.USER_DATA


def test_a_document_of_the_app_is_none_of_a_statement() -> None:
    document = MODULE.document(user_data=of_app(BOUND))
    error = rejection(TRUST, signed("root-hash", ALICE), document)
    assert (error.joint, "--app-data" in error.why) == (Joint.USER_DATA, True)
    alone = replace(wanting(KEY), nitro=replace(wanting(KEY).nitro, app_data=None, nonce=b"n"))
    assert rejection(alone, OF_APP).joint is Joint.USER_DATA
    # With the statement, it is demanded as its own; the statement stands by itself.
    both = replace(TRUST, nitro=replace(TRUST.nitro, pcrs=wanting(KEY).nitro.pcrs, app_data=KEY))
    assert len(check(both, signed("root-hash", ALICE), OF_APP).proofs) == 1


def test_a_policy_says_what_the_app_binds(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f'[nitro]\napp_data = "{KEY.hex()}"\npcrs = {{ 0 = "{"1" * 96}" }}\n')
    assert read_policy(path).nitro.app_data == KEY


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--app-data", KEY.hex()), 0),
        ((), 3),
        (("--app-data", "00"), 3),
        (("--app-data", of_app(KEY).hex()), 3),
        (("--app-data", "xx"), 2),
    ],
)
def test_the_option_says_what_the_app_binds(
    tmp_path: Path, words: Sequence[str], code: int
) -> None:
    (tmp_path / "document").write_bytes(base64.b64encode(OF_APP))
    (tmp_path / "root.pem").write_bytes(MODULE.root_pem)
    argv = ["attest", "verify", str(tmp_path / "document"), "--root", str(tmp_path / "root.pem")]
    registers = [word for n in (0, 1, 2) for word in ("--pcr", f"{n}={MODULE.pcrs[n].hex()}")]
    more = ["--at", f"{NOW:%Y-%m-%dT%H:%M:%SZ}", *registers]
    assert run(make_app(tmp_path), [*argv, *more, "--nonce", "6e", *words]) == code
