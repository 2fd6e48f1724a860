"""A small HTTP server: / says hello, /health says ok."""

import signal
import sys
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8000
PAGES = {"/": "hello from riscv64\n", "/health": "ok\n"}


class Handler(BaseHTTPRequestHandler):
    """Answers with the pages above."""

    def do_GET(self) -> None:
        """Send a page, or 404."""
        page = PAGES.get(self.path)
        body = (page or "not found\n").encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def is_healthy() -> bool:
    """Ask the running server."""
    connection = HTTPConnection("127.0.0.1", PORT, timeout=5)
    connection.request("GET", "/health")
    return connection.getresponse().status == 200


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(not is_healthy())
    # As the first process of its container it gets no default handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"listening on port {PORT}", flush=True)
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()
