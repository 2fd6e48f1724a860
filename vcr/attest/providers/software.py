"""The provider `software`: an Ed25519 key answers for a machine, and proves who holds it."""

import datetime as dt
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vcr.attest import strict_json
from vcr.attest.dsse import Trusted, read_envelope, sign, signers
from vcr.attest.evidence import SOFTWARE, SOFTWARE_PAYLOAD, check_software
from vcr.attest.providers import Claims, Evidence, Launch, Opened, Parts
from vcr.attest.rejected import Joint, demand


@dataclass(frozen=True)
class SoftwareSession(Opened):
    """Answers with a key; there is no machine to start."""

    key: Ed25519PrivateKey

    def attest(self, report_data: bytes, nonce: bytes | None = None) -> Evidence:
        """Return REPORT_DATA and NONCE, signed."""
        content = {"reportData": report_data.hex(), "nonce": (nonce or b"").hex()}
        signed = sign(strict_json.dump(content), [self.key], SOFTWARE_PAYLOAD)
        return Evidence(SOFTWARE, signed.to_bytes())


@dataclass(frozen=True)
class Software:
    """Signs with KEY; verifies with TRUSTED ones."""

    key: Ed25519PrivateKey | None
    trusted: Trusted
    name: str = "software"

    def measure(self, parts: Parts) -> Launch:
        """Report the root of the drive: nothing else is measured by anything."""
        return Launch(parts, {"root": parts.root_hash})

    def run(self, launch: Launch) -> SoftwareSession:  # noqa: ARG002
        """Start nothing; needs the private key."""
        if self.key is None:
            raise ValueError("a session needs the private key")
        return SoftwareSession(self.key)

    def verify(
        self,
        evidence: Evidence,
        launch: Launch,
        *,
        report_data: bytes,
        nonce: bytes | None,
        at: dt.datetime,  # noqa: ARG002 -- a key has no time
    ) -> Claims:
        """Check the signature, what it binds to and the nonce; raises RejectedError."""
        envelope = read_envelope(evidence.blob)
        demand(envelope.payload_type == SOFTWARE_PAYLOAD, Joint.DOCUMENT, "it is not evidence")
        signers(envelope, self.trusted)
        check_software(envelope.payload, nonce, {report_data})
        return Claims(None, launch.reference)
