"""Downloads for `vcr lock`: plain HTTP(S), retried, checked, cached by hash.

Redirects are followed, each hop checked as the first address was. What is returned is
verified by hash or signature before use. Builds never come here; they take files by hash
through Nix.
"""

import hashlib
import urllib.parse
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vcr import __version__
from vcr.atomic import write_bytes
from vcr.errors import FetchError
from vcr.foreign import read_bytes
from vcr.lock.network.connection import Limits
from vcr.lock.network.web import LIMITS, Response, exchange
from vcr.model.url import check_url

MAX_HOPS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class Source:
    """An address, and whether it is the user's own choice, which may be this host."""

    url: str
    is_mirror: bool = False


def fetch(sources: Sequence[Source], *, most: int, limits: Limits = LIMITS) -> bytes:
    """Return the body of the first of SOURCES that answers, of at most MOST bytes.

    Raises FetchError naming all.
    """
    reasons = []
    for source in sources:
        try:
            return _fetch_one(source, replace(limits, size=most))
        except FetchError as error:
            reasons.append((source.url, error.why or error.what))
    first = sources[0].url
    raise FetchError(
        f"cannot download {first.rpartition('/')[2] or first}",
        details=reasons,
        why="no source answered",
        fix="check the network (and the proxy, if there is one) and run it again",
    )


def fetch_checked(sources: Sequence[Source], *, sha256: str, size: int, cache: Path) -> bytes:
    """Return a file known by hash, from CACHE or from SOURCES; raises FetchError.

    SHA256 is 64 hex digits, SIZE is in bytes. Bytes that differ are never kept.
    """
    kept = cache / sha256
    with suppress(OSError):  # not there, or not as it was
        data = read_bytes(kept, size)
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    data = fetch(sources, most=size)
    got = hashlib.sha256(data).hexdigest()
    if got != sha256:
        raise FetchError(
            f"{sources[0].url} is not the file that was promised",
            details=[
                ("expected", f"sha256:{sha256} ({size} bytes)"),
                ("got", f"sha256:{got} ({len(data)} bytes)"),
            ],
            why="the archive is being updated, or somebody changed the file in transit",
            fix="run it again in some minutes; if the error stays, do not trust that mirror",
        )
    write_bytes(kept, data)
    return data


def _fetch_one(source: Source, limits: Limits) -> bytes:
    """Return the body at the end of the redirects of SOURCE; raises FetchError."""
    url = source.url
    for _ in range(MAX_HOPS):
        own = source.is_mirror and _place(url) == _place(source.url)
        headers = {"User-Agent": f"vcr/{__version__}"}
        answer = exchange("GET", url, headers, b"", is_mirror=own, limits=limits)
        if answer.status not in REDIRECTS:
            if answer.status != 200:
                raise FetchError(f"cannot read {url}", why=f"it answers {answer.status}")
            return answer.body
        url = _next(url, answer)
    raise FetchError(f"cannot read {source.url}", why=f"it redirects more than {MAX_HOPS} times")


def _place(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _next(url: str, answer: Response) -> str:
    """Return where ANSWER, of URL, leads; raises FetchError."""
    try:
        found = check_url(urllib.parse.urljoin(url, answer.headers.get("location", "")))
    except ValueError as error:
        raise FetchError(f"cannot read {url}", why=f"its redirect: {error}") from None
    if url.startswith("https:") and not found.startswith("https:"):
        raise FetchError(
            f"cannot read {url}", why=f"it leads to {found}, where anybody may change the data"
        )
    return found
