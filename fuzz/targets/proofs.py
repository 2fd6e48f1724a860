"""Readers of what proves something: envelopes, statements, documents, receipts, policies, ladders."""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fuzz.target import Target
from vcr.attest import dsse, predicates, statement
from vcr.attest.checks import checker, policy, receipt
from vcr.attest.checks.checker import verify_files
from vcr.attest.checks.demand import Demand
from vcr.attest.checks.evidence import check_software
from vcr.attest.checks.receipt import Receipt
from vcr.attest.dsse import Envelope, read_envelope, sign
from vcr.attest.keys import key_id, parse_public, public_pem
from vcr.attest.nitro import cose
from vcr.attest.nitro import document as nitro
from vcr.attest.nitro.cbor import read_cbor as read_cbor_of_documents
from vcr.attest.statement import STATEMENT, Statement
from vcr.engines.enclave.nsm import SoftwareNsm
from vcr.export import manifest
from vcr.model.digest import Digest
from vcr.tools.nitro_cli import read_enclave
from vcr.tools.nsm import document_of, request
from vcr.verify import ladders
from vcr.verify.ladders import read_claim

KEY = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
TRUSTED = {key_id(KEY.public_key()): KEY.public_key()}
AT = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
MODULE = SoftwareNsm({0: b"\x01" * 48}, now=AT.timestamp())
DIGESTS = {
    name: Digest(f"sha256:{n:064x}")
    for n, name in enumerate(("image", "rootfs", "snapshot", "sealed", "drive"))
}
TERMS = {
    "name": "a",
    "profile": "prod",
    "arch": "riscv64",
    "engine": "qemu",
    "engine_version": "10.0",
    "epoch": 1,
}


def read_files(data: bytes, _directory: Path) -> None:
    """Verify an envelope as `vcr attest verify` does."""
    verify_files([("a", data)], Demand(trusted=TRUSTED), AT)


def signed_again(data: bytes) -> bytes:
    """Return the envelope DATA with its payload signed, so that it is looked at."""
    content = json.loads(data)
    payload = base64.b64decode(content["payload"])
    return sign(payload, [KEY], content["payloadType"]).to_bytes()


def _envelopes() -> Iterator[bytes]:
    for payload in _statements():
        yield sign(payload, [KEY]).to_bytes()


def _statements() -> Iterator[bytes]:
    builder = {"id": predicates.BUILDER, "version": "1", "system": "x"}
    sealed, snapshot = DIGESTS["sealed"], DIGESTS["snapshot"]
    predicates_of: dict[str, dict[str, Any]] = {
        "rebuild": {
            "same": True,
            "resolvedDependencies": [{"name": "x"}],
            "builder": builder,
            "build": TERMS,
        },
        "run-once": {
            "machineHash": snapshot,
            "execution": {"same": True},
            "builder": builder,
            "build": TERMS,
        },
        "root-hash": {"verity": {"root_hash": sealed.hex}, "machineHash": snapshot, "build": TERMS},
        "sbom": {"spdxVersion": predicates.SPDX_VERSION, "packages": [{}]},
        "cyclonedx": {
            "bomFormat": "CycloneDX",
            "specVersion": predicates.CYCLONEDX_VERSION,
            "components": [],
            "metadata": {"timestamp": "2026-11-26T00:00:00Z", "properties": []},
        },
        "provenance": {
            "buildDefinition": {
                "buildType": predicates.BUILD_TYPE,
                "externalParameters": TERMS,
                "resolvedDependencies": [{}],
            },
            "runDetails": {"builder": builder, "metadata": {"finishedOn": "2026-11-26T00:00:00Z"}},
        },
    }
    for kind, predicate in predicates_of.items():
        yield Statement(
            DIGESTS, predicates.TYPES[kind], {**predicate, "time": "2026-11-26T00:00:00Z"}
        ).to_bytes()


def read_statement(data: bytes, _directory: Path) -> None:
    """Read a statement, and what its predicate says."""
    predicates.check_predicate(statement.read_statement(Envelope(data, dsse.STATEMENT_TYPE, ())))


def read_document(data: bytes, _directory: Path) -> None:
    """Verify an attestation document."""
    root = hashlib.sha256(MODULE.root).hexdigest()
    nitro.verify_document(nitro.document_bytes(data), nitro.Expected(root=root), AT)


def _documents() -> Iterator[bytes]:
    document = document_of(MODULE.handle(request(b"\x02" * 32, b"nonce")))
    yield document
    yield base64.b64encode(document)
    yield document.hex().encode()


def read_payload(data: bytes, _directory: Path) -> None:
    """Read the payload of a document whose signature holds."""
    nitro._read(data)


