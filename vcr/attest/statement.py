"""in-toto statements: subjects, which are rungs of the ladder, and a predicate about them.

https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/statement.md
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vcr.attest import strict_json
from vcr.attest.checks.rejected import Joint, RejectedError, demand
from vcr.attest.dsse import STATEMENT_TYPE, Envelope
from vcr.model.digest import Digest
from vcr.model.ladder import Rung

STATEMENT = "https://in-toto.io/Statement/v1"
MAX_NAME = 256  # characters
# The sealed drive's file, which stock tools can hash; the rung `sealed` is its root hash.
DRIVE = "drive"


@dataclass(frozen=True)
class Statement:
    """What is said, and of what."""

    subjects: Mapping[str, Digest]  # by name
    predicate_type: str  # a URI
    predicate: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """Return the statement as it is signed: canonical JSON."""
        content = {
            "_type": STATEMENT,
            "subject": [
                {"name": name, "digest": {digest.algorithm: digest.hex}}
                for name, digest in self.subjects.items()
            ],
            "predicateType": self.predicate_type,
            "predicate": dict(self.predicate),
        }
        return strict_json.dump(content)

    @property
    def rungs(self) -> dict[str, Digest]:
        """Return the subjects that are rungs of the ladder."""
        return {name: digest for name, digest in self.subjects.items() if name != DRIVE}


def subjects_of(ladder: Iterable[Rung]) -> dict[str, Digest]:
    """Return the rungs of LADDER as subjects, in its order."""
    return {rung.name: rung.digest for rung in ladder}


def read_statement(envelope: Envelope) -> Statement:
    """Read what ENVELOPE carries; raises RejectedError. Says nothing of its signatures."""
    demand(
        envelope.payload_type == STATEMENT_TYPE,
        Joint.STATEMENT,
        f"payloadType is {envelope.payload_type!r}, not {STATEMENT_TYPE!r}",
    )
    try:
        content = strict_json.load(envelope.payload)
        names = [_name(row["name"]) for row in content["subject"]]
        digests = [_digest(row["digest"]) for row in content["subject"]]
        kind, predicate = content["predicateType"], content["predicate"]
        version = content["_type"]
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise RejectedError(Joint.STATEMENT, f"it is not an in-toto statement: {error}") from None
    demand(version == STATEMENT, Joint.STATEMENT, f"its _type is {version!r}, not {STATEMENT!r}")
    demand(names, Joint.SUBJECT, "it has no subject")
    demand(len(set(names)) == len(names), Joint.SUBJECT, "two subjects have one name")
    demand(isinstance(kind, str) and kind, Joint.PREDICATE, "it has no predicateType")
    demand(isinstance(predicate, dict), Joint.PREDICATE, "its predicate is not an object")
    return Statement(dict(zip(names, digests, strict=True)), kind, predicate)


def _name(told: object) -> str:
    if not isinstance(told, str) or not 0 < len(told) <= MAX_NAME:
        raise TypeError("a subject has no name")
    return told


def _digest(told: Mapping[str, str]) -> Digest:
    """Read a DigestSet of one digest; raises ValueError and what a wrong shape raises.

    https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/digest_set.md
    """
    ((algorithm, digits),) = told.items()
    return Digest(f"{algorithm}:{digits}")


def check_subjects(statement: Statement, ladder: Mapping[str, str]) -> None:
    """Raise RejectedError unless the subjects of STATEMENT are the rungs of LADDER, all of them."""
    found = statement.rungs
    for name in [*ladder, *(name for name in found if name not in ladder)]:
        expected, got = ladder.get(name, ""), found.get(name, "")
        if expected != got:
            raise RejectedError(
                Joint.SUBJECT,
                f"the subject {name} is not that of the ladder",
                expected=expected or "no such rung",
                got=got or "no such subject",
            )
