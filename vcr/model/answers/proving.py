"""What is printed of keys, statements and comparisons."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from vcr.model.answers.base import Answer


class VerifyRow(Answer):
    """A rung, as it was claimed and as it was built."""

    name: str = Field(description="its name")
    expected: str = Field(description="the digest of the ladder; empty when it has none")
    got: str = Field(description="the digest that was built")
    same: bool = Field(description="whether they agree")


class Verify(Answer):
    """Whether a ladder, or with `--image` a drive, is what it should be."""

    verb: ClassVar[str] = "verify"

    same: bool = Field(description="whether all of them agree")
    rungs: list[VerifyRow] | None = Field(default=None, description="of a ladder")
    rebuilt: str | None = Field(
        default=None, description="of a ladder: how much was built again; project, toolchain, "
        "or nothing",
    )  # fmt: skip
    root_hash: str | None = Field(default=None, description="of a drive")


class DifferenceRow(Answer):
    """Something that differs."""

    where: str = Field(description="a file, a page of memory, a device")
    how: str = Field(description="how it differs")
    cause: dict[str, str] = Field(description="the known cause: `why`, and `fix`")


class Explain(Answer):
    """Where two builds differ."""

    verb: ClassVar[str] = "explain"

    rung: str = Field(description="the first that differs")
    differences: list[DifferenceRow] = Field(description="the differences in it")


class Keygen(Answer):
    """A key pair that was made."""

    verb: ClassVar[str] = "attest keygen"

    private: str = Field(description="file of the private key")
    public: str = Field(description="file of the public key")
    keyid: str = Field(description="SHA-256 of the public key's SubjectPublicKeyInfo")


class Attest(Answer):
    """A statement."""

    verb: ClassVar[str] = "attest"

    envelope: dict[str, Any] = Field(description="the DSSE envelope")
    files: list[str] = Field(description="what was written")


class PublishedRow(Answer):
    """A statement that a registry has."""

    file: str = Field(description="where it came from")
    digest: str = Field(description="of its manifest in the registry")
    image: str = Field(description="digest of the image that it refers to")


class AttestPush(Answer):
    """What was put beside an image."""

    verb: ClassVar[str] = "attest push"

    to: str = Field(description="where to")
    statements: list[PublishedRow] = Field(description="each one")


class LogRow(Answer):
    """An entry in a transparency log that holds."""

    log: str = Field(description="name of the log")
    index: int = Field(description="its place in the log")
    time: str | None = Field(description="when the log promised it; null when it did not")


class StatementRow(Answer):
    """A statement that holds."""

    file: str = Field(description="where it is")
    predicate: str = Field(description="what kind of statement")
    signers: list[str] = Field(description="ids of trusted keys that signed it")
    logs: list[LogRow] = Field(description="entries in transparency logs whose keys were given")
    unchecked_entries: int = Field(description="how many more entries it has, not checked")


class EvidenceRow(Answer):
    """Evidence that holds."""

    file: str = Field(description="where it is")
    type: str = Field(description="what kind of evidence")
    about: str = Field(description="what it shows, as text")


class KeptRow(Answer):
    """What a service answered: it belongs to a statement, and nothing else of it was checked."""

    file: str = Field(description="where it is")
    type: str = Field(description="what kind of answer")
    about: str = Field(description="its size and its service, according to the file")


class AttestVerify(Answer):
    """What statements and evidence show; nothing is printed when they do not hold."""

    verb: ClassVar[str] = "attest verify"

    holds: Literal[True] = Field(description="always true")
    build: dict[str, str | int] | None = Field(
        description="the terms of the ladder's build: name, profile, arch, engine, engine_version,"
        " epoch; null when a document stands alone"
    )
    statements: list[StatementRow] = Field(description="each one")
    evidence: list[EvidenceRow] = Field(description="each one")
    kept: list[KeptRow] = Field(description="each receipt: kept, not verified")
    ladder: dict[str, str] = Field(description="their subjects: digests by rung")
