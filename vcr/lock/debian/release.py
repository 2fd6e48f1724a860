"""A suite's Release file, as its text says; who signed it is judged elsewhere.

https://wiki.debian.org/DebianRepository/Format#A.22Release.22_files
"""

import datetime as dt
import email.utils
from dataclasses import dataclass
from typing import Self

from vcr.lock.debian.packages import paragraphs

MAX_SIZE = 16 << 20  # bytes of a Release file; that of unstable has less than one million
MAX_INDEX = 512 << 20  # bytes of an index, unpacked; those of unstable have some sixty million


@dataclass(frozen=True)
class File:
    """An index as the release has it: SHA-256, and size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Release:
    """What is needed of a Release file."""

    names: frozenset[str]  # Suite and Codename
    date: dt.datetime  # UTC
    until: dt.datetime | None  # Valid-Until
    files: dict[str, File]  # by path below the suite's directory

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read TEXT; raises ValueError for what is not a Release file."""
        fields = next(paragraphs(text), {})
        if missing := [name for name in ("Date", "SHA256") if name not in fields]:
            raise ValueError(f"it has no field {' and none '.join(missing)}")
        until = fields.get("Valid-Until")
        return cls(
            frozenset(filter(None, (fields.get("Suite"), fields.get("Codename")))),
            _moment(fields["Date"]),
            _moment(until) if until else None,
            dict(_file(line) for line in fields["SHA256"].splitlines() if line.strip()),
        )


def _moment(text: str) -> dt.datetime:
    """Return the time that TEXT says; raises ValueError."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
        if moment.tzinfo is None:  # -0000: RFC 5322, section 3.3
            moment = moment.replace(tzinfo=dt.UTC)
        moment = moment.astimezone(dt.UTC)
    except (OverflowError, TypeError, IndexError):
        raise ValueError(f"{text!r} is not a date") from None
    if not 1990 <= moment.year <= 2100:
        raise ValueError(f"{text!r} is not a date of the archive")
    return moment


def _file(line: str) -> tuple[str, File]:
    try:
        sha256, size, path = line.split()
        if len(sha256) == 64 and len(bytes.fromhex(sha256)) == 32 and int(size) >= 0:
            return path, File(sha256.lower(), int(size))
    except ValueError:
        pass
    raise ValueError(f"{line!r} is not an index")
