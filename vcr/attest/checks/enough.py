"""Whether what holds is enough: so many keys, such statements, evidence that is demanded.

What is demanded of a kind of file is not met by giving none of that kind.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from vcr.attest.checks.demand import Demand
from vcr.attest.checks.evidence import SOFTWARE, Proof, has_registers
from vcr.attest.checks.held import Said
from vcr.attest.checks.rejected import Joint, RejectedError, demand
from vcr.attest.nitro.document import EVIDENCE_TYPE
from vcr.attest.predicates import NAMES, TYPES
from vcr.words import counted


def check_enough(
    said: Sequence[Said], proofs: Sequence[Proof], ladder: Mapping[str, str], wanted: Demand
) -> None:
    """Raise RejectedError unless enough keys said enough; a key counts once, however called."""
    kinds = {proof.kind for proof in proofs if proof.is_verified}
    _check_keys(said, wanted, has_proofs=bool(kinds))
    nitro = wanted.nitro
    # A document is about the ladder whose sealed root, or image, its registers have to be.
    is_bound = b"" in nitro.pcrs.values() or has_registers(ladder)
    demand(
        said or is_bound or not wanted.ladder,
        Joint.SUBJECT,
        "nothing is about the ladder",
    )
    demand(
        EVIDENCE_TYPE in kinds or not nitro.required,
        Joint.DOCUMENT,
        "a document of a Nitro enclave is required, and none was given",
    )
    demand(
        kinds & {EVIDENCE_TYPE, SOFTWARE} or nitro.nonce is None,
        Joint.NONCE,
        "evidence that answers it is required, and none was given",
    )


def _check_keys(said: Sequence[Said], wanted: Demand, *, has_proofs: bool) -> None:
    by_type: dict[str, set[str]] = defaultdict(set)
    for one in said:
        by_type[one.statement.predicate_type] |= one.signers
    everybody = set().union(*by_type.values())
    if wanted.trusted or wanted.threshold > 1 or not has_proofs:
        _reach(len(everybody), wanted.threshold, "the ladder")
    for kind, count in sorted(_counts(wanted).items()):
        _reach(len(by_type.get(kind, ())), count, f"a {NAMES[kind]} of it")


def _counts(wanted: Demand) -> dict[str, int]:
    """Return how many keys must vouch by which kind of statement."""
    counts = dict(wanted.predicates)
    if wanted.rebuilt is not None:
        counts.setdefault(TYPES["rebuild"], 1)
    if wanted.unchanged:
        counts.setdefault(TYPES["provenance"], 1)
    return counts


def _reach(got: int, count: int, what: str) -> None:
    if got < count:
        raise RejectedError(
            Joint.THRESHOLD,
            f"{counted(count, 'different trusted key')} must vouch for {what}; {got} did",
            expected=str(count),
            got=str(got),
            fix="get a statement of somebody else; the same key counts only once",
        )
