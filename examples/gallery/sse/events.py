"""Server-sent events: a number, every fifth of a second, as long as somebody listens."""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count


class Events(BaseHTTPRequestHandler):
    """One stream for each client."""

    def do_GET(self) -> None:
        """Send events until the client leaves."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
        try:
            for number in count(1):
                self.wfile.write(f"id: {number}\ndata: tick {number}\n\n".encode())
                time.sleep(0.2)
        except (BrokenPipeError, ConnectionResetError):
            pass


ThreadingHTTPServer(("", 8000), Events).serve_forever()
