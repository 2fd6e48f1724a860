"""One HTTP exchange, as it is: no redirect is followed, no status is an error.

Used while locking only. Names are looked up once, this host is not the network
(vcr.lock.network.reach), and whatever a server does, it ends (vcr.lock.network.connection).
"""

import http.client
import io
import re
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vcr.errors import FetchError
from vcr.foreign import CHUNK, MIB
from vcr.lock.network.connection import (
    Clock,
    Limits,
    TooMuchError,
    Watched,
    connect,
    credentials,
    host_of,
    path_of,
    proxy_of,
)
from vcr.model.url import check_url

ATTEMPTS = 3
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP status codes that may pass
LIMITS = Limits()
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]+")


@dataclass(frozen=True)
class Response:
    """What a server said."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


def exchange(
    method: str,
    url: str,
    headers: Mapping[str, str | bytes],
    body: bytes,
    *,
    is_mirror: bool = False,
    limits: Limits = LIMITS,
    report: Callable[[int], object] = bool,
) -> Response:
    """Ask URL and return what it says; raises FetchError when it says nothing that lasts.

    A mirror, which the user chose, may be this host; what a step asks for may not. All
    attempts together take as long as one may. REPORT is told how many bytes have come.
    """
    parts = _parsed(url)
    reason: object = ""
    clock = Clock(limits, report=report)
    for attempt in range(ATTEMPTS):
        if attempt and clock.passed > limits.idle:
            break  # it was slow, not away for a moment
        if attempt:
            time.sleep(min(2.0**attempt, limits.idle))
        clock.count = 0
        try:
            response = _ask(method, parts, headers, body, clock, may_be_own=is_mirror)
        except TooMuchError as error:
            reason = error
            break
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = error
            continue
        if response.status not in RETRIED:
            return response
        reason = f"it answers {response.status}"
    raise FetchError(
        f"cannot read {url}", why=str(reason), fix="check the network and run it again"
    )


def _parsed(url: str) -> urllib.parse.SplitResult:
    try:
        return urllib.parse.urlsplit(check_url(url))
    except ValueError as error:
        raise FetchError(
            f"cannot ask {url}", why=str(error), fix="only http and https are locked"
        ) from None


def _ask(
    method: str,
    url: urllib.parse.SplitResult,
    headers: Mapping[str, str | bytes],
    body: bytes,
    clock: Clock,
    *,
    may_be_own: bool,
) -> Response:
    """Ask once; raises OSError, HTTPException, ValueError, FetchError."""
    host, port = host_of(url)
    told = {"Host": url.netloc.rpartition("@")[2], **headers}
    if (own := credentials(url)) and not any(name.lower() == "authorization" for name in told):
        told["Authorization"] = own
    target = path_of(url)
    proxy = proxy_of(url.scheme, host)
    if proxy is not None and url.scheme == "http":
        target = f"http://{told['Host']!s}{target}"
        if known := credentials(proxy):
            told["Proxy-Authorization"] = known
    connection = http.client.HTTPConnection(host, port)
    with connect(url, clock, may_be_own=may_be_own) as sock:
        connection.sock = Watched(sock, clock)
        connection.request(method, target, body or None, told)
        return _answer(connection.getresponse(), clock.limits)


def _answer(answer: http.client.HTTPResponse, limits: Limits) -> Response:
    if answer.status < http.client.OK:
        raise http.client.HTTPException(f"it answers {answer.status}, and sends nothing after it")
    length = answer.length
    if length is not None and length > limits.size:
        raise TooMuchError(f"it has {length} bytes; at most {limits.size} are locked")
    body = io.BytesIO()
    while piece := answer.read(CHUNK):
        body.write(piece)
        if body.tell() > limits.size:
            raise TooMuchError(f"it has more than {limits.size // MIB} MiB")
    if length is not None and length != body.tell():
        raise http.client.IncompleteRead(b"", length - body.tell())
    # RFC 9110, section 5.5: a value may go on on a second line; control characters are spaces
    headers = {name.lower(): _CONTROL.sub(" ", text) for name, text in answer.headers.items()}
    return Response(answer.status, headers, body.getvalue())
