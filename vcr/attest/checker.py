"""Verifies files together: statements, and the evidence that binds to them. Pure and offline.

Every file must hold by itself; all statements must be about one ladder; and together they
must reach what is demanded.
"""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from vcr.attest import evidence
from vcr.attest.demand import Demand
from vcr.attest.dsse import STATEMENT_TYPE, Envelope, read_envelope, signers
from vcr.attest.evidence import Proof
from vcr.attest.nitro import EVIDENCE_TYPE, check_age
from vcr.attest.predicates import NAMES, check_predicate, time_of
from vcr.attest.receipt import is_receipt, read_receipt
from vcr.attest.rejected import Joint, RejectedError, demand
from vcr.attest.statement import Statement, check_subjects, read_statement


@dataclass(frozen=True)
class Said:
    """A statement that holds, and the keys that signed it."""

    file: str
    kind: str
    statement: Statement
    signers: frozenset[str]
    payload: bytes

    @property
    def digest(self) -> bytes:
        """Return what evidence binds to."""
        return hashlib.sha256(self.payload).digest()


@dataclass(frozen=True)
class Verdict:
    """Everything that was given holds, and is enough."""

    said: tuple[Said, ...]
    proofs: tuple[Proof, ...]
    ladder: Mapping[str, str]


def verify_files(files: Sequence[tuple[str, bytes]], wanted: Demand, at: dt.datetime) -> Verdict:
    """Return what FILES, of (name, content), prove AT that time; raises RejectedError."""
    said: list[Said] = []
    others: list[tuple[str, bytes, Envelope | None]] = []
    for name, data in files:
        with _of(name):
            envelope = _envelope(data)
            if envelope is not None and envelope.payload_type == STATEMENT_TYPE:
                said.append(_statement(name, envelope, wanted, at))
            else:
                others.append((name, data, envelope))
    ladder = dict(wanted.ladder) or (dict(said[0].statement.rungs) if said else {})
    for one in said:
        with _of(one.file):
            check_subjects(one.statement, ladder)
    proofs = tuple(_proof(other, said, ladder, wanted, at) for other in others)
    _check_enough(said, proofs, wanted)
    return Verdict(tuple(said), proofs, ladder)


def _envelope(data: bytes) -> Envelope | None:
    """Return the envelope in DATA, None when it is something else."""
    if not data.lstrip().startswith(b"{") or is_receipt(data):
        return None
    return read_envelope(data)


def _statement(name: str, envelope: Envelope, wanted: Demand, at: dt.datetime) -> Said:
    by = signers(envelope, wanted.trusted)
    statement = read_statement(envelope)
    kind = check_predicate(statement)
    made = time_of(statement)
    if wanted.max_age is not None and kind != "sbom":  # whose time is that of the lock
        if made is None:
            raise RejectedError(Joint.AGE, "it does not say when it was made")
        check_age(made, wanted.max_age, at)
    return Said(name, kind, statement, by, envelope.payload)


def _proof(
    other: tuple[str, bytes, Envelope | None],
    said: Sequence[Said],
    ladder: Mapping[str, str],
    wanted: Demand,
    at: dt.datetime,
) -> Proof:
    name, data, envelope = other
    bound = {one.digest for one in said}
    with _of(name):
        if envelope is not None:
            return evidence.of_software(name, envelope, bound, wanted)
        if is_receipt(data):
            return read_receipt(name, data, bound)
        return evidence.of_nitro(name, data, bound, ladder, wanted.nitro, at)


def _check_enough(said: Sequence[Said], proofs: Sequence[Proof], wanted: Demand) -> None:
    """Raise RejectedError unless enough keys said enough; a key counts once, however called.

    What is demanded of a kind of file is not met by giving none of that kind.
    """
    by_type: dict[str, set[str]] = defaultdict(set)
    for one in said:
        by_type[one.statement.predicate_type] |= one.signers
    everybody = set().union(*by_type.values())
    if wanted.trusted or wanted.threshold > 1 or not proofs:
        _reach(len(everybody), wanted.threshold, "the ladder")
    for kind, count in sorted(wanted.predicates.items()):
        _reach(len(by_type.get(kind, ())), count, f"a {NAMES[kind]} of it")
    nitro, kinds = wanted.nitro, {proof.kind for proof in proofs}
    is_bound = b"" in nitro.pcrs.values()  # by the register of the sealed root
    demand(said or is_bound or not wanted.ladder, Joint.SUBJECT, "nothing is about the ladder")
    demand(
        EVIDENCE_TYPE in kinds or not nitro.required,
        Joint.DOCUMENT,
        "a document of a Nitro enclave is required, and none was given",
    )
    demand(
        kinds & {EVIDENCE_TYPE, evidence.SOFTWARE} or nitro.nonce is None,
        Joint.NONCE,
        "evidence that answers it is required, and none was given",
    )


def _reach(got: int, count: int, what: str) -> None:
    if got < count:
        raise RejectedError(
            Joint.THRESHOLD,
            f"{count} different trusted keys must vouch for {what}; {got} did",
            expected=str(count),
            got=str(got),
            fix="get a statement of somebody else; the same key twice counts once",
        )


@contextmanager
def _of(file: str) -> Iterator[None]:
    """Name the FILE that a rejection inside the block is about."""
    try:
        yield
    except RejectedError as error:
        raise error.of_file(file) from None
