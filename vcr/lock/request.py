"""What a build machine asks for: a line of JSON, and the body of the request.

A step may be root in its machine, so what comes is read as a stranger's.
"""

import hashlib
import io
import re
from dataclasses import dataclass

from vcr.foreign import MIB, load_json, read_line
from vcr.model.url import ASKED

_TEXTS = ("method", "url", "accept", "body")
MAX_BODY = 256 * MIB  # of a request
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")  # of a header


@dataclass(frozen=True)
class Request:
    """What a client in the machine asked for."""

    method: str
    url: str
    accept: str
    body: str  # SHA-256 of the content, "" for none
    headers: dict[str, str]
    content: bytes

    @property
    def key(self) -> tuple[str, ...]:
        """Return what decides the answer; guest/step/proxy.go has the same."""
        return self.method, self.url, self.accept, self.body

    @property
    def title(self) -> str:
        """Return what to call it in messages."""
        return f"{self.method} {self.url}"


def read_request(port: io.BufferedRWPair) -> Request | None:
    """Return the next request at PORT, None at the end; raises OSError, ValueError."""
    line = read_line(port)
    if not line:
        return None
    told = load_json(line)
    if not isinstance(told, dict) or not all(isinstance(told.get(k), str) for k in _TEXTS):
        raise ValueError("the request is not valid")
    length, headers = told.get("length"), told.get("headers")
    if not isinstance(length, int) or not 0 <= length <= MAX_BODY:
        raise ValueError(f"a request of more than {MAX_BODY // MIB} MiB")
    if not isinstance(headers, dict) or not all(map(_is_header, headers.items())):
        raise ValueError("a request with an invalid header")
    if not _TOKEN.fullmatch(told["method"]) or not _VALUE.fullmatch(told["accept"]):
        raise ValueError("not an HTTP request")
    if not re.fullmatch(ASKED, told["url"]):
        raise ValueError("a request for an invalid address")
    content = port.read(length)
    if len(content) != length:
        raise ValueError("a request that ends early")
    if told["body"] != (hashlib.sha256(content).hexdigest() if content else ""):
        raise ValueError("a request with another body than it claims")
    texts = {key: told[key] for key in _TEXTS}
    if not all(map(_is_text, (*texts.values(), *headers.values()))):
        raise ValueError("a request that is not text")
    return Request(**texts, headers=headers, content=content)


def _is_header(item: tuple[object, object]) -> bool:
    name, value = item
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and _TOKEN.fullmatch(name) is not None
        and _VALUE.fullmatch(value) is not None
    )


def _is_text(text: str) -> bool:
    """Return whether TEXT is UTF-8: JSON may have halves of pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
