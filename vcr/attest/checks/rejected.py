"""What a verifier rejects with: the part of the proof that failed, and why."""

import enum
from collections.abc import Iterator
from contextlib import contextmanager

from vcr.errors import MismatchError


class Joint(enum.StrEnum):
    """Where a proof can fail; documented in docs/attest.md."""

    ENVELOPE = "envelope"
    SIGNATURE = "signature"
    STATEMENT = "statement"
    SUBJECT = "subject"
    BUILD = "build"
    PREDICATE = "predicate"
    AGE = "age"
    THRESHOLD = "threshold"
    DOCUMENT = "document"
    CHAIN = "certificate chain"
    VALIDITY = "certificate validity"
    DEBUG = "debug mode"
    PCR = "PCR"
    NONCE = "nonce"
    USER_DATA = "user_data"
    MODULE = "module_id"
    RECEIPT = "receipt"
    LOG = "transparency log"


MAX_SHOWN = 300  # characters of what somebody else wrote


class RejectedError(MismatchError):
    """A proof that does not hold; exit code 3."""

    def __init__(
        self,
        joint: Joint,
        reason: str,
        *,
        expected: str = "",
        got: str = "",
        fix: str = "",
        file: str = "",
    ) -> None:
        """Say at which JOINT, and the REASON; FILE is what was being checked."""
        self._parts = (reason, expected, got, fix)
        reason, expected, got = map(_shown, (reason, expected, got))
        details = (("expected", expected), ("got", got)) if expected or got else ()
        place = f"{file}: " if file else ""
        super().__init__(f"{place}rejected at the {joint}", why=reason, fix=fix, details=details)
        self.joint = joint

    def of_file(self, file: str) -> "RejectedError":
        """Return the same rejection, said of FILE."""
        reason, expected, got, fix = self._parts
        return RejectedError(self.joint, reason, expected=expected, got=got, fix=fix, file=file)


@contextmanager
def of_file(file: str) -> Iterator[None]:
    """Name the FILE that a rejection inside the block is about."""
    try:
        yield
    except RejectedError as error:
        raise error.of_file(file) from None


def _shown(text: str) -> str:
    """Return TEXT, its end left out when it is too long for a message."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text)} characters)"


def demand(holds: object, joint: Joint, reason: str) -> None:
    """Raise RejectedError at JOINT for REASON unless it HOLDS."""
    if not holds:
        raise RejectedError(joint, reason)
