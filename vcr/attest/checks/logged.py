"""Entries of transparency logs beside a statement: of its signature, in a log that is trusted."""

import datetime as dt
import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from vcr.attest.bundle import Bundle
from vcr.attest.checks.age import check_age
from vcr.attest.checks.demand import Demand
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.dsse import Trusted, pae
from vcr.attest.keys import verifies
from vcr.attest.log.body import Recorded
from vcr.attest.log.entry import Logged, is_of, read_entry, verify_entry
from vcr.words import counted

MAX_ENTRIES = 32  # of one bundle, as sigstore-go has it


@dataclass(frozen=True)
class Entries:
    """Those of one statement."""

    held: tuple[Logged, ...] = ()
    unchecked: int = 0  # of logs whose key is not given

    @property
    def words(self) -> str:
        """Return them for people, "" when there is none."""
        parts = [one.words for one in self.held]
        if self.unchecked:
            noun = counted(self.unchecked, "log entry", "log entries")
            parts.append(f"{noun} not checked: no key of that log is given")
        return "; ".join(parts)


def check_entries(
    bundle: Bundle, signers: Collection[str], wanted: Demand, at: dt.datetime
) -> Entries:
    """Return the entries of BUNDLE, signed by the keys SIGNERS, by the logs that are WANTED.

    One of a log whose key is given must hold AT that time. Raises RejectedError, also where an
    entry is required and none holds.
    """
    rows = bundle.entries
    if not wanted.logs:
        return Entries(unchecked=len(rows))
    if len(rows) > MAX_ENTRIES:
        raise RejectedError(
            Joint.LOG, f"it has {counted(len(rows), 'entry', 'entries')}",
            fix=f"at most {MAX_ENTRIES} are looked at",
        )  # fmt: skip
    held = []
    for entry in map(read_entry, rows):
        key = next((key for key in wanted.logs.values() if is_of(entry, key)), None)
        if key is None:
            continue
        recorded, logged = verify_entry(entry, key)
        _check_recorded(recorded, bundle, {name: wanted.trusted[name] for name in signers})
        if logged.time is not None:
            check_age(logged.time, None, at)
        held.append(logged)
    if wanted.needs_log and not held:
        raise _none(len(rows))
    return Entries(tuple(held), len(rows) - len(held))


def _check_recorded(recorded: Recorded, bundle: Bundle, signers: Trusted) -> None:
    """Raise RejectedError unless RECORDED is a signature of BUNDLE's by one of SIGNERS."""
    envelope = bundle.envelope
    message = pae(envelope.payload_type, envelope.payload)
    told = recorded.payload, hashlib.sha256(envelope.payload).digest()
    if recorded.payload is None:
        told = recorded.message, hashlib.sha256(message).digest()
    if told[0] != told[1]:
        raise _other("another statement", *((each or b"").hex() for each in reversed(told)))
    if recorded.signature not in {each.sig for each in envelope.signatures}:
        raise _other("another signature")
    ident = hashlib.sha256(recorded.key).hexdigest()
    key = signers.get(ident)
    if key is None or not verifies(key, recorded.signature, message):
        raise _other("a signature of another key", ", ".join(sorted(signers)), ident)


def _other(what: str, expected: str = "", got: str = "") -> RejectedError:
    return RejectedError(
        Joint.LOG,
        f"the entry in the log is of {what}",
        expected=expected,
        got=got,
        fix="give the bundle as the signer's program wrote it",
    )


def _none(count: int) -> RejectedError:
    others = counted(count, "entry is", "entries are") + " of logs whose key is not given"
    return RejectedError(
        Joint.LOG,
        "an entry in a transparency log is required, and " + (others if count else "it has none"),
        fix="give the key of that log: --log-key FILE, or [log] of the policy"
        if count
        else "give the bundle that was written when it was signed with a log",
    )
