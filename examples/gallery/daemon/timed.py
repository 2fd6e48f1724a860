"""A daemon of the old kind: forks twice, leaves the terminal, forks for each client."""

import os
import socketserver
import sys
from pathlib import Path


class Clock(socketserver.StreamRequestHandler):
    """Answers HTTP with the process that answers and its parent."""

    def handle(self) -> None:
        """Read one request and answer it."""
        while self.rfile.readline().strip():
            pass
        body = f"child of the daemon: {os.getppid() == daemon}\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.wfile.write((head + body).encode())


class Server(socketserver.ForkingTCPServer):
    """A process for each client."""

    allow_reuse_address = True


if os.fork():
    os.wait()  # the child writes the PID file before it ends
    sys.exit()
os.setsid()
with Server(("", 8080), Clock) as server:  # listens before anybody is told so
    if pid := os.fork():
        Path("/run/timed.pid").write_text(f"{pid}\n")
        os._exit(0)
    daemon = os.getpid()
    log = os.open("/var/log/timed/timed.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    print("ready", flush=True)
    server.serve_forever()
