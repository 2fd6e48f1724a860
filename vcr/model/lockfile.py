"""vcr.lock: every input of a project, closed. Committed, sorted JSON.

`inputs` holds one digest for each thing that was resolved, so that a stale lock
can name what changed. Builds only read the lock; `vcr lock` alone writes it.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from vcr.errors import LockError
from vcr.foreign import MAX_LOCK, read_bytes
from vcr.model.arch import Arch
from vcr.model.digest import CommitHash, Digest, NarHash, RefName, Sha256, Sha256Digest
from vcr.model.file_name import StoreName, Subdirectory
from vcr.model.plan import Exchange
from vcr.model.source import Fetched, GitSource
from vcr.model.url import AskedUrl, ImageReference, Url

_text = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
MAX_SHOWN = 200  # characters of where something is wrong
MAX_EPOCH = (1 << 32) - 1  # 32 bits without a sign, as squashfs and gzip have a time

# The descriptions of types and fields are the reference: docs/reference/vcr.lock.md.

# RFC 9110, sections 5.6.2 and 5.5: a token; what a header may say, so no end of its line.
type Token = Annotated[
    str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", description="token of HTTP")
]
type HeaderValue = Annotated[
    str, Field(pattern=r"^[^\x00-\x08\x0a-\x1f\x7f]*$", description="value of a header")
]
type Size = Annotated[int, Field(ge=0, le=1 << 50, description="number, at least 0")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class _Sparse(_Entry):
    """Writes only what is not as by default: there are many of these."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told, of = handler(self).items(), type(self).model_fields
        return {k: v for k, v in told if of[k].is_required() or (v and v != of[k].default)}


class LockedFile(_Entry):
    """A file by address, size and hash; the address is only a hint."""

    name: StoreName = Field(description="what its path in the store ends with")
    sha256: Sha256 = Field(description="hash of its bytes")
    size: Size = Field(description="in bytes")
    url: Url = Field(description="its address, never that of a mirror")

    def fetched(self) -> Fetched:
        """Return it as the plan describes it."""
        return Fetched(url=self.url, sha256=self.sha256, size=self.size, name=self.name)


class LockedRepository(_Sparse):
    """A commit of a git repository that ADD takes."""

    remote: Url = Field(description="the repository's address")
    ref: RefName = Field(default="", description="the branch or tag, if one was asked for")
    commit: CommitHash = Field(description="the commit")
    tag: CommitHash | Literal[""] = Field(default="", description="object of an annotated tag")
    subdir: Subdirectory = Field(default="", description="what directory is taken; default: all")
    keep_git_dir: bool = Field(default=False, description="whether `.git` is taken, too")
    nar_sha256: NarHash = Field(description="the NAR hash of what is taken")

    def planned(self) -> GitSource:
        """Return it as the plan describes it."""
        return GitSource(
            remote=self.remote,
            commit=self.commit,
            tag=self.tag,
            ref=self.ref,
            subdir=self.subdir,
            keep_git_dir=self.keep_git_dir,
            nar_sha256=self.nar_sha256,
        )


class LockedPackage(LockedFile):
    """A Debian package."""

    # Debian policy, sections 5.6.1 and 5.6.12
    package: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]*$")] = Field(
        description="its name"
    )
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+:~-]+$")] = Field(
        description="its version"
    )


class LockedDebian(_Entry):
    """A base of Debian packages."""

    kind: Literal["debian"] = Field(default="debian", description="of base")
    suite: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")] = Field(description="their suite")
    snapshot: Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{6}Z$")] = Field(
        description="a time when the archive had them"
    )
    archs: dict[Arch, tuple[LockedPackage, ...]] = Field(
        description="the closed set of each architecture"
    )
    configure: bool = Field(
        default=False, description="whether dpkg configures them, in a build machine"
    )


class LockedManifest(_Entry):
    """One architecture of an OCI image."""

    manifest: Sha256Digest = Field(description="of the manifest")
    config: dict[str, Any] = Field(description="its config's object `config`")
    blobs: dict[Sha256Digest, Size] = Field(description="manifest, config, layers, in bytes")


class LockedImage(_Entry):
    """A base that is an OCI image; a build fetches the blobs of its own architecture."""

    kind: Literal["oci"] = Field(default="oci", description="of base")
    reference: ImageReference = Field(description="its name in the project")
    archs: dict[Arch, LockedManifest] = Field(description="its architectures")
    indexes: dict[Sha256Digest, Size] = Field(
        default={}, description="what leads from the reference to the manifests, in bytes"
    )


LockedBase = LockedDebian | LockedImage


class LockedExchange(_Sparse):
    """A request of a RUN and its answer; the body is in `bodies` of the lock."""

    method: Token = Field(default="GET", description="of HTTP")
    url: AskedUrl = Field(description="the requested address")
    accept: HeaderValue = Field(default="", description="the header Accept of the request")
    body: Sha256 | Literal[""] = Field(default="", description="hash of the request's body")
    status: Annotated[int, Field(ge=100, le=999)] = Field(default=200, description="of the answer")
    headers: dict[Token, HeaderValue] = Field(
        default_factory=dict, description="headers of the answer that affect a client"
    )
    sha256: Sha256 = Field(description="of the answer's body, which is in `bodies`")

    def planned(self, size: int) -> Exchange:
        """Return it as the plan describes it; SIZE is the body's, in bytes."""
        return Exchange(**dict(self), size=size)


