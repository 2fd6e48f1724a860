"""The provider `emulated`: the enclave image in stock QEMU, for everybody. NOT AWS.

What is measured and checked is what `nitro` measures and checks; only the security module
is software (vcr/engines/enclave/nsm.py). Its root certificate is made for one run and comes with
the evidence: that the chain leads to it says nothing of who ran the enclave.
"""

import datetime as dt
import hashlib
from contextlib import ExitStack
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from vcr.atomic import scratch_directory
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.nitro.document import EVIDENCE_TYPE
from vcr.attest.providers import Claims, Evidence, Launch, Parts, Started
from vcr.attest.providers.nitro import Nitro
from vcr.engines.enclave.emulated import Emulation, Setup

ROOT = "root.pem"  # in the collateral


class EmulatedSession(Started):
    """The enclave, from entering to leaving; it keeps nothing."""

    def __init__(self, setup: Setup) -> None:
        """Start nothing yet."""
        super().__init__()
        self._setup = setup
        self._enclave: Emulation | None = None

    def start(self, stack: ExitStack) -> None:
        """Start it, and wait until its app serves; raises HostError, UnhealthyError."""
        scratch = stack.enter_context(scratch_directory())
        enclave = Emulation(self._setup, scratch, scratch / "console")
        self._enclave = stack.enter_context(enclave)
        enclave.wait_until_serving()

    def attest(self, report_data: bytes, nonce: bytes | None = None) -> Evidence:
        """Ask the loader in it, as on Nitro."""
        if self._enclave is None:
            raise ValueError("the session was not entered")
        document = self._enclave.attest(nonce=nonce, user_data=report_data)
        root = x509.load_der_x509_certificate(self._enclave.nsm.root)
        return Evidence(EVIDENCE_TYPE, document, {ROOT: root.public_bytes(Encoding.PEM)})


@dataclass(frozen=True)
class Emulated:
    """Runs SETUP, which names the image, the drive and the programs."""

    setup: Setup
    name: str = "emulated"

    def measure(self, parts: Parts) -> Launch:
        """Compute the registers, as for Nitro."""
        return Nitro().measure(parts)

    def run(self, launch: Launch) -> EmulatedSession:  # noqa: ARG002
        """Return a session; the enclave starts when it is entered."""
        return EmulatedSession(self.setup)

    def verify(
        self,
        evidence: Evidence,
        launch: Launch,
        *,
        report_data: bytes,
        nonce: bytes | None,
        at: dt.datetime,
    ) -> Claims:
        """Check the document as that of an enclave, up to the root of its run."""
        try:
            root = x509.load_pem_x509_certificate(evidence.collateral[ROOT])
        except (KeyError, ValueError) as error:
            raise RejectedError(Joint.CHAIN, f"there is no root of the run: {error}") from None
        digest = hashlib.sha256(root.public_bytes(Encoding.DER)).hexdigest()
        return Nitro(root=digest).verify(
            evidence, launch, report_data=report_data, nonce=nonce, at=at
        )
