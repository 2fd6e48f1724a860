"""A connection that ends: a deadline for all of it, a least speed, and a most of bytes.

To a host itself, at the address that was checked, or through the proxy of this host's
settings, which looks names up by itself.
"""

import base64
import http.client
import io
import socket
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Buffer, Callable
from dataclasses import dataclass, field
from pathlib import Path

from vcr.lock.network import reach

# Where distributions keep their certificates, when OpenSSL was built for another one.
BUNDLES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
OVERHEAD = 8 << 20  # bytes of headers and framing, beside a body
PORTS = {"http": 80, "https": 443}


class TooMuchError(OSError):
    """More bytes came than may."""


@dataclass(frozen=True)
class Limits:
    """What an exchange may take: seconds, bytes, bytes a second."""

    connect: float = 30.0  # to be connected, all addresses tried
    idle: float = 60.0  # without a byte; and before SLOWEST is asked for
    slowest: float = 1000.0  # bytes a second, on average
    total: float = 3600.0
    size: int = 1 << 30  # of the body


@dataclass
class Clock:
    """Watches over one exchange under LIMITS; raises OSError when one is passed."""

    limits: Limits
    begun: float = field(default_factory=time.monotonic)
    count: int = 0  # bytes that came
    report: Callable[[int], object] = bool  # is told of them

    @property
    def passed(self) -> float:
        """Return for how many seconds it has been running."""
        return time.monotonic() - self.begun

    def wait(self) -> float:
        """Return for how many seconds the next byte may be waited for; raises TimeoutError."""
        passed = self.passed
        if passed > self.limits.total:
            raise TimeoutError(f"it takes longer than {self.limits.total:g} seconds")
        if passed > self.limits.idle and self.count < passed * self.limits.slowest:
            raise TimeoutError(f"it sends less than {self.limits.slowest:g} bytes a second")
        return min(self.limits.idle, self.limits.total - passed + 0.001)

    def came(self, count: int) -> None:
        """Take note of COUNT bytes; raises TooMuchError."""
        self.count += count
        self.report(self.count)
        if self.count > self.limits.size + OVERHEAD:
            raise TooMuchError(f"it sends more than {self.limits.size >> 20} MiB")


class _Bytes(io.RawIOBase):
    """What comes of a socket, watched."""

    def __init__(self, sock: socket.socket, clock: Clock) -> None:
        self._sock, self._clock = sock, clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        self._sock.settimeout(self._clock.wait())
        try:
            count = self._sock.recv_into(buffer)
        except TimeoutError:
            raise TimeoutError("it sends nothing") from None
        self._clock.came(count)
        return count


@dataclass
class Watched:
    """A socket as http.client uses one, watched."""

    sock: socket.socket
    clock: Clock

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what comes, as a file."""
        return io.BufferedReader(_Bytes(self.sock, self.clock))

    def sendall(self, data: bytes) -> None:
        """Send DATA; the other end may take it as slowly as it may send. Raises OSError."""
        until = time.monotonic() + self.clock.limits.idle + len(data) / self.clock.limits.slowest
        left = memoryview(data)
        while left:
            self.sock.settimeout(max(until - time.monotonic(), 0.001))
            left = left[self.sock.send(left) :]

    def close(self) -> None:
        """Do nothing: http.client closes what it still reads of."""


def connect(url: urllib.parse.SplitResult, clock: Clock, *, may_be_own: bool) -> socket.socket:
    """Return a socket to the host of URL, with TLS if it is https.

    Raises OSError, http.client.HTTPException, and FetchError for a host that is refused.
    """
    host, port = host_of(url)
    proxy = proxy_of(url.scheme, host)
    if proxy is None:
        sock = connect_to(host, port, clock, may_be_own=may_be_own)
    else:
        if not may_be_own:
            reach.refuse_known(host)
        sock = connect_to(*host_of(proxy), clock, may_be_own=True)
        if url.scheme == "https":
            tunnel(sock, clock, f"{_bracketed(host)}:{port}", proxy)
    if url.scheme != "https":
        return sock
    sock.settimeout(clock.wait())
    return tls_context().wrap_socket(sock, server_hostname=host)


def connect_to(host: str, port: int, clock: Clock, *, may_be_own: bool) -> socket.socket:
    """Return a socket to PORT of HOST, looked up once; raises OSError, FetchError."""
    until = time.monotonic() + clock.limits.connect
    failure = OSError(f"{host} has no address")
    for family, place in reach.resolve(host, port, may_be_own=may_be_own):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(until - time.monotonic(), 0.001))
            sock.connect(place)
        except OSError as error:
            sock.close()
            failure = error
            continue
        return sock
    raise failure


def host_of(url: urllib.parse.SplitResult) -> tuple[str, int]:
    """Return the host and the port that URL leads to."""
    return url.hostname or "", url.port or PORTS[url.scheme]


def path_of(url: urllib.parse.SplitResult) -> str:
    """Return what URL asks its host for."""
    return urllib.parse.urlunsplit(("", "", url.path or "/", url.query, ""))


def proxy_of(scheme: str, host: str) -> urllib.parse.SplitResult | None:
    """Return the proxy that this host's settings have for HOST; raises OSError for another kind."""
    text = urllib.request.getproxies().get(scheme)
    if not text or urllib.request.proxy_bypass(host):
        return None
    proxy = urllib.parse.urlsplit(text if "://" in text else f"http://{text}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise OSError(f"the proxy for {scheme} is not one of http")
    return proxy


def credentials(url: urllib.parse.SplitResult) -> str:
    """Return what URL has of Basic credentials (RFC 7617), "" if it has none."""
    if url.username is None:
        return ""
    pair = f"{url.username}:{url.password or ''}"
    return "Basic " + base64.b64encode(urllib.parse.unquote_to_bytes(pair)).decode()


def tls_context() -> ssl.SSLContext:
    """Return a context that verifies servers with the certificates of this host."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None:
        bundle = next((path for path in BUNDLES if path.is_file()), None)
        if bundle is not None:
            context.load_verify_locations(bundle)
    return context


def tunnel(sock: socket.socket, clock: Clock, target: str, proxy: urllib.parse.SplitResult) -> None:
    """Ask PROXY, to which SOCK leads, for a connection to TARGET: RFC 9110, section 9.3.6.

    Raises OSError, http.client.HTTPException.
    """
    head = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if told := credentials(proxy):
        head.append(f"Proxy-Authorization: {told}")
    watched = Watched(sock, clock)
    watched.sendall("\r\n".join([*head, "", ""]).encode())
    answer = http.client.HTTPResponse(watched, method="CONNECT")  # type: ignore[arg-type]
    answer.begin()
    if answer.status != http.client.OK:
        raise OSError(f"the proxy answers {answer.status} {answer.reason}")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
