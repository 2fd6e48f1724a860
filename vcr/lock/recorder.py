"""The host's end of a build machine that records: fetches what it asks for.

Over the machine's port come a line of JSON and the request's body; back go a line of
JSON and the answer's body. guest/step/recorder.go has the other end, but a step may be
root in its machine and say anything. What was asked is kept in order; the same request is
asked of the network once.
"""

import io
import json
import socket
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vcr.errors import ExitCode, FetchError, VcrError
from vcr.foreign import MIB
from vcr.lock.bodies import BodyStore
from vcr.lock.network.underway import shown
from vcr.lock.network.web import Response, exchange
from vcr.lock.request import Request, read_request
from vcr.lock.secrets.placeholders import LeakError, Secrets
from vcr.lock.sources import Sources
from vcr.model.lockfile import LockedBody, LockedExchange
from vcr.model.url import encoded
from vcr.ui import human_size

# Headers of an answer that decide what a client does with it.
KEPT_HEADERS = (
    "content-disposition", "content-encoding", "content-type", "docker-distribution-api-version",
    "etag", "last-modified", "link", "location", "www-authenticate",
)  # fmt: skip
BAD_GATEWAY = 502
MAX_EXCHANGES = 50_000  # of one step
MAX_RECORDED = 16_384 * MIB  # of one step, all bodies together

# What is locked for requests, by their keys (vcr.lock.request): each answer with its body.
type Answers = dict[tuple[str, ...], tuple[LockedExchange, LockedBody]]


@dataclass
class Recorder:
    """Answers one machine and remembers the exchanges."""

    sources: Sources
    store: BodyStore
    secrets: Secrets
    show: Callable[[str], None]
    lent: Answers = field(default_factory=dict)  # what the network need not be asked for
    has_lent: bool = False  # whether an answer was taken of that
    exchanges: list[LockedExchange] = field(default_factory=list)
    bodies: dict[str, LockedBody] = field(default_factory=dict)
    problem: VcrError | None = None  # the first thing that could not be fetched
    crash: VcrError | None = None  # what ended the thread, if it was not the machine's end
    _known: dict[tuple[str, ...], tuple[LockedExchange, Path]] = field(default_factory=dict)
    _recorded: int = 0  # bytes

    def start(self, listener: socket.socket) -> threading.Thread:
        """Answer whoever connects to LISTENER first, in a thread, until it hangs up."""
        thread = threading.Thread(target=self._guarded, args=(listener,), daemon=True)
        thread.start()
        return thread

    def _guarded(self, listener: socket.socket) -> None:
        try:
            self._serve(listener)
        except Exception as error:  # noqa: BLE001 -- raised again where somebody waits
            self.crash = VcrError(
                f"the recorder failed: {type(error).__name__}",
                why=self.secrets.hide_text(str(error)),
                fix="report it; it is a bug in vcr",
                code=ExitCode.BUG,
            )

    def _serve(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # closed: the machine never started
        with connection, connection.makefile("rwb") as port:
            while True:
                try:
                    request = read_request(port)
                except OSError:
                    return  # the machine is gone
                except ValueError as error:
                    self._note(
                        VcrError("the step writes to the port of its machine", why=str(error))
                    )
                    return  # where the next request begins, nobody knows
                if request is None or not self._reply(port, *self._answer(request)):
                    return

    def _reply(self, port: io.BufferedRWPair, reply: Mapping[str, object], body: bytes) -> bool:
        """Send REPLY and BODY; return whether there is still a machine."""
        try:
            port.write(json.dumps(reply).encode() + b"\n" + body)
            port.flush()
        except OSError:
            return False
        return True

    def _answer(self, request: Request) -> tuple[dict[str, object], bytes]:
        if request.key not in self._known:
            try:
                self._known[request.key] = self._lend(request) or self._record(request)
            except VcrError as error:
                self._note(self.secrets.hidden(error))
                self._tell(f"{request.title}: {error.why or error.what}")
                return {"status": BAD_GATEWAY, "headers": {}, "size": 0}, b""
            self.exchanges.append(self._known[request.key][0])
        locked, path = self._known[request.key]
        content = path.read_bytes()
        return {"status": locked.status, "headers": locked.headers, "size": len(content)}, content

    def _lend(self, request: Request) -> tuple[LockedExchange, Path] | None:
        """Return the answer to REQUEST that is lent, if this host still has it."""
        if request.key not in self.lent:
            return None
        locked, body = self.lent[request.key]
        path = self.store.find(locked.sha256, body)
        if path is None:
            return None
        self.has_lent = True
        self.bodies[locked.sha256] = body
        self._tell(f"{request.title}: as for another architecture")
        return locked, path

    def _tell(self, line: str) -> None:
        self.show(self.secrets.hide_text(line))

    def _note(self, problem: VcrError) -> None:
        # The step may not need it; if it fails, this is why.
        self.problem = self.problem or problem

    def _record(self, request: Request) -> tuple[LockedExchange, Path]:
        with shown(request.title, self._tell) as count:
            response = self._fetch(request, count)
        self._recorded += len(response.body)
        size, total = human_size(len(response.body)), human_size(self._recorded)
        self._tell(f"{request.title}: {size} (answer {len(self.exchanges) + 1}, {total} in all)")
        if len(self.exchanges) >= MAX_EXCHANGES or self._recorded > MAX_RECORDED:
            raise VcrError(
                "the step requests too much from the network",
                why=f"at most {MAX_EXCHANGES} answers of {MAX_RECORDED // MIB} MiB are locked",
                fix="let a step request less",
            )
        headers, content = self._without_secrets(request, response)
        is_changed = content != response.body
        sha256, entry, path = self.store.keep(
            request.method, request.url, content, is_changed=is_changed
        )
        self.bodies[sha256] = entry
        locked = LockedExchange(
            method=request.method,
            url=request.url,
            accept=request.accept,
            body=request.body,
            status=response.status,
            headers=headers,
            sha256=sha256,
        )
        return locked, path

    def _without_secrets(
        self, request: Request, response: Response
    ) -> tuple[dict[str, str], bytes]:
        """Return what is kept of RESPONSE; raises VcrError when a secret stays in it."""
        kept = {n: v for n, v in sorted(response.headers.items()) if n in KEPT_HEADERS}
        try:
            self.secrets.refuse(request.method, request.url, request.accept)
            return self.secrets.hide_answer(kept, response.body)
        except LeakError as error:
            raise VcrError(
                f"{self.secrets.hide_text(request.title)} cannot be locked",
                why=f"{error}, where no placeholder can be used",
                fix="request something that does not return the secret",
            ) from None

    def _fetch(self, request: Request, count: Callable[[int], None]) -> Response:
        """Ask the nearest place that has it; raises FetchError of the last, URL itself.

        COUNT takes the number of bytes that have come so far.
        """
        secrets = self.secrets.sent_to(urllib.parse.urlsplit(request.url).hostname or "")
        revealed = {name: secrets.reveal_header(v) for name, v in request.headers.items()}
        content = secrets.reveal(request.content)
        *nearer, last = (
            secrets.reveal(address.encode()).decode()
            for address in self.sources.addresses(encoded(request.url))
        )
        for address in nearer:
            try:
                response = exchange(
                    request.method, address, revealed, content, is_mirror=True, report=count
                )
            except FetchError:
                continue
            if self.sources.is_answer(request.url, response.status, response.body):
                return response
        return exchange(request.method, last, revealed, content, report=count)
