"""Run with `python3 -m unittest`."""

import threading
import unittest
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer

import app


class Pages(unittest.TestCase):
    """What the server answers."""

    def setUp(self) -> None:
        """Serve on any port that is free."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), app.Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of PATH."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def test_pages(self) -> None:
        """Every page is as it is written."""
        for path, text in app.PAGES.items():
            self.assertEqual(self.get(path), (200, text))

    def test_what_is_not_there(self) -> None:
        """Another path is 404."""
        self.assertEqual(self.get("/nothing")[0], 404)
