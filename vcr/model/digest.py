"""Content digests in the OCI notation, `sha256:<64 hex digits>`.

PCRs of an enclave are SHA-384: `sha384:<96 hex digits>`.

https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

_FORM = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}")


class Digest(str):
    """A digest; constructing one checks its form (ValueError)."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check TEXT and wrap it."""
        if not _FORM.fullmatch(text):
            raise ValueError(f"not a digest: {text!r}")
        return super().__new__(cls, text)

    @classmethod
    def of_bytes(cls, data: bytes) -> Self:
        """Hash DATA."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Hash the file at PATH; raises OSError."""
        with path.open("rb") as file:
            return cls("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())

    @property
    def algorithm(self) -> str:
        """Return what hashed it: sha256 or sha384."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """Return the hex digits."""
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """Return a form for people: the algorithm and 12 digits."""
        return self[:19]


type Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256, 64 hex digits")]
type Sha256Digest = Annotated[
    str, Field(pattern=r"^sha256:[0-9a-f]{64}$", description="`sha256:` and 64 hex digits")
]
type NarHash = Annotated[
    str, Field(pattern=r"^sha256-[A-Za-z0-9+/]{43}=$", description="`sha256-` and base64 (SRI)")
]
type CommitHash = Annotated[
    str, Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$", description="hash of git, in hex")
]
type RefName = Annotated[
    str, Field(pattern=r"^(refs/[^\x00-\x20\x7f]+)?$", description="name in `refs/` of git")
]
