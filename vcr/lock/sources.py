"""Where vcr fetches the bytes behind an address while locking.

The address is the identity; a mirror is only a nearer place. Bytes of a mirror are
taken for an address of the Debian snapshot archive when they are what was there then:
files by hash and in the pool never change, and a release is taken when it is not newer.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vcr.lock.debian.archive import SNAPSHOT_FORM
from vcr.lock.debian.release import Release

_SNAPSHOT = re.compile(r"https?://snapshot\.debian\.org/archive/debian/(\d{8}T\d{6}Z)/(.*)")
_RELEASE = re.compile(r"dists/([^/]+)/InRelease")
_NEVER_CHANGES = re.compile(r"pool/.*|dists/.*/by-hash/.*")

# Addresses whose content never changes, by their owners' word. Whatever else is locked
# may be something different tomorrow, so the lock holds it itself if it is small.
PERMANENT = (
    re.compile(r"https://files\.pythonhosted\.org/packages/[0-9a-f]{2}/[0-9a-f]{2}/.*"),
    re.compile(r"https://registry\.(?:npmjs\.org|yarnpkg\.com)/.*/-/[^/]+\.tgz"),
    re.compile(r"https://proxy\.golang\.org/.*/@v/.*\.(?:zip|mod|info)"),
    re.compile(r"https://static\.crates\.io/crates/.*"),
    # A version can be pushed once: https://guides.rubygems.org/removing-a-published-gem
    re.compile(r"https://rubygems\.org/gems/[^/]+\.gem"),
    re.compile(r"https?://snapshot\.debian\.org/archive/.*"),
    re.compile(r"https?://[^/]+/.*/(?:pool|by-hash)/.*"),
)


@dataclass(frozen=True)
class Sources:
    """The mirrors of this host: of Debian, and (prefix, replacement) of anything."""

    debian: Sequence[str] = ()
    replaced: Sequence[tuple[str, str]] = ()

    def addresses(self, url: str) -> Iterator[str]:
        """Yield where to look for URL, in order: the nearest first, itself last."""
        for prefix, replacement in self.replaced:
            if url.startswith(prefix):
                yield replacement + url.removeprefix(prefix)
        if match := _SNAPSHOT.fullmatch(url):
            path = match[2]
            for mirror in self.debian:
                if _NEVER_CHANGES.fullmatch(path) or _RELEASE.fullmatch(path):
                    yield f"{mirror}/{path}"
                if _RELEASE.fullmatch(path):
                    # One name of a suite may be older than the other: see lock.archive.
                    yield f"{mirror}/dists/stable/InRelease"
        yield url

    def is_answer(self, url: str, status: int, body: bytes) -> bool:
        """Return whether what a nearer place said, STATUS and BODY, will do for URL."""
        if any(url.startswith(prefix) for prefix, _ in self.replaced):
            return status != 404  # it may not have everything; else its word is taken
        return status == 200 and is_what_was_there(url, body)


def is_what_was_there(url: str, body: bytes) -> bool:
    """Return whether BODY, had from a mirror, is what the snapshot address URL stands for."""
    match = _SNAPSHOT.fullmatch(url)
    release = _RELEASE.fullmatch(match[2]) if match else None
    if match is None or release is None:
        return True
    # RFC 9580, section 7: the text lies between two armor headers.
    signed = body.decode("utf-8", "replace").partition("\n\n")[2].partition("\n-----BEGIN ")[0]
    try:
        found = Release.parse(signed)
    except ValueError:
        return False
    return release[1] in found.names and found.date.strftime(SNAPSHOT_FORM) <= match[1]


def is_permanent(url: str) -> bool:
    """Return whether what is at URL will be there for good."""
    match = _SNAPSHOT.fullmatch(url)
    if match is not None and _RELEASE.fullmatch(match[2]):
        return False  # it is, but a mirror of this host may be all there is to ask later
    return any(pattern.fullmatch(url) for pattern in PERMANENT)
