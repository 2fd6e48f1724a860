"""The provider `command`: gives a statement to a service and keeps what it answers.

The hook for registries of rights, transparency logs, notaries: a program, which gets the
envelope on its standard input, or an address, to which it is posted. What the service's
receipt is worth is between it and whoever trusts it.
"""

import datetime as dt
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from vcr import process
from vcr.attest.checks.receipt import RECEIPT, Receipt, parse_receipt
from vcr.attest.checks.rejected import Joint, demand
from vcr.attest.dsse import MEDIA_TYPE
from vcr.attest.providers import Claims, Evidence, Launch, Opened, Parts
from vcr.errors import FetchError, UsageError
from vcr.lock.network.connection import Limits
from vcr.lock.network.web import exchange
from vcr.model.url import check_url

SECONDS = 120
MAX_ANSWER = 1 << 20
LIMITS = Limits(total=SECONDS, size=MAX_ANSWER)


@dataclass(frozen=True)
class CommandSession(Opened):
    """Asks the service about one envelope."""

    envelope: bytes
    argv: tuple[str, ...]
    url: str
    may_be_own: bool  # this host

    def attest(self, report_data: bytes, nonce: bytes | None = None) -> Evidence:  # noqa: ARG002
        """Give it the envelope, whose statement has the digest REPORT_DATA; keep its answer.

        Raises VcrError when the program fails, FetchError when the address does not take it.
        """
        answer = self._run() if self.argv else self._post()
        if len(answer) > MAX_ANSWER:
            raise FetchError(f"the receipt has more than {MAX_ANSWER} bytes")
        service = shlex.join(self.argv) if self.argv else self.url
        return Evidence(RECEIPT, Receipt(service, report_data, answer).to_bytes())

    def _run(self) -> bytes:
        return process.run(self.argv, stdin=self.envelope, timeout=SECONDS).stdout

    def _post(self) -> bytes:
        headers = {"Content-Type": MEDIA_TYPE, "Accept": "*/*"}
        answer = exchange(
            "POST", self.url, headers, self.envelope, is_mirror=self.may_be_own, limits=LIMITS
        )
        if not 200 <= answer.status < 300:
            raise FetchError(
                f"{self.url} did not accept the statement",
                why=f"it answers {answer.status}",
                tail=answer.body.decode("utf-8", "replace").splitlines()[:5],
            )
        return answer.body


@dataclass(frozen=True)
class Command:
    """Gives ENVELOPE to the program ARGV or posts it to URL, which MAY_BE_OWN: this host."""

    envelope: bytes = b""
    argv: Sequence[str] = ()
    url: str = ""
    may_be_own: bool = False
    name: str = "command"

    @classmethod
    def of(cls, text: str) -> "Command":
        """Read TEXT, which the user chose: words of a shell, or an address; raises UsageError."""
        try:
            if text.startswith(("http://", "https://")):
                return cls(url=check_url(text), may_be_own=True)
            argv = tuple(shlex.split(text))
        except ValueError as error:
            raise UsageError(f"--service {text} is wrong", why=str(error)) from None
        if not argv:
            raise UsageError("--service names nothing", fix="give a program or an address")
        return cls(argv=argv)

    def measure(self, parts: Parts) -> Launch:
        """Report the root of the drive; a service measures nothing."""
        return Launch(parts, {"root": parts.root_hash})

    def run(self, launch: Launch) -> CommandSession:  # noqa: ARG002
        """Start nothing yet."""
        return CommandSession(self.envelope, tuple(self.argv), self.url, self.may_be_own)

    def verify(
        self,
        evidence: Evidence,
        launch: Launch,
        *,
        report_data: bytes,
        nonce: bytes | None,  # noqa: ARG002 -- a receipt answers no challenge of ours
        at: dt.datetime,  # noqa: ARG002
    ) -> Claims:
        """Check that the receipt is whole and of this statement; raises RejectedError."""
        receipt = parse_receipt(evidence.blob)
        demand(receipt.statement == report_data, Joint.RECEIPT, "it is for another statement")
        return Claims(None, launch.reference)
