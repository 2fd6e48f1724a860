"""What a verifier demands of the files it is given: from a policy file, and from options."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vcr.attest.chain import AWS_ROOT
from vcr.attest.dsse import Trusted


@dataclass(frozen=True)
class NitroDemand:
    """Of documents of an enclave."""

    pcrs: Mapping[int, bytes] = field(default_factory=dict)  # b"": extended with the sealed root
    nonce: bytes | None = None
    user_data: bytes | None = None  # None: of one of the statements, if there are any
    module_id: str | None = None
    max_age: float | None = None  # seconds
    required: bool = False
    root: str = AWS_ROOT  # SHA-256 of the root's certificate, in hex


@dataclass(frozen=True)
class Demand:
    """Of everything."""

    trusted: Trusted = field(default_factory=dict)
    threshold: int = 1  # keys, each counted once, that vouch for one ladder
    predicates: Mapping[str, int] = field(default_factory=dict)  # type → keys
    ladder: Mapping[str, str] = field(default_factory=dict)
    max_age: float | None = None  # of statements, seconds
    nitro: NitroDemand = field(default_factory=NitroDemand)
