"""The host's end of a build machine that records: fetches what it asks for.

Over the machine's port come a line of JSON and the request's body; back go a line of
JSON and the answer's body. guest/step/recorder.go has the other end. What was asked is
kept in order; the same request is asked of the network once.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vcr.errors import FetchError, VcrError
from vcr.lock.bodies import BodyStore
from vcr.lock.secrets import Secrets
from vcr.lock.sources import Sources
from vcr.lock.web import Response, exchange
from vcr.model.lockfile import LockedBody, LockedExchange

# Headers of an answer that decide what a client does with it.
KEPT_HEADERS = (
    "content-disposition", "content-encoding", "content-type", "docker-distribution-api-version",
    "etag", "last-modified", "link", "location", "www-authenticate",
)  # fmt: skip
BAD_GATEWAY = 502


@dataclass
class Recorder:
    """Answers one machine and remembers the exchanges."""

    sources: Sources
    store: BodyStore
    secrets: Secrets
    show: Callable[[str], None]
    exchanges: list[LockedExchange] = field(default_factory=list)
    bodies: dict[str, LockedBody] = field(default_factory=dict)
    problem: VcrError | None = None  # the first thing that could not be fetched
    crash: Exception | None = None  # what ended the thread, if it was not the machine's end
    _known: dict[tuple[str, ...], tuple[LockedExchange, bytes]] = field(default_factory=dict)

    def start(self, listener: socket.socket) -> threading.Thread:
        """Answer whoever connects to LISTENER first, in a thread, until it hangs up."""
        thread = threading.Thread(target=self._guarded, args=(listener,), daemon=True)
        thread.start()
        return thread

    def _guarded(self, listener: socket.socket) -> None:
        try:
            self._serve(listener)
        except Exception as error:  # noqa: BLE001 -- raised again where somebody waits
            self.crash = error

    def _serve(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # closed: the machine never started
        with connection, connection.makefile("rwb") as port:
            while line := port.readline():
                request = json.loads(line)
                reply, body = self._answer(request, port.read(request["length"]))
                try:
                    port.write(json.dumps(reply).encode() + b"\n" + body)
                    port.flush()
                except OSError:
                    return  # the machine is gone

    def _answer(self, request: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        key = tuple(request[name] for name in ("method", "url", "accept", "body"))
        if key not in self._known:
            self.show(f"{request['method']} {request['url']}")
            try:
                self._known[key] = self._record(request, body)
            except VcrError as error:
                # The step may not need it; if it fails, this is why.
                self.problem = self.problem or error
                return {"status": BAD_GATEWAY, "headers": {}, "size": 0}, b""
            self.exchanges.append(self._known[key][0])
        locked, content = self._known[key]
        return {"status": locked.status, "headers": locked.headers, "size": len(content)}, content

    def _record(self, request: Mapping[str, Any], body: bytes) -> tuple[LockedExchange, bytes]:
        method, url = request["method"], request["url"]
        response = self._fetch(method, url, request["headers"], body)
        content = self.secrets.hide(response.body)
        sha256, entry = self.store.keep(method, url, content)
        self.bodies[sha256] = entry
        headers = {
            name: self.secrets.hide(value.encode()).decode()
            for name, value in sorted(response.headers.items())
            if name in KEPT_HEADERS
        }
        locked = LockedExchange(
            method=method,
            url=url,
            accept=request["accept"],
            body=request["body"],
            status=response.status,
            headers=headers,
            sha256=sha256,
        )
        return locked, content

    def _fetch(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Ask the nearest place that has it; raises FetchError of the last, URL itself."""
        revealed = {name: self.secrets.reveal_header(value) for name, value in headers.items()}
        content = self.secrets.reveal(body)
        *nearer, last = (
            self.secrets.reveal(address.encode()).decode()
            for address in self.sources.addresses(url)
        )
        for address in nearer:
            try:
                response = exchange(method, address, revealed, content, is_mirror=True)
            except FetchError:
                continue
            if self.sources.is_answer(url, response.status, response.body):
                return response
        try:
            return exchange(method, last, revealed, content)
        except FetchError as error:
            what = self.secrets.hide(error.what.encode()).decode()
            raise FetchError(what, why=error.why, fix=error.fix) from None
