"""`attest verify`: do statements and evidence hold, and are they enough."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from vcr.app.context import Context
from vcr.app.proving.inputs import read_input, read_root
from vcr.app.proving.published import IMAGE, find_statements
from vcr.app.proving.verify import Comparison
from vcr.app.proving.verify import verify as verify_rebuilt
from vcr.attest.checks.checker import Verdict, verify_files
from vcr.attest.checks.demand import Demand, NitroDemand
from vcr.attest.checks.policy import read_policy
from vcr.attest.keys import read_trusted
from vcr.attest.make import ladder_of
from vcr.attest.predicates import build_of
from vcr.attest.terms import terms_of
from vcr.errors import MismatchError, UsageError
from vcr.verify.ladders import MADE_BY, claim_of, read_claim


@dataclass(frozen=True)
class Demands:
    """What statements and evidence have to meet; None means as in the policy."""

    policy: Path | None = None  # a file in TOML
    keys: tuple[Path, ...] = ()  # public ones that are trusted, besides those of the policy
    logs: tuple[Path, ...] = ()  # public keys of transparency logs; each statement must be in one
    threshold: int | None = None  # how many different keys must vouch for the ladder
    ladder: Path | None = None  # what `vcr build --json` made; all must be about it
    profile: str | None = None  # None: one of a release
    nonce: bytes | None = None  # the challenge that evidence must answer
    app_data: bytes | None = None  # what the app in the enclave must have bound
    registers: Mapping[int, bytes] = field(default_factory=dict)  # PCRs of the enclave
    max_age: float | None = None  # seconds; of evidence
    root: Path | None = None  # for tests: a certificate in PEM in place of that of AWS
    at: dt.datetime | None = None  # verify as of then; None: now


def verify_statements(
    context: Context, files: Sequence[Path], demands: Demands, *, reference: str = ""
) -> Verdict:
    """Verify FILES, statements and evidence, offline, and return what they prove together.

    REFERENCE is an image in a registry, HOST[:PORT]/NAME[:TAG][@DIGEST]: all must be about it, and
    what trusted keys have said of it there counts, too. Raises UsageError where nothing is trusted
    or a file cannot be read, RejectedError, which names the check that failed, and FetchError.
    """
    wanted = _about(_demand(demands), demands.ladder, demands.profile)
    wanted = replace(wanted, nitro=_nitro(context, wanted.nitro, demands))
    moment = dt.datetime.now(dt.UTC) if demands.at is None else demands.at
    contents = [(str(path), read_input(path)) for path in files]
    if reference:
        found = find_statements(context, reference, wanted, moment)
        wanted = _of_image(wanted, found.image, reference)
        contents += found.statements
    return verify_files(contents, wanted, moment)


def check_demands(demands: Demands) -> None:
    """Raise UsageError where DEMANDS cannot be met by anything, before much is fetched."""
    _demand(demands)


def _of_image(wanted: Demand, image: str, reference: str) -> Demand:
    """Return WANTED about IMAGE, the one at REFERENCE; raises MismatchError."""
    told = wanted.ladder.get(IMAGE, image)
    if told != image:
        raise MismatchError(
            f"{reference} is another image than the one that is demanded",
            details=(("expected", told), ("got", image)),
        )
    is_partial = wanted.is_partial or not wanted.ladder
    return replace(wanted, ladder={**wanted.ladder, IMAGE: image}, is_partial=is_partial)


def rebuild_stated(context: Context, verdict: Verdict) -> Comparison:
    """Build again the subject of the statements of VERDICT, and compare; raises VcrError."""
    for said in verdict.said:
        terms = build_of(said.statement)
        if terms is not None:
            return verify_rebuilt(context, claim_of(terms, ladder_of(said.statement)))
    raise UsageError(
        "no statement says what to build",
        fix="give one of another predicate, such as provenance, too",
    )


def _nitro(context: Context, wanted: NitroDemand, demands: Demands) -> NitroDemand:
    """Return what is WANTED of documents with what DEMANDS say; raises UsageError."""
    given = demands.registers or demands.max_age is not None or demands.app_data is not None
    return replace(
        wanted,
        nonce=wanted.nonce if demands.nonce is None else demands.nonce,
        app_data=wanted.app_data if demands.app_data is None else demands.app_data,
        pcrs={**wanted.pcrs, **demands.registers},
        max_age=wanted.max_age if demands.max_age is None else demands.max_age,
        root=wanted.root if demands.root is None else _test_root(context, demands.root),
        required=wanted.required or bool(given),
    )


def _demand(demands: Demands) -> Demand:
    if demands.policy is None and not demands.keys and not demands.registers:
        raise UsageError(
            "no key is trusted yet",
            why="vcr believes statements because of their signers",
            fix="name public keys: --key FILE, or a policy: --policy FILE",
        )
    wanted = Demand() if demands.policy is None else read_policy(demands.policy)
    wanted = replace(
        wanted,
        trusted={**wanted.trusted, **read_trusted(demands.keys)},
        logs={**wanted.logs, **read_trusted(demands.logs)},
    )
    return wanted if demands.threshold is None else replace(wanted, threshold=demands.threshold)


def _about(wanted: Demand, ladder: Path | None, profile: str | None) -> Demand:
    """Return WANTED about LADDER, which a policy's has to be part of, and of PROFILE.

    Raises UsageError, MismatchError.
    """
    if profile is not None:
        wanted = replace(wanted, build={**wanted.build, "profile": profile})
    if ladder is None:
        return wanted
    claim = read_claim(ladder)
    rungs = {rung.name: str(rung.digest) for rung in claim.ladder}
    if not rungs:
        raise MismatchError(
            f"the ladder {ladder} is empty",
            why="it demands nothing: every statement would match it",
            fix=f"get it again, or make one: {MADE_BY}",
        )
    for name, digest in wanted.ladder.items():
        if rungs.get(name) != digest:
            raise MismatchError(
                f"the rung {name} of {ladder} is not the one that the policy demands",
                details=(("expected", digest), ("got", rungs.get(name, "no such rung"))),
            )
    return replace(wanted, ladder=rungs, is_partial=False, ladder_terms=terms_of(claim))


def _test_root(context: Context, path: Path) -> str:
    """Return the digest of the root certificate at PATH, and warn; raises UsageError."""
    certificate = read_root(path)
    context.ui.warn(
        f"--root {path}: documents of THIS root are accepted, not those of AWS; "
        "they prove nothing about an enclave"
    )
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
