"""An entry of a transparency log, as a Sigstore bundle has it: read, and verified offline.

https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_rekor.proto, as JSON of
protobuf: numbers may be text, and what is 0 or empty may be missing. What is verified: the path
from the entry to a root that the log signed, the log's promise if there is one, and that the
entry is of the very signature that the bundle has.
"""

import base64
import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vcr.attest import strict_json
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.keys import PublicKey, verifies
from vcr.attest.log.body import Recorded, read_body
from vcr.attest.log.checkpoint import Checkpoint, is_signed, log_ids, read_checkpoint
from vcr.attest.log.merkle import leaf_hash, root_of

MAX_PATH = 64  # hashes; a tree of 2^63 leaves has no longer path
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_AGAIN = "get the bundle again from who made it; if it stays so, do not trust it"


@dataclass(frozen=True)
class Proof:
    """Where the entry is in the log's tree."""

    index: int
    size: int
    root: bytes
    path: tuple[bytes, ...]
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Entry:
    """All that a bundle says of one entry."""

    log: bytes  # id of the log's key
    index: int  # over all trees of the log
    kind: tuple[str, str]
    time: int  # seconds since 1970, only promised; 0: none
    promise: bytes  # b"": none
    body: bytes
    proof: Proof | None


@dataclass(frozen=True)
class Logged:
    """An entry that holds."""

    log: str  # its name
    index: int
    time: dt.datetime | None  # when the log promised it

    @property
    def words(self) -> str:
        """Return it for people."""
        when = "" if self.time is None else f" since {self.time:%Y-%m-%dT%H:%M:%SZ}"
        return f"in the log {self.log} at {self.index}{when}"


def read_entry(row: Any) -> Entry:
    """Read an entry in ROW, of JSON; raises RejectedError."""
    try:
        kind = row["kindVersion"]
        given = row.get("inclusionProof")
        promise = (row.get("inclusionPromise") or {}).get("signedEntryTimestamp", "")
        return Entry(
            strict_json.read_base64(row["logId"]["keyId"]),
            _number(row.get("logIndex", 0)),
            (str(kind["kind"]), str(kind["version"])),
            _number(row.get("integratedTime", 0)),
            strict_json.read_base64(promise),
            strict_json.read_base64(row["canonicalizedBody"]),
            None if given is None else _proof(given),
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise _rejected(f"it is not an entry of a log: {error}", fix=_AGAIN) from None


def is_of(entry: Entry, key: PublicKey) -> bool:
    """Return whether ENTRY says that it is of the log with KEY."""
    name = "" if entry.proof is None else entry.proof.checkpoint.origin
    return entry.log in log_ids(key, name)


def verify_entry(entry: Entry, key: PublicKey) -> tuple[Recorded, Logged]:
    """Return what ENTRY records, which the log with KEY has; raises RejectedError."""
    proof = entry.proof
    if proof is None:
        raise _rejected(
            "the bundle has no proof that the entry is in the log, at best a promise of the log",
            fix="let a newer program of the signer write the bundle: version 0.2 and later have it",
        )
    _check_checkpoint(proof, key)
    _check_path(entry, proof)
    time = _check_promise(entry, key)
    if time is None and entry.index != proof.index:
        raise _rejected("its place in the log is not that of the proof", fix=_AGAIN)
    try:
        recorded = read_body(entry.body, *entry.kind)
    except ValueError as error:
        raise _rejected(
            f"what the entry records cannot be compared: {error}",
            fix="sign with a program that logs an envelope, such as `cosign attest-blob`",
        ) from None
    return recorded, Logged(proof.checkpoint.origin, entry.index, time)


def _check_checkpoint(proof: Proof, key: PublicKey) -> None:
    if not is_signed(proof.checkpoint, key):
        raise _rejected(
            f"the key of the log did not sign its checkpoint, {proof.checkpoint.origin!r}",
            fix=f"compare the log's key with what the log publishes; {_AGAIN}",
        )
    if proof.checkpoint.size != proof.size:
        raise _rejected(
            "the proof is of a tree of another size than the one that the log signed",
            expected=str(proof.checkpoint.size),
            got=str(proof.size),
            fix=_AGAIN,
        )
    if proof.checkpoint.root != proof.root:
        raise _rejected(
            "the proof is of another tree than the one that the log signed",
            expected=proof.checkpoint.root.hex(),
            got=proof.root.hex(),
            fix=_AGAIN,
        )


def _check_path(entry: Entry, proof: Proof) -> None:
    try:
        root = root_of(leaf_hash(entry.body), proof.index, proof.size, proof.path)
    except ValueError as error:
        raise _rejected(f"the proof is not one: {error}", fix=_AGAIN) from None
    if root != proof.root:
        raise _rejected(
            "the entry is not in the tree that the log signed, at least not there",
            expected=proof.root.hex(),
            got=root.hex(),
            fix=_AGAIN,
        )


def _check_promise(entry: Entry, key: PublicKey) -> dt.datetime | None:
    """Return when the log promised ENTRY, None if it did not; raises RejectedError.

    A SignedEntryTimestamp is over canonical JSON (RFC 8785) of these four:
    https://github.com/sigstore/rekor/blob/v1.5.2/pkg/verify/verify.go
    """
    if not entry.promise:
        return None
    told = {
        "body": base64.b64encode(entry.body).decode(),
        "integratedTime": entry.time,
        "logID": entry.log.hex(),
        "logIndex": entry.index,
    }
    if not verifies(key, entry.promise, strict_json.dump(told)):
        raise _rejected(
            "the key of the log did not sign its promise: the signed timestamp, or the time or"
            " place that it is of, is wrong",
            fix=_AGAIN,
        )
    try:
        return dt.datetime.fromtimestamp(entry.time, dt.UTC)
    except (ValueError, OverflowError, OSError):
        raise _rejected("the time of its promise is none", fix=_AGAIN) from None


def _proof(row: Any) -> Proof:
    return Proof(
        _number(row.get("logIndex", 0)),
        _number(row.get("treeSize", 0)),
        strict_json.read_base64(row["rootHash"]),
        _path(row.get("hashes", [])),
        read_checkpoint(row["checkpoint"]["envelope"]),
    )


def _path(rows: Sequence[Any]) -> tuple[bytes, ...]:
    if not isinstance(rows, list) or len(rows) > MAX_PATH:
        raise ValueError(f"the proof has more than {MAX_PATH} hashes, or none that are a list")
    return tuple(map(strict_json.read_base64, rows))


def _number(told: object) -> int:
    if isinstance(told, str) and _NUMBER.fullmatch(told):
        return int(told)
    if isinstance(told, int) and not isinstance(told, bool) and 0 <= told < 1 << 63:
        return told
    raise ValueError(f"{str(told)[:20]!r} is not a number from 0")


def _rejected(reason: str, *, expected: str = "", got: str = "", fix: str) -> RejectedError:
    return RejectedError(Joint.LOG, reason, expected=expected, got=got, fix=fix)
