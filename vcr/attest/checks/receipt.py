"""What a service answered when it was given a statement, kept beside it.

What a receipt itself says is between the service and whoever trusts it: it is kept, not
verified. All that is checked is that it belongs to the statement it is shown with.
"""

import base64
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from vcr.attest import strict_json
from vcr.attest.checks.evidence import Proof
from vcr.attest.checks.rejected import Joint, RejectedError, demand
from vcr.words import counted

RECEIPT = "receipt-v1"
MEDIA_TYPE = "application/vnd.vcr.receipt.v1+json"


@dataclass(frozen=True)
class Receipt:
    """An answer, and what it is an answer to."""

    service: str  # the command or the address
    statement: bytes  # SHA-256 of the statement's bytes
    answer: bytes

    def to_bytes(self) -> bytes:
        """Return the receipt as a file: canonical JSON, with a digest of all else, a newline.

        Nobody signs the digest: it shows damage, not of forgery.
        """
        content: dict[str, Any] = {
            "mediaType": MEDIA_TYPE,
            "service": self.service,
            "statement": {"sha256": self.statement.hex()},
            "answer": base64.b64encode(self.answer).decode(),
        }
        digest = hashlib.sha256(strict_json.dump(content)).hexdigest()
        return strict_json.dump({**content, "digest": {"sha256": digest}}) + b"\n"


def is_receipt(data: bytes) -> bool:
    """Return whether DATA says that it is a receipt."""
    if MEDIA_TYPE.encode() not in data:
        return False
    try:
        content = strict_json.load(data)
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("mediaType") == MEDIA_TYPE


def read_receipt(name: str, data: bytes, bound: Collection[bytes]) -> Proof:
    """Keep the receipt in DATA, which is of one of the statements BOUND; raises RejectedError."""
    receipt = parse_receipt(data)
    demand(
        receipt.statement in bound,
        Joint.RECEIPT,
        "it does not belong to any of the given statements",
    )
    words = f"kept, not verified: {counted(len(receipt.answer), 'byte')} of {receipt.service}"
    return Proof(name, RECEIPT, words, is_verified=False)


def parse_receipt(data: bytes) -> Receipt:
    """Read the receipt in DATA, which must be whole; raises RejectedError."""
    try:
        content = strict_json.load(data)
        service, answer = content["service"], base64.b64decode(content["answer"], validate=True)
        receipt = Receipt(service, strict_json.read_hex(content["statement"]["sha256"]), answer)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RejectedError(Joint.RECEIPT, f"it is not a receipt: {error}") from None
    demand(isinstance(service, str), Joint.RECEIPT, "its service is not a name")
    demand(receipt.to_bytes() == data, Joint.RECEIPT, "it was changed")
    return receipt
