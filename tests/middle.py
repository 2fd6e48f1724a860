"""A man in the middle: speaks TLS with a key of its own, and passes on all that is said."""

import datetime as dt
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def identity(scratch: Path) -> ssl.SSLContext:
    """Return what speaks TLS with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vcr example")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, SHA256())
    )
    file = scratch / "middle.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(pem + made.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def pass_on(near: ssl.SSLSocket, far: ssl.SSLSocket) -> None:
    """Pass on what either says, until one has said all.

    By one thread: Python holds a lock of a TLS connection while it waits for what comes, and
    nobody sends meanwhile.
    """
    while True:
        for source, target in ((near, far), (far, near)):
            source.settimeout(0)
            with suppress(ssl.SSLWantReadError):
                if not (data := source.recv(1 << 16)):
                    return
                target.settimeout(None)
                target.sendall(data)
        if not near.pending() and not far.pending():
            select.select((near, far), (), ())


def relay(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Pass on what CLIENT says to PORT, and back."""
    outside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outside.check_hostname, outside.verify_mode = False, ssl.CERT_NONE
    with suppress(OSError), context.wrap_socket(client, server_side=True) as near:
        plain = socket.create_connection(("127.0.0.1", port))
        with outside.wrap_socket(plain) as far:
            pass_on(near, far)


@contextmanager
def in_the_middle(port: int, scratch: Path) -> Iterator[int]:
    """Relay connections to PORT of this host; yield the port to call in its place."""
    context = identity(scratch)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):  # the listener was closed
                while True:
                    client, _ = listener.accept()
                    words = (client, context, port)
                    threading.Thread(target=relay, args=words, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
