"""`attest verify --vsa`: a signed summary of what was verified."""

import datetime as dt
from dataclasses import dataclass, fields
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vcr.app.proving.attest_verify import Demands
from vcr.app.proving.inputs import read_input
from vcr.atomic import write_bytes
from vcr.attest.checks.checker import Verdict
from vcr.attest.dsse import sign
from vcr.attest.keys import read_private
from vcr.attest.summary import PolicyFile, summarize
from vcr.errors import UsageError
from vcr.export.reference import Reference

# A ladder narrows what a policy demands; everything else could take the place of what it says.
_NARROWING = {"policy", "ladder"}


@dataclass(frozen=True)
class SummaryWriter:
    """What a summary needs besides what was verified, read before anything is."""

    policy: PolicyFile
    key: Ed25519PrivateKey
    output: Path

    @classmethod
    def of(cls, demands: Demands, key: Path, output: Path) -> "SummaryWriter":
        """Read the policy of DEMANDS and the private KEY; raises UsageError.

        A summary names the policy that was met, so that nothing else may say what is enough.
        """
        if demands.policy is None:
            raise UsageError(
                "a summary names the policy that was met, and there is none", fix="--policy FILE"
            )
        default = Demands()
        others = [
            field.name
            for field in fields(Demands)
            if field.name not in _NARROWING
            and getattr(demands, field.name) != getattr(default, field.name)
        ]
        if others:
            raise UsageError(
                "with --vsa, the policy alone says what is enough",
                why=f"given besides: {', '.join(others)}",
                fix="write it into the policy",
            )
        policy = PolicyFile(demands.policy.name, read_input(demands.policy))
        return cls(policy, read_private(key), output)

    def write(self, verdict: Verdict, reference: str = "") -> None:
        """Sign a summary of VERDICT, about the image at REFERENCE, and write it.

        Raises UsageError, HostError.
        """
        repository = Reference.parse(reference).repository if reference else ""
        statement = summarize(verdict, self.policy, dt.datetime.now(dt.UTC), repository)
        write_bytes(self.output, sign(statement.to_bytes(), [self.key]).to_bytes())
