"""One HTTP exchange, as it is: no redirect is followed, no status is an error.

Used while locking only. urllib honours the host's proxy settings.
"""

import http.client
import ipaddress
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vcr.errors import FetchError
from vcr.lock.fetch import ATTEMPTS, RETRIED, TIMEOUT_SECONDS

# Where distributions keep their certificates, when OpenSSL was built for another one.
BUNDLES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))


@dataclass(frozen=True)
class Response:
    """What a server said."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,  # noqa: ARG002
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: http.client.HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        return None


def exchange(
    method: str, url: str, headers: Mapping[str, str], body: bytes, *, is_mirror: bool = False
) -> Response:
    """Ask URL and return what it says; raises FetchError when it says nothing that lasts.

    A mirror, which the user chose, may be this host; what a step asks for may not.
    """
    if not url.startswith(("http://", "https://")):
        raise FetchError(f"cannot ask {url}", why="only http and https are locked")
    if not is_mirror:
        _refuse_own_host(url)
    opener = urllib.request.build_opener(
        _NoRedirect(), urllib.request.HTTPSHandler(context=tls_context())
    )
    request = urllib.request.Request(url, body or None, dict(headers), method=method)  # noqa: S310
    reason: object = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(2.0**attempt)
        try:
            response = _ask(opener, request)
        except (OSError, http.client.HTTPException) as error:
            reason = error
            continue
        if response.status not in RETRIED:
            return response
        reason = f"it answers {response.status}"
    raise FetchError(
        f"cannot read {url}", why=str(reason), fix="check the network and run it again"
    )


def _ask(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> Response:
    try:
        answer = opener.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        answer = error  # an answer like any other
    with answer:
        # RFC 9110, section 5.5: a value that goes on on a second line
        headers = {name.lower(): " ".join(v.splitlines()) for name, v in answer.headers.items()}
        return Response(answer.status or 0, headers, answer.read())


def tls_context() -> ssl.SSLContext:
    """Return a context that verifies servers with the certificates of this host."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None:
        bundle = next((path for path in BUNDLES if path.is_file()), None)
        if bundle is not None:
            context.load_verify_locations(bundle)
    return context


def _refuse_own_host(url: str) -> None:
    """Refuse names that lead to this host, or to the metadata service of a cloud."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        found = {str(row[4][0]) for row in socket.getaddrinfo(host, None)}
    except OSError:
        return  # a proxy may know the name; without one, asking fails
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        if address.is_loopback or address.is_link_local or address.is_unspecified:
            raise FetchError(
                f"{url} is refused",
                why=f"{host} is {address}, which is not the network but this host",
                fix="use VCR_MIRRORS if a service of this host is meant",
            )
