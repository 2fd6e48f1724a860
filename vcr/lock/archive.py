"""Reads a suite of the Debian archive: signature first, then indexes by hash.

InRelease is checked with the pinned keyring, each Packages file with InRelease,
and each package later with its Packages entry. Where the bytes come from (the
canonical snapshot or a mirror of the host) does not matter and is not recorded.
"""

import datetime as dt
import email.utils
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vcr.errors import FetchError, MismatchError
from vcr.lock.fetch import fetch, fetch_checked
from vcr.lock.packages import Index, paragraphs
from vcr.model.arch import Arch
from vcr.tools.gpgv import Gpgv

# https://snapshot.debian.org: every state of the archive, by time of import.
# A time between two imports is answered with the one before it.
SNAPSHOTS = "https://snapshot.debian.org/archive/debian"
SNAPSHOT_FORM = "%Y%m%dT%H%M%SZ"
# A release is imported within hours of its date; a day later it surely is.
IMPORT_DELAY = dt.timedelta(days=1)


class StaleIndexError(FetchError):
    """An index is not the one the signed release promises."""

    def __init__(self, cause: FetchError, other_name: str | None) -> None:
        """Keep the CAUSE, and the suite's OTHER_NAME to look under."""
        super().__init__(cause.what, why=cause.why, fix=cause.fix, details=cause.details)
        self.other_name = other_name


@dataclass(frozen=True)
class Suite:
    """A suite of one moment, its signature verified."""

    name: str
    date: dt.datetime  # of the release file, UTC
    snapshot: str  # the snapshot its packages are fetched from
    indexes: dict[Arch, Index]

    def url(self, filename: str) -> str:
        """Return the canonical address of a pool file."""
        return f"{SNAPSHOTS}/{self.snapshot}/{filename}"


@dataclass(frozen=True)
class Reader:
    """What reading an archive takes."""

    gpgv: Gpgv
    mirrors: Sequence[str]
    cache: Path

    def read(self, suite: str, archs: Sequence[Arch], snapshot: str | None = None) -> Suite:
        """Read SUITE as of SNAPSHOT, or as it is now; raises FetchError, MismatchError.

        A mirror holds one moment only: with a SNAPSHOT it is used as long as its
        release is not newer than that.
        """
        try:
            return self._read(suite, suite, archs, snapshot)
        except StaleIndexError as error:
            # Mirrors update dists/trixie and dists/stable one after the other: while
            # one name is half updated, the other is still whole.
            if error.other_name is None:
                raise
            return self._read(error.other_name, suite, archs, snapshot)

    def _read(
        self, directory: str, suite: str, archs: Sequence[Arch], snapshot: str | None
    ) -> Suite:
        text = self.gpgv.signed_text(self._release(directory, snapshot), f"{suite}/InRelease")
        release = next(paragraphs(text))
        _check_suite(release, suite)
        date = email.utils.parsedate_to_datetime(release["Date"])
        if snapshot is None:
            snapshot = (date + IMPORT_DELAY).strftime(SNAPSHOT_FORM)
        elif date.strftime(SNAPSHOT_FORM) > snapshot:
            raise FetchError(
                f"the mirror's {suite} is newer than snapshot {snapshot}",
                details=[("mirror's date", date.strftime(SNAPSHOT_FORM))],
                fix="use a network that reaches snapshot.debian.org, or a later snapshot",
            )
        files = _hashes(release)
        try:
            indexes = {arch: self._index(directory, arch, files, snapshot) for arch in archs}
        except FetchError as error:
            names = {release.get("Suite", suite), release.get("Codename", suite)} - {directory}
            raise StaleIndexError(
                error, min(names) if directory == suite and names else None
            ) from None
        return Suite(suite, date, snapshot, indexes)

    def _release(self, suite: str, snapshot: str | None) -> bytes:
        bases = [f"{SNAPSHOTS}/{snapshot}"] if snapshot else []
        # A mirror first: when it is there it is near, and the signature decides.
        return fetch([f"{base}/dists/{suite}/InRelease" for base in (*self.mirrors, *bases)])

    def _index(
        self, suite: str, arch: Arch, files: dict[str, tuple[str, int]], snapshot: str
    ) -> Index:
        name = f"main/binary-{arch}/Packages.xz"
        if name not in files:
            raise FetchError(f"{suite} has no packages for {arch}", fix="choose another suite")
        sha256, size = files[name]
        bases = (*self.mirrors, f"{SNAPSHOTS}/{snapshot}")
        # By hash, so that an update of the mirror in between does no harm:
        # https://wiki.debian.org/DebianRepository/Format#indices_acquisition_via_hashsums_.28by-hash.29
        urls = [
            f"{base}/dists/{suite}/main/binary-{arch}/{file}"
            for base in bases
            for file in (f"by-hash/SHA256/{sha256}", "Packages.xz")
        ]
        data = fetch_checked(urls, sha256=sha256, size=size, cache=self.cache / "indexes")
        return Index(lzma.decompress(data).decode())


def _check_suite(release: dict[str, str], suite: str) -> None:
    """Refuse a signed release of another suite, or one that has expired."""
    if suite not in {release.get("Suite"), release.get("Codename")}:
        raise MismatchError(
            f"asked for {suite}, got a release of {release.get('Codename')}",
            fix="do not trust this mirror; try another one",
        )
    until = release.get("Valid-Until")
    if until and email.utils.parsedate_to_datetime(until) < dt.datetime.now(dt.UTC):
        raise MismatchError(
            f"the mirror's {suite} expired on {until}",
            why="an old signed release could hide security updates",
            fix="use an up-to-date mirror",
        )


def _hashes(release: dict[str, str]) -> dict[str, tuple[str, int]]:
    """Return path → (SHA-256, size) of the indexes in a release file."""
    rows = (line.split() for line in release["SHA256"].splitlines() if line.strip())
    return {path: (sha256, int(size)) for sha256, size, path in rows}
