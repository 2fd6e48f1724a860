"""manifest.json of an export: what it is of, and path, digest and size of each file.

One file a line, in the order of paths, so that `sed` can read it, too: the digest of
the manifest is the digest of the export.
"""

import hashlib
import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vcr.errors import MismatchError
from vcr.foreign import open_regular
from vcr.model.digest import Digest
from vcr.model.ladder import MAX_EPOCH

MANIFEST = "manifest.json"
DRIVE, VERITY, LADDER, MACHINE, DEPLOY = (
    "drive", "verity.json", "ladder.json", "machine.json", "deploy.json",
)  # fmt: skip
IMAGE = "image"  # directory: an OCI layout
BLOBS = f"{IMAGE}/blobs/sha256"
MAX_BYTES = 64 << 30  # of all files of an export together
MAX_PATH = 255  # characters
# Names that need no quoting anywhere; none is hidden or leads upwards.
_PATH = r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*"


class File(BaseModel):
    """One file of an export."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: Annotated[str, Field(pattern=f"^{_PATH}$", max_length=MAX_PATH)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0, le=MAX_BYTES)]

    @classmethod
    def of(cls, root: Path, path: str) -> "File":
        """Describe the regular file at PATH below ROOT; raises OSError."""
        with open_regular(root / path) as file:
            size = os.fstat(file.fileno()).st_size
            found = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path=path, sha256=found, size=size)


class Manifest(BaseModel):
    """All of manifest.json."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_: Literal[1] = Field(alias="schema")
    kind: Literal["export"]
    name: str
    profile: str
    arch: str
    engine: str
    engine_version: str
    epoch: Annotated[int, Field(ge=0, le=MAX_EPOCH)]
    files: Annotated[tuple[File, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> "Manifest":
        paths = [file.path for file in self.files]
        if paths != sorted(set(paths)) or MANIFEST in paths:
            raise ValueError("its files are not in order, or a file occurs twice")
        above = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
        if above & set(paths):
            raise ValueError("a file of it is a directory, too")
        return self

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        told = self.model_dump(by_alias=True, exclude={"files"})
        head = "".join(f" {json.dumps(k)}: {json.dumps(v)},\n" for k, v in sorted(told.items()))
        rows = (json.dumps(file.model_dump(), sort_keys=True) for file in self.files)
        return ("{\n" + head + ' "files": [\n  ' + ",\n  ".join(rows) + "\n ]\n}\n").encode()

    @property
    def digest(self) -> Digest:
        """Return the digest of the file."""
        return Digest.of_bytes(self.to_bytes())

    @property
    def size(self) -> int:
        """Return the bytes of all its files together."""
        return sum(file.size for file in self.files)


def read_manifest(data: bytes) -> Manifest:
    """Read DATA; raises MismatchError for anything but what `to_bytes` gives."""
    try:
        found = Manifest.model_validate_json(data)
        again = found.to_bytes()
    except UnicodeEncodeError:
        raise _bad("it has half of a character") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _bad(f"{where}: {first['msg']}" if where else first["msg"]) from None
    if again != data:
        raise _bad("it is not written as vcr writes it")
    return found


def is_path(text: str) -> bool:
    """Return whether TEXT can be the path of a file in an export."""
    return re.fullmatch(_PATH, text) is not None


def _bad(why: str) -> MismatchError:
    return MismatchError(f"{MANIFEST} is not that of an export", why=why, fix="get it again")
