"""One statement that holds, and what is demanded of each by itself."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vcr.attest.bundle import Bundle
from vcr.attest.checks.age import check_age
from vcr.attest.checks.demand import Demand
from vcr.attest.checks.logged import Entries, check_entries
from vcr.attest.checks.rejected import Joint, RejectedError, demand
from vcr.attest.dsse import signers
from vcr.attest.predicates import build_of, check_predicate, time_of
from vcr.attest.statement import Statement, read_statement
from vcr.attest.terms import Terms
from vcr.model.stage import Rebuilt

SOURCE = "source"  # how provenance and witnesses call what was built
REBUILT = (Rebuilt.PROJECT, Rebuilt.TOOLCHAIN)  # each has what is before it


@dataclass(frozen=True)
class Said:
    """A statement that holds, and the keys that signed it."""

    file: str
    kind: str
    statement: Statement
    signers: frozenset[str]
    payload: bytes
    terms: Terms | None  # what its ladder was built for, if it says so
    entries: Entries  # of transparency logs

    @property
    def digest(self) -> bytes:
        """Return what evidence binds to."""
        return hashlib.sha256(self.payload).digest()


def read_said(name: str, bundle: Bundle, wanted: Demand, at: dt.datetime) -> Said:
    """Return what BUNDLE, of the file NAME, says; raises RejectedError when it does not hold."""
    envelope = bundle.envelope
    by = signers(envelope, wanted.trusted)
    entries = check_entries(bundle, by, wanted, at)
    statement = read_statement(envelope)
    kind = check_predicate(statement)
    check_age(time_of(statement), wanted.max_age, at)
    if wanted.rebuilt is not None and kind == "rebuild":
        _check_rebuilt(statement.predicate, wanted.rebuilt)
    if wanted.unchanged and kind in {"provenance", "rebuild"}:
        _check_unchanged(kind, statement.predicate)
    return Said(name, kind, statement, by, envelope.payload, build_of(statement), entries)


def _check_rebuilt(predicate: Mapping[str, Any], wanted: str) -> None:
    found = predicate.get("rebuilt")
    enough = REBUILT[REBUILT.index(Rebuilt(wanted)) :]
    if found not in enough:
        raise RejectedError(
            Joint.PREDICATE,
            "it does not say that enough was built again",
            expected=wanted,
            got=str(found or "nothing"),
            fix="`vcr verify --rebuild-toolchain --sign` makes one that does",
        )


def _check_unchanged(kind: str, predicate: Mapping[str, Any]) -> None:
    """Raise RejectedError unless PREDICATE names a commit, and nothing that differs from it."""
    try:
        content = predicate["buildDefinition"] if kind == "provenance" else predicate
        rows = [row for row in content["resolvedDependencies"] if row.get("name") == SOURCE]
        commits = [dict(row.get("digest", {})).get("gitCommit") for row in rows]
        changes = [value for row in rows for key, value in dict(row.get("annotations", {})).items()
                   if key.startswith("changed")]  # fmt: skip
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise RejectedError(Joint.PREDICATE, f"its sources cannot be read: {error}") from None
    demand(
        commits and all(isinstance(commit, str) and commit for commit in commits),
        Joint.PREDICATE,
        "it does not name a commit as its source",
    )
    demand(
        not any(changes),
        Joint.PREDICATE,
        "it was built from files that differ from the commit that it names",
    )
