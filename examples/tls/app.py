"""TLS that ends in the app, with a key that the enclave vouches for: client.py checks it.

All that a snapshot holds is public, so the key is made at the first handshake, and not before
/run/vcr/awake says that this machine has entropy of its own. What signs for it is a document
that binds the SHA-256 of the public key and the client's nonce, got at /run/vcr/attest.sock.
"""

import base64
import functools
import hashlib
import json
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PORT = 8443
PAGE = b"hello from inside, over TLS that ends here\n"
AWAKE, DOOR = Path("/run/vcr/awake"), "/run/vcr/attest.sock"
MAX_NONCE = 64  # bytes
SECONDS = 60.0  # for a client to go on
BEGIN, END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
LOCK = threading.Lock()


@functools.cache
def identity() -> tuple[ssl.SSLContext, bytes]:
    """Make a key; return what speaks TLS with it, and the SHA-256 of its SubjectPublicKeyInfo."""
    if not AWAKE.exists():
        raise OSError("a key made now would be in the snapshot, which everybody has")
    with tempfile.TemporaryDirectory() as name:
        key, certificate = Path(name, "key"), Path(name, "certificate")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", "/CN=vcr example", "-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(certificate, key)
        asked = ["openssl", "x509", "-in", certificate, "-noout", "-pubkey"]
        pem = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    der = base64.b64decode(pem.partition(BEGIN)[2].partition(END)[0])
    return context, hashlib.sha256(der).digest()


def attest(user_data: bytes, nonce: bytes) -> bytes:
    """Return a document of the enclave around this machine; raises OSError where there is none."""
    asked = {"user_data": user_data, "nonce": nonce}
    line = json.dumps({name: base64.b64encode(data).decode() for name, data in asked.items()})
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(SECONDS)
        door.connect(DOOR)
        door.sendall(line.encode() + b"\n")
        with door.makefile("rb") as lines:
            answer = json.loads(lines.readline())
    if "document" not in answer:
        raise OSError(answer.get("error"))
    return base64.b64decode(answer["document"])


class Handler(BaseHTTPRequestHandler):
    """Answers with the page, and with a document at /attestation?nonce=HEX."""

    protocol_version = "HTTP/1.1"  # the document is about the connection, so it stays

    def do_GET(self) -> None:
        """Send what the path names."""
        asked = urlsplit(self.path)
        if asked.path == "/":
            self.answer(200, PAGE)
        elif asked.path == "/attestation":
            self.attestation(parse_qs(asked.query).get("nonce", [""])[0])
        else:
            self.answer(404, b"not found\n")

    def attestation(self, nonce: str) -> None:
        """Send a document that binds the key of this connection to NONCE, in hex."""
        try:
            challenge = bytes.fromhex(nonce)
        except ValueError:
            challenge = b""
        if not 0 < len(challenge) <= MAX_NONCE:
            self.answer(400, b"nonce is not 1 to 64 bytes in hex\n")
            return
        try:
            self.answer(200, attest(identity()[1], challenge))
        except OSError as error:
            self.answer(503, f"{error}\n".encode())

    def answer(self, status: int, body: bytes) -> None:
        """Send BODY."""
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Speaks TLS, in the thread of each connection."""

    def finish_request(self, request: socket.socket, client_address: object) -> None:
        """Make the handshake, and the key before the first one; then answer."""
        request.settimeout(SECONDS)
        try:
            if not request.recv(1, socket.MSG_PEEK):
                return  # somebody who only wanted to see whether the port is open
            with LOCK:
                context, _ = identity()
            with context.wrap_socket(request, server_side=True) as connection:
                self.RequestHandlerClass(connection, client_address, self)
        except OSError as error:  # those of TLS are, too
            print(f"a connection ended: {error}", flush=True)


if __name__ == "__main__":
    # As the first process of its container it gets no default handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"listening on port {PORT}", flush=True)
    Server(("", PORT), Handler).serve_forever()
