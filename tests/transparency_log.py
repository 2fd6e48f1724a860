"""A small transparency log of the tests' own: a tree, checkpoints, promises, and bundles.

Its tree is computed as RFC 6962, 2.1 defines hashes and paths, by recursion, which is another
way than the verifier goes.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from vcr.attest.bundle import to_bundle
from vcr.attest.dsse import Envelope, pae
from vcr.attest.keys import PublicKey, public_pem

type PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey

TIME = 1_764_460_800  # 2025-11-30


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Return MTH of RFC 6962, 2.1."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    half = split(len(leaves))
    both = tree_hash(leaves[:half]) + tree_hash(leaves[half:])
    return hashlib.sha256(b"\1" + both).digest()


def audit_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return PATH of RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    half = split(len(leaves))
    if index < half:
        return [*audit_path(index, leaves[:half]), tree_hash(leaves[half:])]
    return [*audit_path(index - half, leaves[half:]), tree_hash(leaves[:half])]


def split(count: int) -> int:
    """Return the largest power of two below COUNT."""
    return 1 << (count - 1).bit_length() - 1


def text(data: bytes) -> str:
    """Return DATA in base64."""
    return base64.b64encode(data).decode()


def der(key: PublicKey) -> bytes:
    """Return KEY as SubjectPublicKeyInfo."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signature_of(key: PrivateKey, message: bytes) -> bytes:
    """Return what KEY signs MESSAGE with; ECDSA over P-256 with SHA-256."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(SHA256()))


def body_of(kind: str, version: str, envelope: Envelope, key: PublicKey) -> bytes:
    """Return the entry of KIND and VERSION for ENVELOPE, which KEY signed."""
    signature = envelope.signatures[0].sig
    payload = hashlib.sha256(envelope.payload).digest()
    message = hashlib.sha256(pae(envelope.payload_type, envelope.payload)).digest()
    pem = text(public_pem(key))
    second = {"content": text(signature), "verifier": {"publicKey": {"rawBytes": text(der(key))}}}
    one = {"algorithm": "sha256", "value": payload.hex()}
    specs: dict[str, dict[str, Any]] = {
        "dsse 0.0.1": {
            "envelopeHash": one,
            "payloadHash": one,
            "signatures": [{"signature": text(signature), "verifier": pem}],
        },
        "intoto 0.0.2": {
            "content": {
                "envelope": {
                    "payloadType": envelope.payload_type,
                    "signatures": [{"publicKey": pem, "sig": text(text(signature).encode())}],
                },
                "hash": one,
                "payloadHash": one,
            }
        },
        "hashedrekord 0.0.1": {
            "data": {"hash": {"algorithm": "sha256", "value": message.hex()}},
            "signature": {"content": text(signature), "publicKey": {"content": pem}},
        },
        "dsse 0.0.2": {
            "dsseV002": {
                "payloadHash": {"algorithm": "SHA2_256", "digest": text(payload)},
                "signatures": [second],
            }
        },
        "hashedrekord 0.0.2": {
            "hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": text(message)},
                "signature": second,
            }
        },
    }
    spec = specs[f"{kind} {version}"]
    return dumped({"apiVersion": version, "kind": kind, "spec": spec})


def dumped(value: Any) -> bytes:
    """Return VALUE as canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@dataclass
class Log:
    """A log with its key; FIRST is the number of entries that older trees of it have."""

    key: PrivateKey
    origin: str = "log.example"
    first: int = 0
    leaves: list[bytes] = field(default_factory=lambda: [b"a", b"b", b"c", b"d", b"e"])

    @property
    def ident(self) -> bytes:
        """Return the id of its key."""
        return hashlib.sha256(der(self.key.public_key())).digest()

    def add(self, body: bytes, kind: str, version: str, *, promise: bool = True) -> dict[str, Any]:
        """Add BODY to the log, and return its entry as a bundle has it."""
        index = len(self.leaves)
        self.leaves += [body, b"after"]
        row: dict[str, Any] = {
            "logIndex": str(self.first + index),
            "logId": {"keyId": text(self.ident)},
            "kindVersion": {"kind": kind, "version": version},
            "inclusionProof": {
                "logIndex": str(index),
                "rootHash": text(tree_hash(self.leaves)),
                "treeSize": str(len(self.leaves)),
                "hashes": [text(each) for each in audit_path(index, self.leaves)],
                "checkpoint": {"envelope": self.checkpoint()},
            },
            "canonicalizedBody": text(body),
        }
        if promise:
            row["integratedTime"] = str(TIME)
            row["inclusionPromise"] = {
                "signedEntryTimestamp": text(self.promise(body, self.first + index))
            }
        return row

    def checkpoint(self) -> str:
        """Return a checkpoint of the tree as it is, signed."""
        told = f"{self.origin}\n{len(self.leaves)}\n{text(tree_hash(self.leaves))}\n"
        return told + "\n" + self.line(told)

    def line(self, told: str) -> str:
        """Return the line that signs TOLD in a note."""
        data = self.ident[:4] + signature_of(self.key, told.encode())
        return f"\N{EM DASH} {self.origin.split(' ')[0]} {text(data)}\n"

    def promise(self, body: bytes, index: int) -> bytes:
        """Return Rekor's signed timestamp of an entry."""
        told = {"body": text(body), "integratedTime": TIME, "logID": self.ident.hex()}
        return signature_of(self.key, dumped({**told, "logIndex": index}))


def bundle_with(envelope: Envelope, *rows: Any) -> bytes:
    """Return ENVELOPE as a bundle with ROWS as its entries of logs."""
    return to_bundle(envelope, rows)
