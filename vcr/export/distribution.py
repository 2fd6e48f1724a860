"""Asks a registry for what skopeo does not ask for: a GET of its API, with the same credentials.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md and, for its tokens,
https://distribution.github.io/distribution/spec/auth/token/. Credentials are those that
`skopeo login` has written: containers-auth.json(5).
"""

import base64
import binascii
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vcr.errors import FetchError
from vcr.export.reference import Reference
from vcr.foreign import MAX_LADDER, MAX_TEXT, load_json, read_bytes
from vcr.lock.network.connection import Limits
from vcr.lock.network.web import Response, exchange
from vcr.settings import ambient

UNAUTHORIZED = 401
LIMITS = Limits(total=120.0, size=MAX_LADDER)
# RFC 9110, section 11.6.1: a scheme, and what it wants to know
_CHALLENGE = re.compile(r"(?i:(?P<scheme>bearer|basic))(?:\s+(?P<rest>.*))?")
_PARAMETER = re.compile(r'(\w+)="([^"\\]*)"')


def get(reference: Reference, path: str, accept: str) -> Response:
    """Return what the registry of REFERENCE answers to GET /v2/NAME/PATH, whatever its status.

    Raises FetchError when it does not answer.
    """
    host, _, name = reference.repository.partition("/")
    scheme = "http" if reference.is_loopback else "https"
    url = f"{scheme}://{host}/v2/{name}/{path}"
    told = {"Accept": accept}
    answer = _ask(url, told, may_be_own=True)
    if answer.status != UNAUTHORIZED:
        return answer
    known = _credentials(reference.repository)
    permit = _permit(answer.headers.get("www-authenticate", ""), reference, known)
    if not permit:
        return answer
    return _ask(url, {**told, "Authorization": permit}, may_be_own=True)


def _ask(url: str, headers: dict[str, str], *, may_be_own: bool) -> Response:
    """Ask URL; only a registry that the user named MAY_BE_OWN, a service of this host."""
    return exchange("GET", url, headers, b"", is_mirror=may_be_own, limits=LIMITS)


def _permit(challenge: str, reference: Reference, known: str) -> str:
    """Return what answers CHALLENGE, "" when nothing does; raises FetchError."""
    match = _CHALLENGE.match(challenge.strip())
    if match is None:
        return ""
    if match["scheme"].lower() == "basic":
        return f"Basic {known}" if known else ""
    told = dict(_PARAMETER.findall(match["rest"] or ""))
    realm = told.pop("realm", "")
    # A password goes nowhere in the clear but to this host itself.
    if not realm.startswith("https://") and not reference.is_loopback:
        return ""
    wanted = {key: told[key] for key in ("service", "scope") if key in told}
    mark = "&" if "?" in realm else "?"
    url = realm + mark + urllib.parse.urlencode(wanted)
    headers = {"Authorization": f"Basic {known}"} if known else {}
    answer = _ask(url, headers, may_be_own=reference.is_loopback)
    try:
        content = load_json(answer.body)
        token = content.get("token") or content.get("access_token")
    except (ValueError, AttributeError) as error:
        raise FetchError(f"{realm} gives no token", why=str(error)) from None
    return f"Bearer {token}" if isinstance(token, str) and token.isprintable() else ""


def _credentials(repository: str) -> str:
    """Return NAME:PASSWORD for REPOSITORY in base64, "" where no file has any.

    The most specific entry counts: of HOST/A/B, then HOST/A, then HOST.
    """
    for path in _auth_files():
        try:
            rows: dict[str, Any] = load_json(read_bytes(path, MAX_TEXT))["auths"]
            name = repository
            while name and not isinstance(rows.get(name), dict):
                name = name.rpartition("/")[0]
            auth = rows[name]["auth"] if name else ""
            base64.b64decode(auth, validate=True)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            continue
        if auth:
            return str(auth)
    return ""


def _auth_files() -> Iterator[Path]:
    """Yield where credentials may be, in skopeo's order."""
    if named := ambient("REGISTRY_AUTH_FILE"):
        yield Path(named)
        return
    if runtime := ambient("XDG_RUNTIME_DIR"):
        yield Path(runtime, "containers/auth.json")
    home = Path(ambient("HOME") or "/")
    yield Path(ambient("XDG_CONFIG_HOME") or home / ".config", "containers/auth.json")
    yield home / ".docker/config.json"
