"""What is printed of projects and what is built of them."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from vcr.model.answers.base import Answer


class RungRow(Answer):
    """A rung of the ladder."""

    name: str = Field(description="its name, such as `image`")
    digest: str = Field(description="`sha256:` or, of a PCR, `sha384:`, and hex digits")
    size: int = Field(description="bytes of what the digest is of")
    path: str = Field(description="the file or directory, in the Nix store")


class BuiltRow(Answer):
    """A stage that was built, or was there."""

    name: str = Field(description="its name")
    path: str = Field(description="its output, in the Nix store")
    cached: bool = Field(description="whether it was cached")
    reason: str = Field(description="why it was built, or from which cache it came")
    seconds: float = Field(description="that building it took")


class Build(Answer):
    """What was built: the ladder as a file, which `vcr verify` takes."""

    verb: ClassVar[str] = "build"

    name: str = Field(description="of the project")
    profile: str = Field(description="what it was built for")
    arch: str = Field(description="architecture of the image")
    engine: str = Field(description="the engine that runs a prod machine")
    engine_version: str = Field(description="its version")
    epoch: int = Field(description="SOURCE_DATE_EPOCH, seconds since 1970")
    ladder: list[RungRow] = Field(description="the ladder, from the bottom")
    stages: list[BuiltRow] = Field(description="the stages, in the order they were built")


class StageRow(Answer):
    """A stage of a plan."""

    name: str = Field(description="its name")
    path: str = Field(description="where its output is or would be")
    built: bool = Field(description="whether it is there")
    size: int = Field(description="in bytes; 0 when it is missing")
    closure_size: int = Field(description="in bytes, including everything it refers to")


class Inspect(Answer):
    """The plan of a project and what is built of it."""

    verb: ClassVar[str] = "inspect"

    plan: dict[str, Any] = Field(description="the input of Nix; its format may change at any time")
    stages: list[StageRow] = Field(description="the stages of the profile")
    ladder: list[RungRow] = Field(description="the rungs of what is built")


class Value(Answer):
    """A setting."""

    key: str = Field(description="as in `machine.memory`")
    value: Any = Field(description="the value in effect; times in seconds, memory in MiB")
    origin: Literal["vcr.toml", "default"] = Field(alias="from", description="where it was set")


class Config(Answer):
    """The settings in effect."""

    verb: ClassVar[str] = "inspect --config"

    name: str = Field(description="of the project")
    values: list[Value] = Field(description="all settings")


class NodeRow(Answer):
    """A stage or a layer."""

    name: str = Field(description="its name")
    label: str = Field(description="in a few words")
    is_built: bool = Field(description="whether it is there")
    needs: list[str] = Field(description="names of others from which it is built")


class Graph(Answer):
    """What is built of what."""

    verb: ClassVar[str] = "graph"

    nodes: list[NodeRow] = Field(description="each one after those that it needs")


class NextRow(Answer):
    """A command that helps now."""

    command: str = Field(description="the command to type")
    why: str = Field(description="what it does")


class Intro(Answer):
    """How far a directory has come."""

    verb: ClassVar[str] = "intro"

    state: Literal["empty", "dockerfile", "unlocked", "stale", "locked", "built"] = Field(
        description="what there is"
    )
    name: str = Field(description="of the project; empty when there is none")
    next: list[NextRow] = Field(description="the next steps")


class Create(Answer):
    """The project that was made."""

    verb: ClassVar[str] = "create"

    name: str = Field(description="of the project")
    path: str = Field(description="its directory")
    template: str = Field(description="the template")


class AttestedRow(Answer):
    """What came of verifying a file."""

    file: str = Field(description="its name")
    holds: bool = Field(description="whether it is verified")
    state: Literal["verified", "kept", "not verified"] = Field(
        description="the result; for a receipt, only its origin was checked"
    )
    words: str = Field(description="its content, or why it does not hold")


class Report(Answer):
    """The page that was written."""

    verb: ClassVar[str] = "report"

    path: str = Field(description="where it is")
    attestations: list[AttestedRow] = Field(description="the given statements and evidence")


class Lock(Answer):
    """Whether the lock changed."""

    verb: ClassVar[str] = "lock"

    changed: bool = Field(description="whether it was written")
    changes: list[str] = Field(description="the changes, as text")
    epoch: int | None = Field(
        default=None, description="of the lock; not with `--check` and `--audit`"
    )
    compared: int | None = Field(
        default=None, description="how many entries `--audit` compared with their sources"
    )
    differences: list[str] = Field(
        default_factory=list, description="differences that `--audit` found, as text"
    )
    unasked: list[str] = Field(
        default_factory=list, description="entries whose source did not answer `--audit`, and why"
    )
