"""What a verifier demands of the files it is given: from a policy file, and from options."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vcr.attest.dsse import Trusted
from vcr.attest.nitro.chain import AWS_ROOT
from vcr.attest.terms import Terms


@dataclass(frozen=True)
class NitroDemand:
    """Of documents of an enclave."""

    pcrs: Mapping[int, bytes] = field(default_factory=dict)  # b"": extended with the sealed root
    nonce: bytes | None = None
    user_data: bytes | None = None  # None: of one of the statements
    app_data: bytes | None = None  # what the app bound; only then a document of the app holds
    module_id: str | None = None
    max_age: float | None = None  # seconds; of all evidence
    required: bool = False
    root: str = AWS_ROOT  # SHA-256 of the root's certificate, in hex


@dataclass(frozen=True)
class Demand:
    """Of everything."""

    trusted: Trusted = field(default_factory=dict)
    threshold: int = 1  # keys, each counted once, that vouch for one ladder
    predicates: Mapping[str, int] = field(default_factory=dict)  # type → keys
    ladder: Mapping[str, str] = field(default_factory=dict)  # digests by rung
    is_partial: bool = False  # the ladder may have more rungs than these
    ladder_terms: Terms = field(default_factory=dict)  # what the ladder was built for
    build: Terms = field(default_factory=dict)  # terms that must be these
    rebuilt: str | None = None  # what witnesses must have rebuilt: project, toolchain
    unchanged: bool = False  # the source must be a commit, without changes
    logs: Trusted = field(default_factory=dict)  # keys of transparency logs, by id
    needs_log: bool = True  # an entry in one of the logs; where there is none, nothing is needed
    max_age: float | None = None  # of statements, seconds; of evidence, too, unless nitro has one
    nitro: NitroDemand = field(default_factory=NitroDemand)

    @property
    def evidence_age(self) -> float | None:
        """Return how old evidence may be, in seconds."""
        return self.max_age if self.nitro.max_age is None else self.nitro.max_age
