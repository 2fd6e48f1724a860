"""Run with `python3 -m unittest`. Needs openssl."""

import json
import socket
import ssl
import tempfile
import threading
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from unittest.mock import patch

import app


@contextmanager
def door(path: Path) -> Iterator[list[dict[str, str]]]:
    """Answer one request at PATH with a document, the word itself."""
    asked: list[dict[str, str]] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        client, _ = listener.accept()
        with client, client.makefile("rwb") as lines:
            asked.append(json.loads(lines.readline()))
            lines.write(b'{"document": "ZG9jdW1lbnQ="}\n')

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield asked
    thread.join(10)
    listener.close()


class Answers(unittest.TestCase):
    """What the server answers, over TLS."""

    def setUp(self) -> None:
        """Serve on any port that is free, on a machine that is awake."""
        self.scratch = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(patch.object(app, "AWAKE", self.scratch / "awake"))
        self.enterContext(patch.object(app, "DOOR", str(self.scratch / "door")))
        app.identity.cache_clear()
        server = app.Server(("127.0.0.1", 0), app.Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of PATH."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = HTTPConnection("127.0.0.1", self.port)
        connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", self.port)))
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def test_before_the_machine_is_awake_there_is_no_key(self) -> None:
        """A snapshot would hold it."""
        socket.create_connection(("127.0.0.1", self.port)).close()  # as who looks at the port
        with self.assertRaises(OSError):
            self.get("/")
        self.assertEqual(app.identity.cache_info().currsize, 0)

    def test_pages(self) -> None:
        """The page is there, others are not."""
        app.AWAKE.touch()
        self.assertEqual(self.get("/"), (200, app.PAGE))
        self.assertEqual(self.get("/nothing")[0], 404)

    def test_the_document_is_of_the_key_and_the_nonce(self) -> None:
        """Both are what the door is asked with."""
        app.AWAKE.touch()
        with door(Path(app.DOOR)) as asked:
            self.assertEqual(self.get("/attestation?nonce=6e"), (200, b"document"))
        self.assertEqual(asked[0]["nonce"], "bg==")
        key = app.base64.b64decode(asked[0]["user_data"])
        self.assertEqual(key, app.identity()[1])

    def test_a_nonce_is_needed(self) -> None:
        """Without one an old document would do."""
        app.AWAKE.touch()
        for path in ("/attestation", "/attestation?nonce=xx", f"/attestation?nonce={'00' * 65}"):
            self.assertEqual(self.get(path)[0], 400)

    def test_without_a_door_there_is_no_document(self) -> None:
        """It is an error of the service, not of the client."""
        app.AWAKE.touch()
        self.assertEqual(self.get("/attestation?nonce=00")[0], 503)
