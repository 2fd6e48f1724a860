"""The provider `nitro`: an AWS Nitro enclave, and the documents its security module signs.

Inside an enclave /dev/nsm is asked directly; on the instance beside it, the drive is served
over vsock, nitro-cli starts the enclave and its loader is asked (vcr/engines/enclave/wire.py). On
any other host the error says what is missing.
"""

import datetime as dt
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vcr.attest import domains
from vcr.attest.nitro.chain import AWS_ROOT
from vcr.attest.nitro.document import EVIDENCE_TYPE, Expected, verify_document
from vcr.attest.providers import Claims, Evidence, Launch, Opened, Parts, Session, Started
from vcr.engines.enclave import wire
from vcr.engines.enclave.image import measure_image, read_image
from vcr.errors import HostError, UnhealthyError, UsageError
from vcr.export.nbd import Address, serve
from vcr.formats import pcrs
from vcr.tools import nitro_cli, nsm
from vcr.tools.nbdkit import Nbdkit

BOOT_SECONDS = 300.0
MIB = 1 << 20


@dataclass(frozen=True)
class Inside(Opened):
    """This process runs in the enclave."""

    device: Path

    def attest(self, report_data: bytes, nonce: bytes | None = None) -> Evidence:
        """Ask the security module, as the loader does for requests from outside."""
        bound = domains.of_parent(report_data)
        return Evidence(EVIDENCE_TYPE, nsm.attest(self.device, bound, nonce))


class Beside(Started):
    """The enclave runs on this instance, from entering to leaving."""

    def __init__(self, image: Path, seal: Path, nbdkit: Nbdkit) -> None:
        """Start nothing yet."""
        super().__init__()
        self._image, self._seal, self._nbdkit = image, seal, nbdkit
        self._enclave: nitro_cli.Enclave | None = None

    def start(self, stack: ExitStack) -> None:
        """Serve its drive, start it, and wait until it serves.

        Raises HostError, MismatchError, UnhealthyError, VcrError.
        """
        needed = read_image(self._image)
        address = Address("vsock", port=wire.DRIVE_PORT)
        stack.enter_context(serve(self._nbdkit, self._seal, address))
        enclave = nitro_cli.run_enclave(self._image, -(-needed.memory // MIB), needed.cpus)
        stack.callback(nitro_cli.terminate, enclave)
        if not wire.serves_within(BOOT_SECONDS, enclave.connect, lambda: True):
            raise UnhealthyError(
                f"the enclave {enclave.ident} does not answer",
                why=f"nothing came from vsock {enclave.cid}:{wire.CONTROL_PORT}",
                fix=f"an enclave has a console in debug mode: {nitro_cli.PROGRAM} run-enclave"
                " --debug-mode",
            )
        self._enclave = enclave

    def attest(self, report_data: bytes, nonce: bytes | None = None) -> Evidence:
        """Ask the loader in the enclave."""
        if self._enclave is None:
            raise ValueError("the session was not entered")
        document = wire.attest(self._enclave.connect, nonce=nonce, user_data=report_data)
        return Evidence(EVIDENCE_TYPE, document)


@dataclass(frozen=True)
class Nitro:
    """Verifies up to ROOT, the SHA-256 of its certificate; NBDKIT serves the drive."""

    root: str = AWS_ROOT
    nbdkit: Nbdkit | None = None
    device: Path = nsm.DEVICE
    name: str = "nitro"

    def measure(self, parts: Parts) -> Launch:
        """Compute PCR0, PCR1, PCR2, and PCR16, which the loader extends with the root hash.

        Raises MismatchError for an image that is damaged.
        """
        reference = {f"PCR{pcrs.ROOT_PCR}": pcrs.of_root(parts.root_hash)}
        if parts.image is not None:
            measured = measure_image(read_image(parts.image))
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
                why="; ".join(
                    [f"{self.device} does not exist (inside an enclave it does)", *problems]
                ),
                fix="run it on an EC2 instance with enclaves enabled,\n"
                "https://docs.aws.amazon.com/enclaves/latest/user/getting-started.html",
            )
        parts = launch.parts
        if parts.image is None or parts.seal is None or self.nbdkit is None:
            raise UsageError("there is no enclave image to start", fix="use --profile prod")
        return Beside(parts.image, parts.seal, self.nbdkit)

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
            pcrs=registers(launch.reference),
            nonce=nonce,
            user_data=domains.of_parent(report_data),
            root=self.root,
        )
        document = verify_document(evidence.blob, expected, at)
        measured = {f"PCR{index}": value for index, value in document.pcrs.items()}
        return Claims(document.time, measured)


def registers(reference: Mapping[str, bytes]) -> dict[int, bytes]:
    """Return the registers of a REFERENCE by number."""
    return {int(name.removeprefix("PCR")): value for name, value in reference.items()}
