"""Downloads for `vcr lock`: plain HTTP(S), retried, checked, cached by hash.

urllib is enough here: it honours the proxy variables and OpenSSL's certificate
settings, and what it returns is verified by hash or signature before use.
Builds never come here; they take files by hash through Nix.
"""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from vcr import __version__
from vcr.atomic import write_bytes
from vcr.errors import FetchError

TIMEOUT_SECONDS = 60.0
ATTEMPTS = 3
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP status codes that may pass


def fetch(urls: Sequence[str]) -> bytes:
    """Return the body of the first of URLS that answers; raises FetchError naming all."""
    reasons = []
    for url in urls:
        try:
            return _fetch_one(url)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reasons.append((url, str(error)))
    raise FetchError(
        f"cannot download {urls[0].rpartition('/')[2] or urls[0]}",
        details=reasons,
        why="no source answered",
        fix="check the network (and the proxy, if there is one) and run it again",
    )


def fetch_checked(urls: Sequence[str], *, sha256: str, size: int, cache: Path) -> bytes:
    """Return a file known by hash, from CACHE or from URLS; raises FetchError.

    SHA256 is 64 hex digits, SIZE is in bytes. Bytes that differ are never kept.
    """
    kept = cache / sha256
    if kept.exists():
        data = kept.read_bytes()
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
        kept.unlink()
    data = fetch(urls)
    got = hashlib.sha256(data).hexdigest()
    if got != sha256:
        raise FetchError(
            f"{urls[0]} is not the file that was promised",
            details=[
                ("expected", f"sha256:{sha256} ({size} bytes)"),
                ("got", f"sha256:{got} ({len(data)} bytes)"),
            ],
            why="the archive is being updated, or somebody changed the file on its way",
            fix="run it again in some minutes; if it stays, do not trust that mirror",
        )
    write_bytes(kept, data)
    return data


def _fetch_one(url: str) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ValueError("only http and https addresses are read")
    request = urllib.request.Request(url, headers={"User-Agent": f"vcr/{__version__}"})  # noqa: S310
    for attempt in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            if error.code not in RETRIED or attempt == ATTEMPTS - 1:
                raise
        except (TimeoutError, ConnectionError, http.client.IncompleteRead):
            if attempt == ATTEMPTS - 1:
                raise
        time.sleep(2.0**attempt)
    raise AssertionError("unreachable")  # the last attempt returns or raises
