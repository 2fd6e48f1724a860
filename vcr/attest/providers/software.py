"""The provider `software`: an Ed25519 key answers for a machine, and proves who holds it."""

import datetime as dt
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vcr.attest.checks.age import check_age
from vcr.attest.checks.evidence import SOFTWARE, SOFTWARE_PAYLOAD, check_software, software_payload
from vcr.attest.checks.rejected import Joint, demand
from vcr.attest.dsse import Trusted, read_envelope, sign, signers
from vcr.attest.providers import Claims, Evidence, Launch, Opened, Parts


@dataclass(frozen=True)
class SoftwareSession(Opened):
    """Answers with a key; there is no machine to start."""

    key: Ed25519PrivateKey
    made: dt.datetime | None

    def attest(self, report_data: bytes, nonce: bytes | None = None) -> Evidence:
        """Return REPORT_DATA and NONCE, signed, and when that was."""
        payload = software_payload(report_data, nonce, self.made)
        signed = sign(payload, [self.key], SOFTWARE_PAYLOAD)
        return Evidence(SOFTWARE, signed.to_bytes())


@dataclass(frozen=True)
class Software:
    """Signs with KEY, and says that it was MADE then; verifies with TRUSTED ones."""

    key: Ed25519PrivateKey | None
    trusted: Trusted
    made: dt.datetime | None = None
    name: str = "software"

    def measure(self, parts: Parts) -> Launch:
        """Report the root of the drive: nothing else is measured by anything."""
        return Launch(parts, {"root": parts.root_hash})

    def run(self, launch: Launch) -> SoftwareSession:  # noqa: ARG002
        """Start nothing; needs the private key."""
        if self.key is None:
            raise ValueError("a session needs the private key")
        return SoftwareSession(self.key, self.made)

    def verify(
        self,
        evidence: Evidence,
        launch: Launch,
        *,
        report_data: bytes,
        nonce: bytes | None,
        at: dt.datetime,
    ) -> Claims:
        """Check the signature, what it binds to and the nonce; raises RejectedError."""
        envelope = read_envelope(evidence.blob)
        demand(envelope.payload_type == SOFTWARE_PAYLOAD, Joint.DOCUMENT, "it is not evidence")
        signers(envelope, self.trusted)
        made = check_software(envelope.payload, nonce, {report_data})
        check_age(made, None, at)
        return Claims(made, launch.reference)
