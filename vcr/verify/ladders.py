"""Ladders as files, and where two of them part."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.errors import UsageError
from vcr.model.digest import Digest
from vcr.model.ladder import Rung

MADE_BY = "vcr build --json > ladder.json"


@dataclass(frozen=True)
class Claim:
    """What somebody says a project builds to: the output of `vcr build --json`."""

    name: str
    profile: str
    arch: str
    engine: str
    ladder: tuple[Rung, ...]


@dataclass(frozen=True)
class Compared:
    """One rung of two ladders; a digest is "" where there is no such rung."""

    name: str
    expected: str
    got: str

    @property
    def is_same(self) -> bool:
        """Tell whether both have it and agree."""
        return bool(self.expected) and self.expected == self.got


def read_claim(path: Path) -> Claim:
    """Read the ladder file at PATH; raises UsageError.

    Paths are relative to it; a rung may be without one, when its file was left behind.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["kind"] != "build":
            raise UsageError(f"{path} is no ladder", fix=f"make one: {MADE_BY}")
        rungs = tuple(_rung(row, path.parent) for row in data["ladder"])
        words = {key: str(data[key]) for key in ("name", "profile", "arch", "engine")}
        return Claim(ladder=rungs, **words)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} cannot be read as a ladder", why=str(error), fix=f"make one: {MADE_BY}"
        ) from None


def _rung(row: dict[str, Any], directory: Path) -> Rung:
    where = directory / str(row.get("path", f"{row['name']} (not exported)"))
    return Rung(str(row["name"]), Digest(row["digest"]), int(row["size"]), where)


def compare(expected: tuple[Rung, ...], got: tuple[Rung, ...]) -> tuple[Compared, ...]:
    """Compare ladders rung by rung, in the order of EXPECTED, then what only GOT has."""
    left = {rung.name: str(rung.digest) for rung in expected}
    right = {rung.name: str(rung.digest) for rung in got}
    names = [*left, *(name for name in right if name not in left)]
    return tuple(Compared(name, left.get(name, ""), right.get(name, "")) for name in names)


def first_difference(rows: tuple[Compared, ...]) -> Compared | None:
    """Return the first rung that is not the same, None if all are."""
    return next((row for row in rows if not row.is_same), None)
