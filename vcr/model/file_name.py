"""Names of fetched files: each ends a path in the Nix store and is a file in caches.

Nix takes letters, digits and +-._?= in them, at most 211 with the ".drv" of a derivation:
https://nix.dev/manual/nix/latest/store/store-path. One that begins with a dash or a dot is
refused, too: for programs it is an option, for directories hidden or the one above.
"""

import posixpath
import re
from typing import Annotated

from pydantic import AfterValidator, Field

_CHARACTERS = re.compile(r"[A-Za-z0-9+._?=-]+")
_DERIVATION = ".drv"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MAX_LENGTH = 211 - len(_DERIVATION)


def check_store_name(text: str) -> str:
    """Return TEXT, a name for the Nix store; raises ValueError saying what is wrong."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a file name of more than {MAX_LENGTH} characters")
    if not _CHARACTERS.fullmatch(text) or text.startswith((".", "-")):
        raise ValueError("a file name has letters, digits and +-._?= and begins with no . or -")
    if text.endswith(_DERIVATION):
        raise ValueError(f"a file name that ends in {_DERIVATION} is a derivation's")
    return text


type StoreName = Annotated[
    str, AfterValidator(check_store_name), Field(description="file name fit for the Nix store")
]


def inside(path: str) -> str:
    """Return PATH of a directory without what leads nowhere, and never above it; "" for itself."""
    return posixpath.normpath(f"/{path}").lstrip("/")


def check_subdirectory(text: str) -> str:
    """Return TEXT, a path as `inside` returns one; raises ValueError for another."""
    if inside(text) != text or _CONTROL.search(text):
        raise ValueError(f"{text!r} does not name a directory of a repository")
    return text


type Subdirectory = Annotated[str, AfterValidator(check_subdirectory), Field(description="text")]


def store_name(name: str) -> str:
    """Make NAME fit for the Nix store; "" when nothing of it is."""
    safe = "".join(c if _CHARACTERS.fullmatch(c) else "-" for c in name)
    safe = safe.lstrip(".-")[:MAX_LENGTH]
    return f"{safe[: -len(_DERIVATION)]}-drv" if safe.endswith(_DERIVATION) else safe


def last_part(url: str) -> str:
    """Return the last part of the path of URL, "" when it names no file."""
    path = re.split("[?#]", url)[0].partition("://")[2].partition("/")[2]
    part = path.rstrip("/").rpartition("/")[2]
    return "" if part in {".", ".."} else part
