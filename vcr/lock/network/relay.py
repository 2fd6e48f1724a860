"""A proxy of HTTP (RFC 9110, section 9.3.6, and RFC 9112, section 3.2.2) that checks hosts."""

import contextlib
import http.client
import re
import select
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vcr.errors import FetchError
from vcr.lock.network import reach
from vcr.lock.network.connection import (
    Clock,
    Limits,
    connect_to,
    credentials,
    host_of,
    path_of,
    proxy_of,
    tunnel,
)

LIMITS = Limits(idle=120.0)
MAX_HEAD = 64 << 10  # bytes of a request
PIECE = 64 << 10
MAX_AT_ONCE = 64  # connections
_LINE = re.compile(rb"([A-Z]+) (\S+) (HTTP/1\.[01])")
_DROPPED = (b"connection:", b"proxy-connection:", b"proxy-authorization:", b"keep-alive:")

type Place = tuple[str, int]


@dataclass
class Relay:
    """Connects what asks it with the network, or with one of OWN, which may be this host."""

    own: set[Place]
    refuse: Callable[[str], None]  # is told why
    _kept: list[socket.socket] = field(default_factory=list)
    _free: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(MAX_AT_ONCE))

    def keep(self, sock: socket.socket) -> None:
        """Close SOCK when all is closed."""
        self._kept.append(sock)

    @contextlib.contextmanager
    def closing(self) -> Iterator[None]:
        """Close everything after the block."""
        try:
            yield
        finally:
            for sock in self._kept:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()

    def accept(self, door: socket.socket, place: Place | None) -> None:
        """Serve who comes to DOOR: as a proxy, or, with a PLACE, as what is there."""
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return  # closed
            self.keep(client)
            threading.Thread(target=self._serve, args=(client, place), daemon=True).start()

    def _serve(self, client: socket.socket, place: Place | None) -> None:
        with self._free, client, contextlib.suppress(OSError, ValueError):  # closed meanwhile
            if place is None:
                self._proxy(client)
                return
            with connect_to(*place, Clock(LIMITS), may_be_own=True) as server:
                self._pass(client, server)

    def _proxy(self, client: socket.socket) -> None:
        """Do what CLIENT asks a proxy for; raises OSError."""
        head, rest = _head(client)
        try:
            server, first = self._connected(head)
        except FetchError as error:
            self.refuse(f"{error.what}: {error.why}")
            client.sendall(_said("403 Forbidden"))
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            client.sendall(_said("502 Bad Gateway"))
        else:
            with server:
                if not first:
                    client.sendall(_said("200 Connection established"))
                server.sendall(first + rest)
                self._pass(client, server)

    def _connected(self, head: bytes) -> tuple[socket.socket, bytes]:
        """Return a connection to where HEAD wants to, and what is said there first.

        That is nothing where a tunnel is wanted. Raises OSError, ValueError, KeyError,
        HTTPException, and FetchError for a host that is refused.
        """
        line = _LINE.fullmatch(head.partition(b"\r\n")[0])
        if line is None:
            raise ValueError("that is not a request")
        target, is_tunnel = line[2].decode("ascii"), line[1] == b"CONNECT"
        url = urllib.parse.urlsplit(f"https://{target}" if is_tunnel else target)
        host, port = host_of(url)
        clock, is_own = Clock(LIMITS), (host, port) in self.own
        proxy = None if is_own else proxy_of(url.scheme, host)
        if proxy is None:
            server = connect_to(host, port, clock, may_be_own=is_own)
            return server, b"" if is_tunnel else _request(head, line, path_of(url), "")
        reach.refuse_known(host)
        server = connect_to(*host_of(proxy), clock, may_be_own=True)
        if is_tunnel:
            tunnel(server, clock, url.netloc, proxy)
            return server, b""
        return server, _request(head, line, target, credentials(proxy))

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what CLIENT and SERVER say until one is silent for too long, or both ended."""
        self.keep(server)
        other = {client: server, server: client}
        open_ = {client, server}
        for sock in open_:
            sock.settimeout(LIMITS.idle)
        while open_:
            ready, _, _ = select.select(list(open_), [], [], LIMITS.idle)
            if not ready:
                return
            for sock in ready:
                piece = sock.recv(PIECE)
                if piece:
                    other[sock].sendall(piece)
                else:
                    open_.discard(sock)
                    other[sock].shutdown(socket.SHUT_WR)


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of a request, and what came after it; raises OSError."""
    client.settimeout(LIMITS.idle)
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(PIECE)
        if not piece or len(data) > MAX_HEAD:
            raise OSError("that is not a request")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _request(head: bytes, line: re.Match[bytes], target: str, login: str) -> bytes:
    """Return HEAD, which begins with LINE, as a request for TARGET and no other after it."""
    kept = [each for each in head.split(b"\r\n")[1:] if not each.lower().startswith(_DROPPED)]
    first = b"%s %s %s" % (line[1], target.encode(), line[3])
    told = [b"Proxy-Authorization: " + login.encode()] if login else []
    return b"\r\n".join([first, *kept, *told, b"Connection: close", b"", b""])


def _said(status: str) -> bytes:
    length = "" if status.startswith("200") else "Content-Length: 0\r\n"
    return f"HTTP/1.1 {status}\r\n{length}\r\n".encode()
