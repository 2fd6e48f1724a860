"""examples/tls in an emulated enclave: the key, the document, the client, and who is between."""

import base64
import datetime as dt
import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flips import every_byte, remember_issuers
from middle import in_the_middle
from test_enclave_boot import ask, opened, verity_of
from test_prod import stage

from vcr.attest.checks.rejected import RejectedError
from vcr.attest.domains import of_app, of_parent
from vcr.attest.nitro.document import Expected, verify_document
from vcr.formats.pcrs import of_root

pytestmark = [
    pytest.mark.nix,
    pytest.mark.vm,
    pytest.mark.kernel("enclave"),
    pytest.mark.limit(900),
]

REPO = Path(__file__).resolve().parents[2]
TLS = REPO / "examples" / "tls"
SECONDS = 300.0


def key_at(port: int) -> bytes:
    """Return the SHA-256 of the public key of who answers at PORT."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", port), SECONDS)
    with context.wrap_socket(plain) as connection:
        certificate = connection.getpeercert(binary_form=True) or b""
    key = x509.load_der_x509_certificate(certificate).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()


def client(port: int, *words: Path | str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-B", str(TLS / "client.py"), f"https://127.0.0.1:{port}/"]
    return subprocess.run(
        [*argv, *map(str, words)], capture_output=True, text=True, check=False, timeout=SECONDS
    )


def every_flip_is_rejected(document: bytes, expected: Expected) -> None:
    """A bit of each byte makes it a document of nothing; test_every_bit.py takes every bit."""
    at = verify_document(document, expected, dt.datetime.now(dt.UTC)).time
    for flipped in every_byte(document):
        with pytest.raises(RejectedError):
            verify_document(flipped, expected, at)


def the_enclave_vouches_for_it(vcr: Any, built: dict[str, Any], der: bytes) -> None:
    """Its document is of what was asked, and has the registers that the build foretold."""
    told = json.loads((stage(built, "enclave") / "pcrs.json").read_bytes())
    nonce, data = os.urandom(32), b"a statement's digest"
    words = [base64.b64encode(part).decode() for part in (nonce, data)]
    found = opened(ask(vcr, f"attest {words[0]} {words[1]}"), der)
    assert (found["nonce"], found["user_data"]) == (nonce, of_parent(data))
    # Known before anything was booted, and by another reader of the image.
    for number in (0, 1, 2, 16):
        assert found["pcrs"][number].hex() == told[f"PCR{number}"]
    assert told["PCR16"] == of_root(bytes.fromhex(verity_of(built).root_hash)).hex()
    assert "drive checked" in vcr("logs", "--console", TLS).stdout


def test_a_client_believes_the_enclave_and_nobody_in_the_middle(
    vcr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T3, from the app's side: its own document, over its key and the client's nonce.

    And the whole way there: sealed drive, NBD over vsock, verity, snapshot, app, document.
    """
    built = vcr.json("build", "enclave", "--profile", "prod", TLS)
    registers = stage(built, "enclave") / "pcrs.json"
    words = ("--profile", "prod", "--enclave", TLS)
    assert "does not expose port 22" in vcr("up", "-p", "2222:22", *words, code=2).stderr
    machine = vcr.json("up", *words)
    assert machine["status"] == "healthy"
    port = machine["forwards"][0]["host"]
    der = ask(vcr, "root")
    the_enclave_vouches_for_it(vcr, built, der)
    found = re.search(r"lead to (/\S+), which is NOT AWS's", vcr("up", *words).stderr)
    assert found is not None
    root, file = ("--root", Path(found[1])), tmp_path / "document"
    assert ssl.PEM_cert_to_DER_cert(root[1].read_text()) == der
    done = client(port, "--pcrs", registers, *root, "--document", file)
    assert (done.returncode, "hello from inside" in done.stdout) == (0, True), done.stderr

    with in_the_middle(port, tmp_path) as middle:
        refused = client(middle, "--pcrs", registers, *root)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "rejected at the user_data" in refused.stderr
    assert "rejected at the certificate chain" in client(port, "--pcrs", registers).stderr
    told = json.loads(registers.read_text())
    (tmp_path / "other.json").write_text(json.dumps({**told, "PCR16": "00" * 48}))
    assert "rejected at the PCR" in client(port, "--pcrs", tmp_path / "other.json", *root).stderr

    document, key = file.read_bytes(), key_at(port)
    said = opened(document, der)
    assert (said["user_data"], said["public_key"]) == (of_app(key), None)
    verify = ("attest", "verify", file, *root, "--pcrs", registers)
    vcr(*verify, "--app-data", key.hex(), "--nonce", said["nonce"].hex())
    assert "rejected at the user_data" in vcr(*verify, code=3).stderr
    assert "rejected at the user_data" in vcr(*verify, "--app-data", "00" * 32, code=3).stderr
    # The parent asks with the very same bytes, and gets a document of another domain.
    given = [base64.b64encode(part).decode() for part in (said["nonce"], key)]
    theirs = opened(ask(vcr, f"attest {given[0]} {given[1]}"), der)
    assert theirs["user_data"] == of_parent(key)
    vcr("down", "-t", "0", TLS)
    pcrs = {number: bytes.fromhex(told[f"PCR{number}"]) for number in (0, 1, 2, 16)}
    digest = hashlib.sha256(der).hexdigest()
    expected = Expected(pcrs=pcrs, nonce=said["nonce"], user_data=of_app(key), root=digest)
    remember_issuers(monkeypatch)
    every_flip_is_rejected(document, expected)
