"""Addresses that a project, a lock or a server names: checked where they enter.

RFC 3986, section 2: an address has only these characters; everything else is percent-encoded.
"""

import re
import urllib.parse
from typing import Annotated

from pydantic import AfterValidator, Field

BEGINNINGS = ("http://", "https://")
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
MAX_LENGTH = 8000  # RFC 9110, section 4.1, asks for at least that
# Of HOST/NAME:TAG and HOST/NAME@DIGEST; whether one is well-formed is skopeo's to say.
_IMAGE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:/@+\[\]-]*")
_DOCKER_HUB = re.compile(r"^(?:index\.)?docker\.io/")
ASKED = r"https?://[^\x00-\x20\x7f]+"  # what a step may ask for: any address of the network


def check_url(text: str) -> str:
    """Return TEXT, an http or https address of RFC 3986; raises ValueError saying what is wrong."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an address of more than {MAX_LENGTH} characters")
    if not _CHARACTERS.fullmatch(text):
        wrong = _CHARACTERS.sub("", text)[:1]
        raise ValueError(f"{wrong!r} in an address has to be percent-encoded (RFC 3986)")
    if not text.startswith(BEGINNINGS):
        raise ValueError("an address has to begin with http:// or https://")
    parts = urllib.parse.urlsplit(text)
    if not parts.hostname:
        raise ValueError("an address has to name a host")
    _ = parts.port  # raises ValueError when it is not a port
    return text


def encoded(text: str) -> str:
    """Return the address TEXT with what RFC 3986 does not allow in it percent-encoded."""
    whole = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)
    return urllib.parse.quote(whole, safe="%:/?#[]@!$&'()*+,;=~", encoding="utf-8")


def check_image(text: str) -> str:
    """Return TEXT, the name of an image of a registry; raises ValueError unless it is one."""
    if len(text) > MAX_LENGTH or not _IMAGE.fullmatch(text):
        raise ValueError(f"{text[:100]!r} is not the name of an image such as HOST/NAME:TAG")
    return text


def repository_of(image: str) -> str:
    """Return IMAGE, HOST/NAME:TAG@DIGEST with or without a transport, without tag and digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def familiar_name(text: str) -> str:
    """Return the image TEXT as Docker shows it: of Docker Hub without its host, without `latest`.

    `alpine`, `alpine:latest` and `docker.io/library/alpine` are one image:
    https://github.com/distribution/reference, ParseNormalizedNamed and FamiliarString.
    """
    name = _DOCKER_HUB.sub("", text, count=1).removeprefix("library/")
    return name.removesuffix(":latest") if "@" not in name else name


type Url = Annotated[
    str, AfterValidator(check_url), Field(description="http or https address (RFC 3986)")
]
type ImageName = Annotated[
    str, AfterValidator(check_image), Field(description="name of an image of a registry")
]
# As a step wrote it, which need not be RFC 3986; nothing but the step itself is given it.
type AskedUrl = Annotated[str, Field(pattern=f"^{ASKED}$", description="address")]
# skopeo has more transports, which read what is on this host; a dash begins an option.
type ImageReference = Annotated[
    str,
    Field(
        pattern=r"^(docker://[A-Za-z0-9\[][A-Za-z0-9._:/@+\[\]-]*|oci:/[^\x00-\x1f\x7f]*)$",
        description="`docker://IMAGE` or `oci:/DIRECTORY`",
    ),
]
