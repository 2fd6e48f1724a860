"""Verifies files together: statements, and the evidence that binds to them. Pure and offline.

Every file must hold by itself; all statements must be about one ladder, built for the same;
and together they must reach what is demanded.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vcr.attest.bundle import Bundle, read_bundle
from vcr.attest.checks import evidence
from vcr.attest.checks.demand import Demand
from vcr.attest.checks.enough import check_enough
from vcr.attest.checks.evidence import Proof
from vcr.attest.checks.held import Said, read_said
from vcr.attest.checks.receipt import is_receipt, read_receipt
from vcr.attest.checks.rejected import Joint, RejectedError, of_file
from vcr.attest.dsse import STATEMENT_TYPE, Envelope
from vcr.attest.statement import DRIVE, check_subjects
from vcr.attest.terms import Terms, check_release, check_terms
from vcr.model.digest import Digest


@dataclass(frozen=True)
class Verdict:
    """Everything that was given holds, and is enough."""

    said: tuple[Said, ...]
    proofs: tuple[Proof, ...]
    ladder: Mapping[str, str]
    terms: Terms  # what the ladder was built for; empty when a document stands alone
    inputs: tuple[tuple[str, Digest], ...]  # name of each file, and what it hashes to


def verify_files(files: Sequence[tuple[str, bytes]], wanted: Demand, at: dt.datetime) -> Verdict:
    """Return what FILES, of (name, content), prove AT that time; raises RejectedError."""
    said: list[Said] = []
    others: list[tuple[str, bytes, Envelope | None]] = []
    for name, data in files:
        with of_file(name):
            bundle = _bundle(data)
            if bundle is not None and bundle.envelope.payload_type == STATEMENT_TYPE:
                said.append(read_said(name, bundle, wanted, at))
            else:
                others.append((name, data, None if bundle is None else bundle.envelope))
    ladder = _ladder(said, wanted)
    terms = _terms(said, wanted)
    proofs = tuple(_proof(other, said, ladder, wanted, at) for other in others)
    check_enough(said, proofs, ladder, wanted)
    inputs = tuple((name, Digest.of_bytes(data)) for name, data in files)
    return Verdict(tuple(said), proofs, ladder, terms, inputs)


def _bundle(data: bytes) -> Bundle | None:
    """Return the bundle or envelope in DATA, None when it is something else."""
    if not data.lstrip().startswith(b"{") or is_receipt(data):
        return None
    return read_bundle(data)


def _ladder(said: Sequence[Said], wanted: Demand) -> Mapping[str, str]:
    """Return the ladder that all SAID is about, which is the WANTED one; raises RejectedError."""
    takes_theirs = said and (wanted.is_partial or not wanted.ladder)
    ladder = said[0].statement.rungs if takes_theirs else wanted.ladder
    drives = {one.statement.subjects[DRIVE] for one in said if DRIVE in one.statement.subjects}
    for one in said:
        with of_file(one.file):
            check_subjects(one.statement, ladder)
            drive = one.statement.subjects.get(DRIVE)
            if drive is not None and len(drives) > 1:
                raise RejectedError(
                    Joint.SUBJECT, "the statements are about different drives", got=drive
                )
    for name, digest in wanted.ladder.items():
        if ladder.get(name) != digest:
            raise RejectedError(
                Joint.SUBJECT,
                f"the rung {name} is not the demanded one",
                expected=digest,
                got=ladder.get(name, "no such rung"),
            )
    return ladder


def _terms(said: Sequence[Said], wanted: Demand) -> Terms:
    """Return what the ladder was built for, by all SAID and as WANTED; raises RejectedError."""
    found = wanted.ladder_terms
    whose = "the ladder"
    for one in said:
        if one.terms is None:
            continue
        with of_file(one.file):
            check_terms(one.terms, found, whose)
            check_terms(one.terms, wanted.build, "the one that is demanded")
        if not found:
            found, whose = one.terms, f"the build of {one.file}"
    if not found:
        if said or wanted.build:
            raise RejectedError(
                Joint.BUILD,
                "nothing says which build it is about",
                fix="give a statement that does, such as a provenance, or --ladder",
            )
        return found
    check_terms(found, wanted.build, "the one that is demanded")
    if "profile" not in wanted.build:
        check_release(found)
    return found


def _proof(
    other: tuple[str, bytes, Envelope | None],
    said: Sequence[Said],
    ladder: Mapping[str, str],
    wanted: Demand,
    at: dt.datetime,
) -> Proof:
    name, data, envelope = other
    bound = {one.digest for one in said}
    with of_file(name):
        if envelope is not None:
            return evidence.of_software(name, envelope, bound, wanted, at)
        if is_receipt(data):
            return read_receipt(name, data, bound)
        return evidence.of_nitro(name, data, bound, ladder, wanted, at)