def read_cbor(data: bytes, _directory: Path) -> None:
    """Read CBOR of one encoding, and the answer of a security module."""
    if data[:1] == b"\xa1":
        document_of(data)
    read_cbor_of_documents(data)


def read_receipt(data: bytes, _directory: Path) -> None:
    """Read a receipt, and software evidence."""
    if receipt.is_receipt(data):
        receipt.read_receipt("x", data, [b"\x01" * 32])
    else:
        check_software(data, None, [])


def read_policy(data: bytes, directory: Path) -> None:
    """Read a policy."""
    path = directory / "policy.toml"
    path.write_bytes(data)
    (directory / "a.pub").write_bytes(public_pem(KEY.public_key()))
    policy.read_policy(path)


POLICY = (
    b'threshold = 1\nmax_age = "1h"\n[keys]\na = "a.pub"\n[predicates]\nrebuild = 1\n[ladder]\nimage = "sha256:'
    + b"a" * 64
    + b'"\n[nitro]\nmax_age = "5m"\nnonce = "00"\nmodule_id = "i"\n[nitro.pcrs]\n0 = "'
    + b"ab" * 48
    + b'"\n'
)


def read_ladder(data: bytes, directory: Path) -> None:
    """Read a ladder."""
    path = directory / "ladder.json"
    path.write_bytes(data)
    read_claim(path)


LADDER = json.dumps(
    {
        "schema": 1,
        "kind": "build",
        "name": "x",
        "profile": "prod",
        "arch": "riscv64",
        "engine": "qemu",
        "engine_version": "1",
        "epoch": 1,
        "vcr": "1",
        "ladder": [
            {"name": name, "digest": digest, "size": 4, "path": name}
            for name, digest in DIGESTS.items()
        ],
    }
).encode()


def read_manifest(data: bytes, _directory: Path) -> None:
    """Read manifest.json of an export, and what nitro-cli says."""
    if b"Enclave" in data:
        read_enclave(data)
    else:
        manifest.read_manifest(data)


def _manifests() -> Iterator[bytes]:
    file = {"path": "a/b", "sha256": "0" * 64, "size": 1}
    yield manifest.Manifest.model_validate(
        {
            "schema": 1,
            "kind": "export",
            "name": "x",
            "profile": "prod",
            "arch": "amd64",
            "engine": "qemu",
            "engine_version": "1",
            "epoch": 1,
            "files": [file],
        }
    ).to_bytes()
    yield b'{"EnclaveID": "i-1", "EnclaveCID": 16}'


def read_key(data: bytes, _directory: Path) -> None:
    """Read a public key."""
    parse_public(data, "x")


def _payloads() -> Iterator[bytes]:
    for document in _documents():
        yield cose.read_sign1(nitro.document_bytes(document)).payload


TARGETS = (
    Target("dsse", read_files, _envelopes, "json", modules=(dsse, checker), mend=signed_again),
    Target("envelope", lambda data, _: read_envelope(data), _envelopes, "json", modules=(dsse,)),
    Target(
        "statement",
        read_statement,
        _statements,
        "json",
        modules=(statement, predicates),
        words=(STATEMENT.encode(),),
    ),
    Target("cose", read_document, _documents, "cbor", modules=(cose, nitro)),
    Target("document", read_payload, _payloads, "cbor", modules=(nitro,)),
    Target(
        "cbor",
        read_cbor,
        lambda: [
            cbor2.dumps({"Attestation": {"document": b"x"}}),
            cbor2.dumps([1, -1, "x", b"x", None, {1: 2.5}, cbor2.CBORTag(18, [])]),
            b"\x81" * 200 + b"\x00",
            b"\x9b\x00\x00\x00\x00\x7f\xff\xff\xff",
            b"\x5b\x00\x00\x00\x00\x7f\xff\xff\xff",
        ],
        "cbor",
        words=(
            b"\x9f",
            b"\xbf",
            b"\xff",
            b"\xd8\x1c",
            b"\xd8\x1d\x00",
            b"\xc2\x49",
            b"\xd9\x01\x02",
            b"\xc4\x82\x1b",
            b"\xd8\x23\x67",
            b"\xc0\x74",
        ),
    ),
    Target(
        "receipt",
        read_receipt,
        lambda: [
            Receipt("x", b"\x01" * 32, b"answer").to_bytes(),
            b'{"reportData":"00","nonce":"00"}',
        ],
        "json",
        modules=(receipt,),
    ),
    Target("policy", read_policy, lambda: [POLICY], "text", modules=(policy,)),
    Target("ladder", read_ladder, lambda: [LADDER], "json", modules=(ladders,)),
    Target("manifest", read_manifest, _manifests, "json", modules=(manifest,)),
    Target("key", read_key, lambda: [public_pem(KEY.public_key())], "text"),
)
