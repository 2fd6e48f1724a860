"""What a verifier says no with: the joint of the proof that failed, and why."""

import enum

from vcr.errors import MismatchError


class Joint(enum.StrEnum):
    """Where a proof can fail; documented in docs/attest.md."""

    ENVELOPE = "envelope"
    SIGNATURE = "signature"
    STATEMENT = "statement"
    SUBJECT = "subject"
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
        details = (("expected", expected), ("got", got)) if expected or got else ()
        place = f"{file}: " if file else ""
        super().__init__(f"{place}rejected at the {joint}", why=reason, fix=fix, details=details)
        self.joint = joint
        self._parts = (reason, expected, got, fix)

    def of_file(self, file: str) -> "RejectedError":
        """Return the same rejection, said of FILE."""
        reason, expected, got, fix = self._parts
        return RejectedError(self.joint, reason, expected=expected, got=got, fix=fix, file=file)


def demand(holds: object, joint: Joint, reason: str) -> None:
    """Raise RejectedError at JOINT for REASON unless it HOLDS."""
    if not holds:
        raise RejectedError(joint, reason)
