"""The provider `nitro`: an AWS Nitro enclave, and the documents its security module signs.

Inside an enclave /dev/nsm is asked directly; on the instance beside it, nitro-cli starts
the enclave and its agent is asked over vsock. On any other host the error says what is
missing. An emulated enclave differs in `run`, and in the root its documents lead to.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vcr.attest import pcr
from vcr.attest.chain import AWS_ROOT
from vcr.attest.nitro import EVIDENCE_TYPE, Expected, verify_document
from vcr.attest.providers import Claims, Evidence, Launch, Opened, Parts, Session
from vcr.errors import HostError, UsageError
from vcr.sandbox import pcrs
from vcr.tools import nitro_cli, nsm

MEMORY_MIB, CPUS = 2048, 2


@dataclass(frozen=True)
class Inside(Opened):
    """This process runs in the enclave."""

    device: Path

    def attest(self, report_data: bytes, nonce: bytes | None = None) -> Evidence:
        """Ask the security module."""
        return Evidence(EVIDENCE_TYPE, nsm.attest(self.device, report_data, nonce))


@dataclass(frozen=True)
class Beside:
    """The enclave runs on this instance."""

    enclave: nitro_cli.Enclave

    def attest(self, report_data: bytes, nonce: bytes | None = None) -> Evidence:
        """Ask the enclave's agent."""
        return Evidence(EVIDENCE_TYPE, nitro_cli.ask(self.enclave, report_data, nonce))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the enclave."""
        nitro_cli.terminate(self.enclave)


@dataclass(frozen=True)
class Nitro:
    """Verifies up to ROOT, the SHA-256 of its certificate."""

    root: str = AWS_ROOT
    device: Path = nsm.DEVICE
    name: str = "nitro"

    def measure(self, parts: Parts) -> Launch:
        """Compute PCR0, PCR1, PCR2, and PCR16, which the loader extends with the root hash."""
        reference = {f"PCR{pcrs.ROOT_PCR}": pcrs.of_root(parts.root_hash)}
        if parts.kernel is not None:
            measured = pcr.of_image(parts.kernel, parts.command_line, parts.ramdisks)
            reference |= {f"PCR{index}": value for index, value in measured.items()}
        return Launch(parts, reference)

    def run(self, launch: Launch) -> Session:
        """Start the enclave of LAUNCH, or use the one this is; raises HostError."""
        if self.device.exists():
            return Inside(self.device)
        problems = nitro_cli.missing()
        if problems:
            raise HostError(
                "this host has no Nitro enclave",
                why="; ".join([f"{self.device} is not there (inside an enclave it is)", *problems]),
                fix="run it on an EC2 instance with enclaves enabled,\n"
                "https://docs.aws.amazon.com/enclaves/latest/user/getting-started.html",
            )
        if launch.parts.image is None:
            raise UsageError("there is no enclave image to start", fix="name one: --eif FILE")
        return Beside(nitro_cli.run_enclave(launch.parts.image, MEMORY_MIB, CPUS))

    def verify(
        self,
        evidence: Evidence,
        launch: Launch,
        *,
        report_data: bytes,
        nonce: bytes | None,
        at: dt.datetime,
    ) -> Claims:
        """Check the document, every register of LAUNCH's reference among it."""
        expected = Expected(
            pcrs=registers(launch.reference), nonce=nonce, user_data=report_data, root=self.root
        )
        document = verify_document(evidence.blob, expected, at)
        measured = {f"PCR{index}": value for index, value in document.pcrs.items()}
        return Claims(document.time, measured)


def registers(reference: Mapping[str, bytes]) -> dict[int, bytes]:
    """Return the registers of a REFERENCE by number."""
    return {int(name.removeprefix("PCR")): value for name, value in reference.items()}