class LockedRun(_Sparse):
    """What one RUN asks the network for, in order."""

    command: str = Field(description="the command, for error messages")
    exchanges: tuple[LockedExchange, ...] = Field(description="requests and answers, in order")
    inputs: tuple[Sha256, ...] = Field(default=(), description="digests of what decides the step")


class LockedBody(_Sparse):
    """The body of an answer: where to get it again, or, if that is not certain, itself."""

    name: StoreName = Field(description="what its path in the store ends with")
    size: Size = Field(description="in bytes")
    url: Url | Literal[""] = Field(
        default="", description="its address, if it stays the same there"
    )
    data: str = Field(default="", description="otherwise the body itself, gzipped, in base64")

    def fetched(self, sha256: str) -> Fetched:
        """Return it as the plan describes it."""
        return Fetched(self.url, sha256, self.size, self.name, self.data)


class LockedEngine(_Sparse):
    """What runs the prod machine: hashes of another engine, or version, are others."""

    name: Literal["qemu", "cartesi"] = Field(description="which one")
    version: str = Field(
        default="", description="of QEMU's Debian package, or of the pinned Cartesi emulator"
    )
    kernel: str = Field(
        default="", description="for Cartesi: name of the pinned kernel, or `sha256:` of another"
    )
    emulator: Sha256Digest | Literal[""] = Field(
        default="", description="hash of a package that replaces the pinned one"
    )

    @property
    def words(self) -> str:
        """Return everything that distinguishes it from others of its name."""
        kernel = self.kernel and f"with {self.kernel}"
        return " ".join(filter(None, (self.version or self.emulator, kernel)))

    def __str__(self) -> str:
        return f"{self.name} {self.words}"


class Lock(_Entry):
    """All of vcr.lock."""

    version: Literal[1] = Field(default=1, alias="schema", description="of this format")
    epoch: Annotated[int, Field(ge=0, le=MAX_EPOCH)] = Field(
        description="SOURCE_DATE_EPOCH, in seconds since 1970"
    )
    inputs: dict[str, Sha256Digest] = Field(
        description="a digest of the request for each input, to name what changed"
    )
    bases: dict[str, Annotated[LockedBase, Field(discriminator="kind")]] = Field(
        description="bases of FROM, by name"
    )
    urls: dict[str, LockedFile] = Field(description="files of ADD, by address")
    repositories: dict[str, LockedRepository] = Field(
        default_factory=dict, description="git repositories of ADD, by address"
    )
    # None in locks of before it was locked: stale
    engine: LockedEngine | None = Field(
        default=None, description="the engine that runs the prod machine"
    )
    runs: dict[Arch, dict[Sha256, LockedRun]] = Field(
        default_factory=dict, description="answers to RUN, by the key of the step"
    )
    bodies: dict[Sha256, LockedBody] = Field(
        default_factory=dict, description="the bodies of answers, by hash"
    )

    @model_validator(mode="after")
    def _has_every_body(self) -> "Lock":
        runs = (run for of_arch in self.runs.values() for run in of_arch.values())
        answers = {exchange.sha256 for run in runs for exchange in run.exchanges}
        if missing := answers - self.bodies.keys():
            raise ValueError(f"bodies lacks {min(missing)}, the answer to a step")
        return self

    def to_text(self) -> str:
        """Return the file's content: sorted keys, one line a package or answer."""
        data = self.model_dump(mode="json", by_alias=True)
        optional = ("engine", "repositories", "runs", "bodies")
        data = {key: value for key, value in data.items() if value or key not in optional}
        return _laid_out(data, "\n") + "\n"


def _laid_out(value: Any, margin: str) -> str:
    """Return VALUE as sorted JSON; below the first level, what holds only words is one line."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(p, dict | list) for p in parts) and (len(margin) > 2 or not parts):
        return _text(value)
    inner = f"{margin} "
    if isinstance(value, list):
        return f"[{inner}{f',{inner}'.join(_laid_out(part, inner) for part in parts)}{margin}]"
    rows = (f"{_text(key)}: {_laid_out(value[key], inner)}" for key in sorted(value))
    return f"{{{inner}{f',{inner}'.join(rows)}{margin}}}"


def digest_of_input(content: object) -> Digest:
    """Return the digest of an input's definition, as canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Digest.of_bytes(text.encode())


def read_lock_file(path: Path) -> Lock:
    """Read the lock at PATH; raises LockError when it is missing or not a lock."""
    try:
        return Lock.model_validate_json(read_bytes(path, MAX_LOCK))
    except FileNotFoundError:
        raise LockError(
            f"there is no {path.name}",
            why="a build uses only inputs that are locked by hash",
            fix="run `vcr lock`, and commit the file it writes",
        ) from None
    except OSError as error:
        raise LockError(
            f"{path.name} cannot be read",
            why=error.strerror or str(error),
            fix="remove it, and run `vcr lock` to write it again",
        ) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))[:MAX_SHOWN]
        why = f"{where}: {first['msg']}" if where else str(first["msg"])
        if first["type"] in {"missing", "extra_forbidden"}:
            why += "; another version of vcr wrote it, or somebody edited it"
        raise LockError(
            f"{path.name} cannot be read",
            why=why[: 2 * MAX_SHOWN],
            fix="run `vcr lock` to write it again; another vcr made it, or it was edited by hand",
        ) from None
