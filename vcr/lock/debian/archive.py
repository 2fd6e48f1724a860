"""Reads a suite of the Debian archive: signature first, then indexes by hash.

InRelease is checked with the pinned keyring, each Packages file with InRelease,
and each package later with its Packages entry. Where the bytes come from (the
canonical snapshot or a mirror of the host) does not matter and is not recorded.
"""

import datetime as dt
import lzma
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vcr.errors import FetchError, MismatchError, VcrError
from vcr.lock.debian.packages import Index
from vcr.lock.debian.release import MAX_INDEX, MAX_SIZE, File, Release
from vcr.lock.debian.unpacked import Indexes
from vcr.lock.network.fetch import Source, fetch, fetch_checked
from vcr.model.arch import Arch
from vcr.tools.gpgv import Gpgv

# https://snapshot.debian.org: every state of the archive, by time of import.
# A time between two imports is answered with the one before it.
SNAPSHOTS = "https://snapshot.debian.org/archive/debian"
SNAPSHOT_FORM = "%Y%m%dT%H%M%SZ"
# A release is imported within hours of its date; a day later it surely is.
IMPORT_DELAY = dt.timedelta(days=1)
READERS = 2  # indexes that are read at once: each takes some tens of MiB


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
        release = self._release(directory, suite, snapshot)
        if snapshot is None:
            snapshot = (release.date + IMPORT_DELAY).strftime(SNAPSHOT_FORM)
        try:
            indexes = self._indexes(directory, archs, release.files, snapshot)
        except FetchError as error:
            names = {suite, *release.names} - {directory}
            raise StaleIndexError(
                error, min(names) if directory == suite and names else None
            ) from None
        return Suite(suite, release.date, snapshot, indexes)

    def _release(self, directory: str, suite: str, snapshot: str | None) -> Release:
        """Return the release of SUITE from the first place that has what is asked for."""
        problem: VcrError | None = None
        for source in self._places(directory, snapshot):
            try:
                release = self._signed(source, suite)
                _check_suite(release, suite, snapshot)
            except VcrError as error:
                problem = problem or error
                continue
            return release
        assert problem is not None  # noqa: S101 -- for mypy: there is a place
        raise problem

    def _places(self, directory: str, snapshot: str | None) -> Iterator[Source]:
        # A mirror first: when it is there it is near, and the signature decides.
        for mirror in self.mirrors:
            yield Source(f"{mirror}/dists/{directory}/InRelease", is_mirror=True)
        moment = snapshot or dt.datetime.now(dt.UTC).strftime(SNAPSHOT_FORM)
        yield Source(f"{SNAPSHOTS}/{moment}/dists/{directory}/InRelease")

    def _signed(self, source: Source, suite: str) -> Release:
        """Return the release at SOURCE; raises FetchError, MismatchError."""
        message = fetch([source], most=MAX_SIZE)
        try:
            return Release.parse(self.gpgv.signed_text(message, f"{suite}/InRelease"))
        except ValueError as error:
            raise MismatchError(
                f"the release of {suite} cannot be read",
                why=str(error),
                details=[("address", source.url)],
                fix="do not trust this mirror; try another one",
            ) from None

    def _indexes(
        self, suite: str, archs: Sequence[Arch], files: dict[str, File], snapshot: str
    ) -> dict[Arch, Index]:
        """Read the indexes of ARCHS, at once: unpacking and hashing need no lock of Python."""
        with ThreadPoolExecutor(READERS) as pool:
            read = partial(self._index, suite, files=files, snapshot=snapshot)
            return dict(zip(archs, pool.map(read, archs), strict=True))

    def _index(self, suite: str, arch: Arch, files: dict[str, File], snapshot: str) -> Index:
        path = f"main/binary-{arch}/Packages"
        packed = files.get(f"{path}.xz")
        if packed is None or packed.size > MAX_INDEX:
            raise FetchError(
                f"{suite} has no packages for {arch}",
                why="" if packed is None else f"its index would have {packed.size} bytes",
                fix="choose another suite",
            )
        promised, indexes = files.get(path), Indexes(self.cache / "indexes")
        if promised is not None and (index := indexes.find(promised)) is not None:
            return index
        bases = [(mirror, True) for mirror in self.mirrors]
        # By hash, so that an update of the mirror in between does no harm:
        # https://wiki.debian.org/DebianRepository/Format#indices_acquisition_via_hashsums_.28by-hash.29
        sources = [
            Source(f"{base}/dists/{suite}/main/binary-{arch}/{file}", is_mirror)
            for base, is_mirror in (*bases, (f"{SNAPSHOTS}/{snapshot}", False))
            for file in (f"by-hash/SHA256/{packed.sha256}", "Packages.xz")
        ]
        data = fetch_checked(
            sources, sha256=packed.sha256, size=packed.size, cache=indexes.directory
        )
        try:
            index = indexes.read(data, promised)
        except (ValueError, lzma.LZMAError) as error:
            raise MismatchError(
                f"the index of {suite} for {arch} cannot be read",
                why=str(error),
                fix="choose another suite, or a later snapshot",
            ) from None
        if promised is not None:  # it is kept unpacked
            (indexes.directory / packed.sha256).unlink(missing_ok=True)
        return index


def _check_suite(release: Release, suite: str, snapshot: str | None) -> None:
    """Refuse a signed release of another suite, one too new for SNAPSHOT, and one that expired."""
    if suite not in release.names:
        raise MismatchError(
            f"asked for {suite}, got a release of {', '.join(sorted(release.names)) or 'nothing'}",
            fix="do not trust this mirror; try another one",
        )
    date = release.date.strftime(SNAPSHOT_FORM)
    if snapshot is not None and date > snapshot:
        raise FetchError(
            f"the mirror's {suite} is newer than snapshot {snapshot}",
            details=[("mirror's date", date)],
            fix="use a network that reaches snapshot.debian.org, or a later snapshot",
        )
    # What a snapshot has was valid then.
    now = dt.datetime.now(dt.UTC).strftime(SNAPSHOT_FORM) if snapshot is None else snapshot
    if release.until is not None and release.until.strftime(SNAPSHOT_FORM) < now:
        raise MismatchError(
            f"the mirror's {suite} expired on {release.until:%Y-%m-%d %H:%M} UTC",
            why="an old signed release could hide security updates",
            fix="use an up-to-date mirror",
        )
