"""Serves a Cartesi machine on ports of this host, in a process of its own: `main(FILE)`.

A machine has no network. Requests are read whole, given to it one after the other in
the order they came in, and answered by what it reports. FILE is JSON: `driver` (argv),
`env`, `log`, `agent` (socket), `forwards` ([address, host port, guest port]).
"""

import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from vcr.engines.cartesi.frames import Session
from vcr.errors import VcrError

ENTROPY_BYTES = 64
MAX_BODY = 64 << 20  # bytes
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer",
              "transfer-encoding", "upgrade"}  # fmt: skip


class _Proxy(http.server.BaseHTTPRequestHandler):
    """Takes a request, gives it to the machine, and passes on what it answers."""

    session: ClassVar[Session]
    port: ClassVar[int]

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.close_connection = True  # an answer ends where the app closes
        length = int(self.headers.get("Content-Length", 0))
        if "chunked" in self.headers.get("Transfer-Encoding", "") or length > MAX_BODY:
            self.send_error(413, "a request of known length, up to 64 MiB, is needed")
            return
        head = [f"{self.command} {self.path} HTTP/1.1"]
        head += [f"{k}: {v}" for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP]
        head += ["Connection: close", "", ""]
        request = "\r\n".join(head).encode("latin-1") + self.rfile.read(length)
        try:
            for piece in self.session.request(self.port, request):
                self.wfile.write(piece)
        except VcrError as error:
            self.send_error(502, error.what)

    def log_message(self, *_words: object) -> None:
        """Say nothing: the app has its own log."""


class _Agent(socketserver.StreamRequestHandler):
    """Passes a line to the agent in the machine, and its answer back."""

    session: ClassVar[Session]

    def handle(self) -> None:
        for line in self.rfile:
            try:
                answer = self.session.ask(line.decode("utf-8", "replace").strip())
            except VcrError as error:
                answer = f"error {error.what}"
            self.wfile.write(f"{answer}\n".encode())
            if line.startswith(b"stop"):
                os._exit(0)  # there is nothing to wait for: the machine is not running


class _Sockets(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main(path: str) -> None:
    """Serve until asked to stop."""
    job = json.loads(Path(path).read_bytes())
    driver = subprocess.Popen(
        job["driver"], env=job["env"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with Path(job["log"]).open("wb") as log:
        session = Session(driver, log)
        session.resume(int(time.time()), os.urandom(ENTROPY_BYTES))
        _start(session, job)
        driver.wait()
    sys.exit(1)  # it ends only when something went wrong


def _start(session: Session, job: dict[str, Any]) -> None:
    agent = type("Agent", (_Agent,), {"session": session})
    servers: list[socketserver.BaseServer] = [_Sockets(job["agent"], agent)]
    for address, host, guest in job["forwards"]:
        proxy = type("Proxy", (_Proxy,), {"session": session, "port": guest})
        servers.append(http.server.ThreadingHTTPServer((address, host), proxy))
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
