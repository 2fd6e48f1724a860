"""A profile: stacks and how often each was seen. Its file is described in docs/perf.md."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FiniteFloat,
    PositiveInt,
    ValidationError,
)

from vcr.atomic import write_text
from vcr.errors import UsageError
from vcr.foreign import MIB, load_json, read_bytes

SCHEMA: Literal[1] = 1
KIND: Literal["vcr-profile"] = "vcr-profile"
MAX_PROFILE = 64 * MIB
MAX_FRAMES = 512  # of a stack: 127 of the machine's, 8 of QEMU's plugin; drawing recurses
SEPARATOR = ";"  # between the frames of a folded stack, outermost first
OBJECT = "`"  # between a frame's object and its symbol

type Clock = Literal["time", "instructions"]


@dataclass(frozen=True)
class Profile:
    """Folded stacks, the first frame being the process, and how they were counted."""

    name: str  # of the project
    profile: str  # of the build
    clock: Clock
    every: int  # a sample was taken: nanoseconds of the machine's time, or instructions
    duration: float  # seconds, or instructions
    lost: int  # samples that were taken but not kept
    stacks: Mapping[str, int]

    @property
    def samples(self) -> int:
        """Return how many samples it is made of."""
        return sum(self.stacks.values())


@dataclass(frozen=True)
class Row:
    """A function and how many samples were in it: itself, and it or what it called."""

    process: str
    object: str
    symbol: str
    own: int
    total: int


def _not_too_deep(stack: str) -> str:
    if stack.count(SEPARATOR) >= MAX_FRAMES:
        raise ValueError(f"a stack of more than {MAX_FRAMES} frames")
    return stack


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_: Literal[1]
    kind: Literal["vcr-profile"]
    name: str
    profile: str
    clock: Clock
    every: PositiveInt
    duration: FiniteFloat
    lost: int
    stacks: dict[Annotated[str, AfterValidator(_not_too_deep)], PositiveInt]


def fold(process: str, frames: Iterable[str]) -> str:
    """Return the folded stack of FRAMES, outermost first, in PROCESS."""
    return SEPARATOR.join((process, *frames))


def rows(profile: Profile) -> list[Row]:
    """Return the functions of PROFILE, those that samples were in most first."""
    own: Counter[tuple[str, str]] = Counter()
    total: Counter[tuple[str, str]] = Counter()
    for stack, count in profile.stacks.items():
        process, *frames = stack.split(SEPARATOR)
        own[process, frames[-1] if frames else ""] += count
        for frame in set(frames) or {""}:  # a function that calls itself counts once
            total[process, frame] += count
    found = [
        Row(process, *_parts(frame), own[process, frame], count)
        for (process, frame), count in total.items()
    ]
    return sorted(found, key=lambda row: (-row.own, -row.total, row.process, row.symbol))


def _parts(frame: str) -> tuple[str, str]:
    before, found, symbol = frame.partition(OBJECT)
    return (before, symbol) if found else ("", frame)


def as_json(profile: Profile) -> dict[str, Any]:
    """Return PROFILE as its file has it, without schema and kind."""
    made = {key: value for key, value in vars(profile).items() if key != "stacks"}
    return {**made, "stacks": dict(sorted(profile.stacks.items()))}


def write(profile: Profile, path: Path) -> None:
    """Write PROFILE to PATH; raises HostError."""
    content = {"schema": SCHEMA, "kind": KIND, **as_json(profile)}
    write_text(path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def read(path: Path) -> Profile:
    """Read the file at PATH; raises UsageError."""
    try:
        data = load_json(read_bytes(path, MAX_PROFILE))
        file = _File(schema_=data.pop("schema"), **data)
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"{path} is not a profile that this vcr can read",
            why=_reason(error),
            fix="`vcr perf record --output FILE` writes one",
        ) from None
    fields = {key: value for key, value in file if key not in {"schema_", "kind"}}
    return Profile(**fields)


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])).replace("schema_", "schema")
        return f"{where}: {first['msg']}"
    return str(error) or type(error).__name__
