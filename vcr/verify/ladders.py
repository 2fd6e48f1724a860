"""Ladders as files, and where two of them part."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.errors import MismatchError, UsageError
from vcr.foreign import MAX_LADDER, load_json, read_bytes
from vcr.model.arch import Arch
from vcr.model.digest import Digest
from vcr.model.ladder import MAX_EPOCH, UNKNOWN, Rung
from vcr.model.plan import Plan
from vcr.model.profile import OLD_NAMES, PROFILES, current_name
from vcr.model.stage import ENGINES
from vcr.ui import JSON_SCHEMA

MADE_BY = "vcr build --json > ladder.json"
WORDS = ("name", "profile", "arch", "engine", "engine_version")
MAX_NUMBER = 1 << 63  # of bytes, and of seconds since 1970
TERMS = (*WORDS, "epoch")  # as Plan.terms
IN_MESSAGES = {"arch": "architecture", "engine_version": "version of the engine"}


@dataclass(frozen=True)
class Claim:
    """What somebody says a project builds to: the output of `vcr build --json`."""

    name: str
    profile: str
    arch: str
    engine: str
    engine_version: str
    epoch: int  # seconds since 1970
    ladder: tuple[Rung, ...]


@dataclass(frozen=True)
class Compared:
    """One rung of two ladders; a digest is "" where there is no such rung.

    If only the sizes differ, each text has the size, too.
    """

    name: str
    expected: str
    got: str

    @property
    def is_same(self) -> bool:
        """Return whether both have it and agree."""
        return bool(self.expected) and self.expected == self.got


def read_claim(path: Path) -> Claim:
    """Read the ladder file at PATH; raises UsageError, and MismatchError for what is not a ladder.

    Where files are and why they were built is not part of the claim. Paths are relative to the
    ladder; a rung without a path is one whose file was left behind.
    """
    try:
        content = read_bytes(path, MAX_LADDER)
    except OSError as error:
        raise UsageError(
            f"the ladder {path} cannot be read",
            why=error.strerror or str(error),
            fix=f"make one: {MADE_BY}",
        ) from None
    try:
        return _claim(load_json(content), path.parent)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise MismatchError(
            f"{path} is not a ladder",
            why=f"it was damaged, or made by something else: {type(error).__name__}: {error}",
            fix=f"get it again, or make one: {MADE_BY}",
        ) from None


def _claim(data: dict[str, Any], directory: Path) -> Claim:
    known: dict[str, tuple[object, ...]] = {
        "schema": (JSON_SCHEMA,),
        "kind": ("build",),
        "profile": (*PROFILES, *OLD_NAMES),
        "arch": tuple(Arch),
        "engine": ENGINES,
    }
    for key, values in known.items():
        if data[key] not in values:
            raise ValueError(f"{key} {data[key]!r}")
    rungs = tuple(_rung(row, directory) for row in data["ladder"])
    if len({rung.name for rung in rungs}) != len(rungs):
        raise ValueError("a rung occurs twice")
    return claim_of(data, rungs)


def claim_of(terms: Mapping[str, Any], ladder: tuple[Rung, ...]) -> Claim:
    """Return the claim about LADDER under TERMS, as `Plan.terms`; raises KeyError, TypeError."""
    words = {key: _word(terms[key]) for key in WORDS}
    epoch = _whole(terms["epoch"])
    if epoch > MAX_EPOCH:
        raise TypeError("epoch is not a time")
    words["profile"] = current_name(words["profile"])
    return Claim(epoch=epoch, ladder=ladder, **words)


def _rung(row: dict[str, Any], directory: Path) -> Rung:
    path = directory / str(row.get("path", f"{row['name']} (not exported)"))
    return Rung(_word(row["name"]), Digest(row["digest"]), _whole(row["size"]), path)


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a word")
    value.encode()  # half of a character is a ValueError
    return value


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < MAX_NUMBER:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def check_terms(claim: Claim, plan: Plan) -> None:
    """Raise MismatchError unless CLAIM is about what PLAN builds, with the same engine."""
    told = {key: str(getattr(claim, key)) for key in TERMS}
    for key, value in told.items():
        found = str(plan.terms[key])
        if value != found:
            raise MismatchError(
                f"the ladder is of another {IN_MESSAGES.get(key, key)}",
                details=(("expected", value), ("got", found)),
                why="hashes of one say nothing about the other",
            )


def compare(expected: tuple[Rung, ...], got: tuple[Rung, ...]) -> tuple[Compared, ...]:
    """Compare ladders rung by rung, in the order of EXPECTED, then what only GOT has."""
    left = {rung.name: rung for rung in expected}
    right = {rung.name: rung for rung in got}
    names = [*left, *(name for name in right if name not in left)]
    return tuple(
        Compared(
            name, _words(left.get(name), right.get(name)), _words(right.get(name), left.get(name))
        )
        for name in names
    )


def _words(rung: Rung | None, other: Rung | None) -> str:
    if rung is None:
        return ""
    if other is not None and rung.digest == other.digest:
        sizes = {rung.size, other.size} - {UNKNOWN}
        return f"{rung.digest} of {rung.size} bytes" if len(sizes) > 1 else str(rung.digest)
    return str(rung.digest)


def first_difference(rows: tuple[Compared, ...]) -> Compared | None:
    """Return the first rung that is not the same, None if all are."""
    return next((row for row in rows if not row.is_same), None)
