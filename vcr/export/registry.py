"""Pushes exports to registries, and pulls them for verification.

What is pulled is checked as if it came by post: every digest, then the drive by its
hash tree. Credentials are skopeo's business: `skopeo login` writes its file.
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from vcr.atomic import new_directory, scratch_directory
from vcr.errors import UsageError
from vcr.export.artifact import unpack_layout, write_layout
from vcr.export.check import check_export
from vcr.export.claims import check_room, read_claims
from vcr.export.manifest import Manifest
from vcr.export.write import settle
from vcr.model.digest import Digest
from vcr.model.url import repository_of
from vcr.tools.skopeo import Skopeo

# https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-manifests
_REFERENCE = re.compile(
    r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(?::(?P<port>\d+))?"
    r"(?P<path>(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)+)"
    r"(?P<tag>:\w[\w.-]{0,127})?(?P<digest>@sha256:[0-9a-f]{64})?"
)


@dataclass(frozen=True)
class Reference:
    """A place in a registry: HOST[:PORT]/NAME[:TAG][@DIGEST]."""

    text: str
    host: str
    digest: str  # "" or sha256:...

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read TEXT; raises UsageError."""
        if "@" in text.partition("/")[0]:
            raise UsageError(
                "a reference cannot contain credentials",
                fix="`skopeo login` keeps them in its own file",
            )
        match = _REFERENCE.fullmatch(text)
        if match is None or not _names_registry(match["host"], match["port"]):
            raise UsageError(
                f"{text!r} does not name a place in a registry",
                fix="write HOST[:PORT]/NAME[:TAG], such as registry.example.org/team/app:1",
            )
        return cls(text, match["host"].strip("[]"), (match["digest"] or "").removeprefix("@"))

    @property
    def is_loopback(self) -> bool:
        """Return whether the registry is on this host, so that nobody listens in."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def image(self) -> str:
        """Return it as skopeo names it; a digest alone decides, a tag beside it is dropped."""
        image = f"docker://{self.text}"
        return f"{repository_of(image)}@{self.digest}" if self.digest else image


def _names_registry(host: str, port: str | None) -> bool:
    return host == "localhost" or port is not None or "." in host or host.startswith("[")


def push(skopeo: Skopeo, export: Path, reference: Reference) -> Digest:
    """Push the EXPORT to REFERENCE; return the digest of its index.

    Raises UsageError, MismatchError for an export that is not whole, VcrError.
    """
    if reference.digest:
        raise UsageError("a digest cannot be pushed to", fix="give a tag, or leave it out")
    manifest = check_export(export)
    with scratch_directory() as scratch:
        layout = scratch / "layout"
        digest = write_layout(export, manifest, layout)
        skopeo.push_all(layout, reference.image, plain_http=reference.is_loopback)
    return digest


def write(export: Path, target: Path) -> Digest:
    """Write the EXPORT as an OCI layout into TARGET, empty or missing; raises as `push`."""
    manifest = check_export(export)
    with new_directory(target) as root:
        digest = write_layout(export, manifest, root)
        settle(root, manifest.epoch)
    return digest


def pull(skopeo: Skopeo, reference: Reference, target: Path, expected: str) -> Manifest:
    """Pull the export at REFERENCE into TARGET, empty or missing; return its manifest.

    EXPECTED is the digest that its manifest must have, or "". Raises FetchError, MismatchError.
    """
    plain_http = reference.is_loopback
    with new_directory(target) as root, scratch_directory() as scratch:
        claims = read_claims(skopeo, reference.image, plain_http=plain_http)
        check_room(claims, root, scratch)
        layout = scratch / "layout"
        # By digest: what is fetched is what was asked about.
        pinned = f"{repository_of(reference.image)}@{claims.digest}"
        skopeo.copy_all(pinned, layout, plain_http=plain_http, most=claims.size)
        unpack_layout(layout, root)
        manifest = check_export(root, expected)
        settle(root, manifest.epoch)
    return manifest
