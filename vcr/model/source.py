"""What layers of a plan are made of: files by hash, and the sources of COPY and ADD."""

from dataclasses import dataclass
from typing import Literal

GIT_STORE_NAME = "vcr-git-tree"  # of what ADD takes of a repository


@dataclass(frozen=True)
class Fetched:
    """A file the lock closed: fetched by hash, never trusted by name."""

    url: str
    sha256: str  # 64 hex digits
    size: int  # bytes
    name: str  # file name; also its name in the Nix store
    data: str = ""  # base64 of the gzipped file, when the lock holds it itself


@dataclass(frozen=True)
class ContextSource:
    """Files of the build context, wildcards and .dockerignore already applied."""

    path: str  # the file or directory, links resolved; "." for the whole context
    name: str  # its name as written: what it is called inside a directory
    files: tuple[str, ...]  # every file, directory and symlink that takes part
    kind: Literal["context"] = "context"
    links: tuple[str, ...] = ()  # that led to the path; they decide what it is, and are not copied
    kept: str = ""  # COPY --parents: the path that is kept below the destination
    nar: str = ""  # the NAR hash of the files, in SRI form; vcr.build.contents computes it


@dataclass(frozen=True)
class StageSource:
    """Files of an earlier stage or image; wildcards are matched in the sandbox."""

    pattern: str
    layers: tuple[str, ...]  # ids of that stage's layers, bottom first
    kind: Literal["stage"] = "stage"
    pivot: int = 0  # COPY --parents: how many parts of a matched path are not kept


@dataclass(frozen=True)
class InlineSource:
    """A here-document."""

    name: str
    content: str
    kind: Literal["inline"] = "inline"


@dataclass(frozen=True)
class UrlSource:
    """A remote file, closed by the Dockerfile's --checksum or by the lock."""

    file: Fetched
    name: str  # file name when the destination is a directory
    kind: Literal["url"] = "url"
    unpack: bool = False  # ADD --unpack
    checksum: str = ""  # ALGORITHM:HEX of ADD --checksum, if it is not the file's SHA-256


@dataclass(frozen=True)
class GitSource:
    """What a commit of a git repository has, closed by the lock."""

    remote: str  # address of the repository
    commit: str  # hash
    tag: str  # hash of the tag object that leads to the commit, "" for none
    ref: str  # full name, which `.git` has for it: refs/tags/v1; "" for none
    subdir: str  # the directory that is taken, "" for all
    keep_git_dir: bool  # with the directory `.git`
    nar_sha256: str  # of what is taken: SRI form, "sha256-<base64>"
    kind: Literal["git"] = "git"


type Source = ContextSource | StageSource | InlineSource | UrlSource | GitSource
