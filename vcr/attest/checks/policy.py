"""A policy file: which keys, how many of them, which statements, which build, which enclave.

TOML; every name is known or the file is refused. Paths in it are relative to the file.
Documented in docs/attest.md.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from vcr.attest.checks.demand import Demand, NitroDemand
from vcr.attest.dsse import Trusted
from vcr.attest.keys import key_id, parse_public, read_public
from vcr.attest.nitro.pcr import parse_index, parse_register
from vcr.attest.predicates import NAMES, TYPES
from vcr.attest.terms import Terms
from vcr.errors import UsageError
from vcr.foreign import MAX_TEXT, load_toml, read_text
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.duration import parse_duration
from vcr.model.ladder import MAX_EPOCH
from vcr.model.profile import PROFILES, current_name
from vcr.model.sections.reason import key_of, reason_of
from vcr.model.stage import ENGINES

PEM = "-----BEGIN"


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _hex(value: object) -> object:
    return bytes.fromhex(value) if isinstance(value, str) else value


def _one_of(known: tuple[str, ...]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"{value!r} is not one of {', '.join(known)}")
        return value

    return AfterValidator(check)


def predicate_type(name: str) -> str:
    """Return the type of a predicate by its short NAME or its type; raises ValueError."""
    if name not in TYPES and name not in NAMES:
        raise ValueError(f"{name!r} is not a predicate; there are {', '.join(TYPES)}")
    return TYPES.get(name, name)


type Age = Annotated[float, BeforeValidator(_duration), Field(gt=0, allow_inf_nan=False)]
type Hex = Annotated[bytes, BeforeValidator(_hex)]
type Register = Annotated[bytes, BeforeValidator(parse_register)]
type Index = Annotated[int, BeforeValidator(parse_index)]
type Count = Annotated[int, Field(ge=1, le=64)]
type Predicate = Annotated[str, AfterValidator(predicate_type)]
type Sha256 = Annotated[str, AfterValidator(Digest)]


def _profile(value: object) -> object:
    return current_name(value) if isinstance(value, str) else value


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BuildPolicy(_Section):
    """[build]: what the ladder must have been built for."""

    name: str | None = None
    profile: Annotated[str, BeforeValidator(_profile), _one_of(tuple(PROFILES))] | None = None
    arch: Annotated[str, _one_of(tuple(Arch))] | None = None
    engine: Annotated[str, _one_of(ENGINES)] | None = None
    engine_version: str | None = None
    epoch: Annotated[int, Field(ge=0, le=MAX_EPOCH)] | None = None  # seconds since 1970

    @property
    def terms(self) -> Terms:
        """Return those that are demanded."""
        return {key: value for key, value in self if value is not None}


class SourcePolicy(_Section):
    """[source]: what was built, by provenance and witnesses."""

    changed: Literal[False]


class RebuildPolicy(_Section):
    """[rebuild]: how much witnesses must have built again."""

    rebuilt: Literal["project", "toolchain"]


class LogPolicy(_Section):
    """[log]: each statement must be in a transparency log."""

    keys: Annotated[dict[str, str], Field(min_length=1)]  # name → file, or PEM
    required: bool = True  # False: only an entry that is there must hold


class NitroPolicy(_Section):
    """[nitro]: a document of an enclave is required."""

    pcrs: dict[Index, Register] = Field(default_factory=dict)
    nonce: Hex | None = None
    user_data: Hex | None = None  # all of it; default: the SHA-256 of a statement, from outside
    app_data: Hex | None = None  # what the app in the enclave bound
    module_id: str | None = None
    max_age: Age | None = None  # seconds


class Policy(_Section):
    """All of a policy file."""

    keys: dict[str, str] = Field(default_factory=dict)  # name → file, or PEM
    threshold: Count = 1
    predicates: dict[Predicate, Count] = Field(default_factory=dict)
    ladder: Annotated[dict[str, Sha256], Field(min_length=1)] | None = None
    build: BuildPolicy = BuildPolicy()
    source: SourcePolicy | None = None
    rebuild: RebuildPolicy | None = None
    log: LogPolicy | None = None
    max_age: Age | None = None  # of statements, seconds; of evidence, too, unless nitro has one
    nitro: NitroPolicy | None = None


def read_policy(path: Path) -> Demand:
    """Read the policy at PATH; raises UsageError."""
    try:
        policy = Policy.model_validate(_toml(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(key_of(first))
        known = ", ".join(sorted(Policy.model_fields))
        raise UsageError(
            f"{path}: {where} is wrong",
            why=reason_of(first),
            fix=f"known are {known}" if first["type"] == "extra_forbidden" else "",
        ) from None
    nitro = policy.nitro
    return Demand(
        trusted=_keys(policy.keys, path, "keys"),
        threshold=policy.threshold,
        predicates=policy.predicates,
        ladder=policy.ladder or {},
        is_partial=policy.ladder is not None,
        build=policy.build.terms,
        rebuilt=policy.rebuild.rebuilt if policy.rebuild else None,
        unchanged=policy.source is not None,
        logs=_keys(policy.log.keys, path, "log.keys") if policy.log else {},
        needs_log=policy.log is None or policy.log.required,
        max_age=policy.max_age,
        nitro=NitroDemand(**dict(nitro), required=True) if nitro else NitroDemand(),
    )


def _toml(path: Path) -> Mapping[str, object]:
    try:
        return load_toml(read_text(path, MAX_TEXT))
    except (OSError, ValueError) as error:  # among them what tomllib and UTF-8 raise
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read the policy {path}", why=why) from None


def _keys(named: dict[str, str], path: Path, table: str) -> Trusted:
    found = []
    for name, value in named.items():
        if value.lstrip().startswith(PEM):
            found.append(parse_public(value.encode(), f"{path}: {table}.{name}"))
        else:
            found.append(read_public(path.parent / value))
    return {key_id(key): key for key in found}
