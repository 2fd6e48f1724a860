"""Asks the app over TLS, and continues only if a document of its enclave vouches for the key.

    python3 examples/tls/client.py https://HOST:PORT/ --pcrs pcrs.json

In this order: the document's chain up to AWS's root (or --root PEM, for tests), its
signature, the registers, the nonce of this run, and that the app bound the very key that
this connection has. Who relays the connection has another key, and is refused: exit code 3.
It takes vcr's package, which is found beside it, and what that needs to verify.
"""

import argparse
import datetime as dt
import hashlib
import json
import secrets
import socket
import ssl
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).resolve().parents[2]))

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from vcr.attest.checks.rejected import RejectedError
from vcr.attest.domains import of_app
from vcr.attest.nitro.chain import AWS_ROOT
from vcr.attest.nitro.document import Expected, verify_document

REGISTERS = (0, 1, 2, 16)  # three of the image, and the drive's
SECONDS = 600.0  # an emulated enclave takes its time
REFUSED = 3


class Connection(HTTPConnection):
    """HTTP over one TLS connection, which is never opened again by itself."""

    auto_open = 0

    def __init__(self, host: str, port: int) -> None:
        """Connect; whose the key is, is not known yet."""
        super().__init__(host, port, timeout=SECONDS)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # No authority vouches for the certificate: a document of the enclave does.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection((host, port), SECONDS)
        self.sock = context.wrap_socket(plain, server_hostname=host)
        certificate = x509.load_der_x509_certificate(self.sock.getpeercert(binary_form=True) or b"")
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key = hashlib.sha256(key).digest()

    def get(self, path: str) -> bytes:
        """Return what is at PATH; raises HTTPException unless it is there."""
        self.request("GET", path)
        answer = self.getresponse()
        body = answer.read(1 << 20)
        if answer.status != 200:
            raise HTTPException(f"{path}: {answer.status} {body.decode('utf-8', 'replace')}")
        return body


def registers_of(path: Path) -> dict[int, bytes]:
    """Read the registers that must hold, as `vcr build enclave` writes them (pcrs.json)."""
    told = json.loads(path.read_bytes())
    return {number: bytes.fromhex(told[f"PCR{number}"]) for number in REGISTERS}


def root_of(path: Path | None) -> str:
    """Return the SHA-256 of the root certificate at PATH, of AWS's for None."""
    if path is None:
        return AWS_ROOT
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def main() -> None:
    """Print what is at an address once it is known who answers."""
    parser = argparse.ArgumentParser(description="Ask an app whose enclave vouches for its key.")
    parser.add_argument("url")
    parser.add_argument(
        "--pcrs", type=Path, required=True, help="registers: pcrs.json of the build"
    )
    parser.add_argument("--root", type=Path, help="for tests: another root than AWS's, in PEM")
    parser.add_argument("--document", type=Path, help="keep the document here")
    given = parser.parse_args()
    try:
        sys.stdout.write(ask(given).decode())
    except RejectedError as error:
        print(f"refused: {error.what}: {error.why}", file=sys.stderr)
        sys.exit(REFUSED)
    except (OSError, HTTPException, KeyError, ValueError) as error:
        sys.exit(f"client: {error}")


def ask(given: argparse.Namespace) -> bytes:
    """Return what is at an address; raises RejectedError where nobody vouches for the key."""
    asked = urlsplit(given.url)
    registers, root = registers_of(given.pcrs), root_of(given.root)
    connection = Connection(asked.hostname or "", asked.port or 443)
    nonce = secrets.token_bytes(32)
    document = connection.get(f"/attestation?nonce={nonce.hex()}")
    if given.document is not None:
        given.document.write_bytes(document)
    bound = of_app(connection.key)
    expected = Expected(pcrs=registers, nonce=nonce, user_data=bound, root=root)
    verify_document(document, expected, dt.datetime.now(dt.UTC))
    return connection.get(asked.path or "/")


if __name__ == "__main__":
    main()
