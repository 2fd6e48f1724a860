"""Who proves that a machine runs: the interface, and the providers there are.

A provider takes four steps. `measure` says, from files alone, what will be started and
what its hardware will report of it; `run` starts it; the session's `attest` gets evidence
that binds to given bytes; `verify` checks that. `measure` and `verify` are pure:
no device, no network, no clock but the time given; the others may need hardware.

Adding one (docs/attest.md has the table of what each binds to):
- SEV-SNP: measure() gives the launch digest of firmware, kernel, ramdisk and command line
  (kernel-hashes); report_data is the 64 bytes REPORT_DATA; the VCEK goes into `collateral`.
- TDX: MRTD and RTMR1..3 likewise; collateral is the quote's PCK chain and TCB info.
- NitroTPM: a unified kernel image in PCR 4 and 11; the quote comes as a Nitro document.
"""

import datetime as dt
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

PROVIDERS = ("software", "emulated", "nitro", "command")
ENCLAVE_PROVIDERS = ("emulated", "nitro")  # they start the enclave image of the build


@dataclass(frozen=True)
class Parts:
    """What is started: an enclave's image, and the drive that its loader mounts."""

    root_hash: bytes  # of the drive's verity tree
    image: Path | None = None  # kernel, command line and ramdisks, as the hardware wants them
    seal: Path | None = None  # the directory of the drive and its parameters


@dataclass(frozen=True)
class Launch:
    """What measuring gives."""

    parts: Parts
    reference: Mapping[str, bytes]  # what evidence must report, by the provider's own names


@dataclass(frozen=True)
class Evidence:
    """What a machine, or a service in its place, answered."""

    type: str  # such as aws-nitro-v1; docs/attest.md lists them
    blob: bytes
    # Certificates, revocation lists, TCB info: verifying needs no network.
    collateral: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Claims:
    """What evidence says, once it holds."""

    issued: dt.datetime | None
    measured: Mapping[str, bytes]


class Session(Protocol):
    """A machine that runs; a context manager, which ends what `run` started."""

    def attest(self, report_data: bytes, nonce: bytes | None = None) -> Evidence:
        """Return evidence bound to REPORT_DATA, fresh by NONCE; raises VcrError."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""


class Provider(Protocol):
    """One way of proving."""

    @property
    def name(self) -> str:
        """Return its name, as --provider takes it."""

    def measure(self, parts: Parts) -> Launch:
        """Return what PARTS will be reported as; pure. Raises OSError."""

    def run(self, launch: Launch) -> Session:
        """Start LAUNCH; raises HostError when this host cannot."""

    def verify(
        self,
        evidence: Evidence,
        launch: Launch,
        *,
        report_data: bytes,
        nonce: bytes | None,
        at: dt.datetime,
    ) -> Claims:
        """Check EVIDENCE of LAUNCH AT that time; pure, offline. Raises RejectedError."""


class Opened:
    """A session with nothing to end."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End nothing."""


class Started(ABC):
    """A session that starts something when it is entered, and ends it when it is left."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._stack = ExitStack()

    @abstractmethod
    def start(self, stack: ExitStack) -> None:
        """Start it; what STACK gets is ended with the session, or when this fails."""

    def __enter__(self) -> Self:
        """Start it; raises what `start` does."""
        with self._stack:
            self.start(self._stack)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._stack.close()


def report_data(payload: bytes) -> bytes:
    """Return what evidence binds to for a statement with these PAYLOAD bytes: their SHA-256."""
    return hashlib.sha256(payload).digest()
