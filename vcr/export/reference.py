"""A place in a registry, as it is written: HOST[:PORT]/NAME[:TAG][@DIGEST]."""

import ipaddress
import re
from dataclasses import dataclass

from vcr.errors import UsageError
from vcr.model.url import repository_of

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
    host: str  # without its port
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
    def repository(self) -> str:
        """Return HOST[:PORT]/NAME alone."""
        return repository_of(self.text)

    @property
    def image(self) -> str:
        """Return it as skopeo names it; a digest alone decides, a tag beside it is dropped."""
        image = f"docker://{self.text}"
        return f"{repository_of(image)}@{self.digest}" if self.digest else image


def _names_registry(host: str, port: str | None) -> bool:
    return host == "localhost" or port is not None or "." in host or host.startswith("[")
