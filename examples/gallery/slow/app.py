"""Takes its time: answers 503 until what it loads is loaded, six seconds after the start."""

import time
from http.server import BaseHTTPRequestHandler, HTTPServer

START, WARM = time.monotonic(), 6


class Handler(BaseHTTPRequestHandler):
    """Says whether it is warm."""

    def do_GET(self) -> None:
        """Answer."""
        warm = time.monotonic() - START >= WARM
        body = b"warm at last\n" if warm else b"still loading\n"
        self.send_response(200 if warm else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("", 8080), Handler).serve_forever()
