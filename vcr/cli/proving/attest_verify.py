"""`vcr attest verify`: do statements and evidence hold, and are they enough."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.app.proving.inputs import (
    read_age,
    read_hex,
    read_input,
    read_moment,
    read_registers,
    read_root,
)
from vcr.cli.context import App, Command, ProfileName
from vcr.errors import MismatchError, UsageError

if TYPE_CHECKING:  # pydantic and cryptography cost 300 ms at import
    from vcr.attest.checks.checker import Verdict
    from vcr.attest.checks.demand import Demand, NitroDemand

a_file = click.Path(path_type=Path, dir_okay=False)


@click.command("verify", cls=Command, short_help="Verify statements and evidence.")
@click.argument("files", nargs=-1, required=True, type=a_file, metavar="FILE...")
@click.option("--policy", type=a_file, metavar="FILE", help="What is demanded, as TOML.")
@click.option(
    "--key",
    "keys",
    type=a_file,
    multiple=True,
    metavar="FILE",
    help="Trust this public key; may be repeated.",
)
@click.option(
    "--threshold",
    type=click.IntRange(1, 64),
    metavar="N",
    help="How many different keys must vouch for the ladder (default: 1).",
)
@click.option("--ladder", type=a_file, metavar="FILE", help="The ladder that it must be about.")
@click.option("--profile", type=ProfileName(),
              help="The profile that it must be of (default: one of a release).")  # fmt: skip
@click.option("--at", metavar="TIME", help="Verify as of then, as 2026-11-26T00:00:00Z.")
@click.option("--max-age", metavar="TIME", help="How old evidence may be, such as 5m.")
@click.option("--nonce", metavar="HEX", help="The challenge that evidence must answer.")
@click.option("--app-data", metavar="HEX", help="What the app in the enclave must have bound.")
@click.option(
    "--pcr",
    "registers",
    multiple=True,
    metavar="N=HEX",
    help="A register of the enclave; may be repeated. `sealed` stands for the root hash.",
)
@click.option("--pcrs", type=a_file, metavar="FILE", help="Registers, as nitro-cli prints them.")
@click.option("--root", type=a_file, metavar="PEM", help="For tests: not AWS's root, but this.")
@click.option("--rebuild", is_flag=True, help="Also build the project (of -C) anew and compare.")
@click.pass_obj
def verify(  # noqa: PLR0913 -- one for each option
    app: App,
    *,
    files: tuple[Path, ...],
    policy: Path | None,
    keys: tuple[Path, ...],
    threshold: int | None,
    ladder: Path | None,
    profile: str | None,
    at: str | None,
    max_age: str | None,
    nonce: str | None,
    app_data: str | None,
    registers: tuple[str, ...],
    pcrs: Path | None,
    root: Path | None,
    rebuild: bool,
) -> None:
    """Verify statements and evidence, offline; a rejection (exit 3) names the joint.

    A FILE is an envelope, a Nitro document, or what a service answered.
    """
    from vcr.attest.checks.checker import verify_files

    given = bool(registers or pcrs)
    wanted = _about(_demand(policy, keys, threshold, may_be_none=given), ladder, profile)
    nitro = replace(
        _bound(wanted.nitro, nonce, app_data),
        pcrs={**wanted.nitro.pcrs, **read_registers(registers, pcrs)},
        max_age=wanted.nitro.max_age if max_age is None else read_age(max_age),
        root=wanted.nitro.root if root is None else _test_root(app, root),
        required=wanted.nitro.required or given or bool(max_age) or app_data is not None,
    )
    moment = dt.datetime.now(dt.UTC) if at is None else read_moment(at)
    contents = [(str(path), read_input(path)) for path in files]
    verdict = verify_files(contents, replace(wanted, nitro=nitro), moment)
    if rebuild:
        _rebuild(app, verdict)
    _report(app, verdict)


def _bound(wanted: "NitroDemand", nonce: str | None, app_data: str | None) -> "NitroDemand":
    """Return what is WANTED with what the options say; raises UsageError."""
    if nonce is not None:
        wanted = replace(wanted, nonce=read_hex(nonce, "--nonce"))
    if app_data is not None:
        wanted = replace(wanted, app_data=read_hex(app_data, "--app-data"))
    return wanted


def _demand(
    policy: Path | None, keys: tuple[Path, ...], threshold: int | None, *, may_be_none: bool
) -> "Demand":
    from vcr.attest.checks.demand import Demand
    from vcr.attest.keys import read_trusted

    if policy is None and not keys and not may_be_none:
        raise UsageError(
            "nobody is trusted yet",
            why="statements are believed because of who signed them",
            fix="name public keys: --key FILE, or a policy: --policy FILE",
        )
    wanted = Demand() if policy is None else _policy(policy)
    wanted = replace(wanted, trusted={**wanted.trusted, **read_trusted(keys)})
    return wanted if threshold is None else replace(wanted, threshold=threshold)


def _about(wanted: "Demand", ladder: Path | None, profile: str | None) -> "Demand":
    """Return WANTED about LADDER, which a policy's has to be part of, and of PROFILE.

    Raises UsageError, MismatchError.
    """
    from vcr.attest.terms import terms_of
    from vcr.verify.ladders import MADE_BY, read_claim

    if profile is not None:
        wanted = replace(wanted, build={**wanted.build, "profile": profile})
    if ladder is None:
        return wanted
    claim = read_claim(ladder)
    rungs = {rung.name: str(rung.digest) for rung in claim.ladder}
    if not rungs:
        raise MismatchError(
            f"the ladder {ladder} is empty",
            why="it demands nothing: everything would be about it",
            fix=f"get it again, or make one: {MADE_BY}",
        )
    for name, digest in wanted.ladder.items():
        if rungs.get(name) != digest:
            raise MismatchError(
                f"the rung {name} of {ladder} is not the one that the policy demands",
                details=(("expected", digest), ("got", rungs.get(name, "no such rung"))),
            )
    return replace(wanted, ladder=rungs, is_partial=False, ladder_terms=terms_of(claim))


def _policy(path: Path) -> "Demand":
    from vcr.attest.checks.policy import read_policy  # pydantic costs 200 ms

    return read_policy(path)


def _test_root(app: App, path: Path) -> str:
    """Return the digest of the root certificate at PATH, and warn; raises UsageError."""
    import hashlib

    from cryptography.hazmat.primitives.serialization import Encoding

    certificate = read_root(path)
    app.ui.warn(
        f"--root {path}: documents of THIS root are accepted, not those of AWS; "
        "they prove nothing about an enclave"
    )
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _rebuild(app: App, verdict: "Verdict") -> None:
    """Build what the statements are about anew; raises MismatchError when it differs."""
    from vcr.attest.make import ladder_of
    from vcr.attest.predicates import build_of
    from vcr.cli.proving.verify import compare_rebuilt
    from vcr.verify.ladders import claim_of

    for said in verdict.said:
        words = build_of(said.statement)
        if words is not None:
            compare_rebuilt(app, claim_of(words, ladder_of(said.statement)))
            return
    raise UsageError(
        "no statement says what to build",
        fix="give one of another predicate, such as provenance, too",
    )


def _report(app: App, verdict: "Verdict") -> None:
    verified = [proof for proof in verdict.proofs if proof.is_verified]
    kept = [proof for proof in verdict.proofs if not proof.is_verified]
    if app.ui.is_json:
        said = [
            {"file": one.file, "predicate": one.kind, "signers": sorted(one.signers)}
            for one in verdict.said
        ]
        content = {
            "holds": True,
            "build": dict(verdict.terms) or None,
            "statements": said,
            "evidence": [{"file": p.file, "type": p.kind, "about": p.words} for p in verified],
            "kept": [{"file": p.file, "type": p.kind, "about": p.words} for p in kept],
            "ladder": dict(verdict.ladder),
        }
        app.ui.json("attest-verify", content)
        return
    rows = [
        (one.file, one.kind, "signed by " + ", ".join(sorted(s[:12] for s in one.signers)))
        for one in verdict.said
    ]
    app.ui.table(rows + [(proof.file, proof.kind, proof.words) for proof in [*verified, *kept]])
    if verdict.terms:
        app.ui.data("about " + ", ".join(f"{key} {word}" for key, word in verdict.terms.items()))
