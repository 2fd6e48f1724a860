"""What is printed of exports, registries and caches."""

from typing import ClassVar

from pydantic import Field

from vcr.model.answers.base import Answer


class Export(Answer):
    """What was exported."""

    verb: ClassVar[str] = "export"

    path: str = Field(description="the new directory")
    manifest: str = Field(description="digest of its manifest.json")
    size: int = Field(description="of all files, in bytes")


class Nbd(Answer):
    """The drive that is being served."""

    verb: ClassVar[str] = "export --nbd"

    uri: str = Field(description="for clients")
    pid: int = Field(description="of the server")
    size: int = Field(description="of the drive, in bytes")


class Push(Answer):
    """What was pushed."""

    verb: ClassVar[str] = "push"

    to: str = Field(description="where to")
    digest: str = Field(description="of the index")


class Pull(Answer):
    """What was pulled, and is as it was exported."""

    verb: ClassVar[str] = "pull"

    origin: str = Field(alias="from", description="where from")
    path: str = Field(description="the new directory")
    manifest: str = Field(description="digest of its manifest.json")


class CachePush(Answer):
    """What was put into a binary cache."""

    verb: ClassVar[str] = "cache push"

    to: str = Field(description="the cache")
    paths: int = Field(description="how many store paths")
    key: str = Field(description="the public key of their signatures")


class CacheRow(Answer):
    """A stage, and which caches have it."""

    stage: str = Field(description="its name")
    here: bool = Field(description="whether it is in the store")
    caches: dict[str, str] = Field(
        description="by address: `yes`, `no`, `not by a trusted key` or `no answer`"
    )


class CacheInfo(Answer):
    """Where the stages of a project are."""

    verb: ClassVar[str] = "cache info"

    stages: list[CacheRow] = Field(description="each one")


class PruneRow(Answer):
    """Something that nothing needed."""

    kind: str = Field(description="its kind, such as `build` or `logs`")
    name: str = Field(description="its project or path")
    size: int = Field(description="its size, in bytes")


class Prune(Answer):
    """What was removed."""

    verb: ClassVar[str] = "prune"

    removed: list[PruneRow] = Field(description="each thing")
    freed: int = Field(description="bytes")
    dry_run: bool = Field(description="whether nothing was removed yet (`--dry-run`)")
