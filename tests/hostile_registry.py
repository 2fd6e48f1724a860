"""A registry that serves whatever it is told to, over plain HTTP on loopback.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pull
"""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vcr.formats.oci import Layout

type Send = Callable[[http.server.BaseHTTPRequestHandler, bytes], None]


@dataclass
class Registry:
    """What is served: blobs by digest, media types of manifests, and odd ways to send some."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    tag: str = ""  # digest of what the tag names
    odd: dict[str, Send] = field(default_factory=dict)
    address: str = ""
    asked: list[str] = field(default_factory=list)  # paths

    def serve_layout(self, root: Path) -> None:
        """Serve what is in the OCI layout at ROOT."""
        for path in (root / "blobs/sha256").iterdir():
            self.blobs[f"sha256:{path.name}"] = path.read_bytes()
        (top,) = json.loads((root / "index.json").read_bytes())["manifests"]
        self.tag = top["digest"]
        self._name(top)

    def _name(self, descriptor: dict[str, Any]) -> None:
        self.types[descriptor["digest"]] = descriptor["mediaType"]
        for row in json.loads(self.blobs[descriptor["digest"]]).get("manifests", ()):
            if row["digest"] in self.blobs:
                self._name(row)


@contextmanager
def hostile_registry(layout: Layout) -> Iterator[Registry]:
    """Run a registry that serves LAYOUT."""
    registry = Registry()
    registry.serve_layout(layout.root)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            registry.asked.append(self.path)
            name = self.path.rpartition("/")[2]
            if self.path == "/v2/":
                send(self, b"{}", "application/json")
                return
            digest = name if ":" in name else registry.tag
            if digest not in registry.blobs:
                self.send_error(404)
            elif digest in registry.odd:
                with suppress(ConnectionError):
                    registry.odd[digest](self, registry.blobs[digest])
            else:
                kind = registry.types.get(digest, "application/octet-stream")
                send(self, registry.blobs[digest], kind)

        def do_HEAD(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            with suppress(ConnectionError):
                never(self, b"")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    registry.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler: http.server.BaseHTTPRequestHandler, data: bytes, kind: str) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def never(_: http.server.BaseHTTPRequestHandler, __: bytes) -> None:
    """Say nothing, for longer than anybody should wait."""
    time.sleep(30)


def half(handler: http.server.BaseHTTPRequestHandler, data: bytes) -> None:
    """Say a half, and nothing more."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    time.sleep(30)


def endless(handler: http.server.BaseHTTPRequestHandler, data: bytes) -> None:
    """Say what there is, and then zeros."""
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(data)
    while True:
        handler.wfile.write(bytes(1 << 20))
