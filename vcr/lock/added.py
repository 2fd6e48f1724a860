"""What ADD takes from other hosts, locked: files by their bytes, repositories by commit."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vcr.dockerfile.git_address import GitAddress, is_hash
from vcr.dockerfile.text import Position
from vcr.errors import FetchError, MismatchError, VcrError
from vcr.lock.git import GitStore
from vcr.lock.known import Known
from vcr.lock.network.fetch import Source, fetch
from vcr.lock.network.web import LIMITS
from vcr.model.file_name import last_part, store_name
from vcr.model.lockfile import LockedFile, LockedRepository


@dataclass(frozen=True)
class AddLocker:
    """Locks sources of ADD; REPOSITORIES is opened only if one is needed."""

    known: Known
    show: Callable[[str], None]
    warn: Callable[[str], None]
    repositories: Callable[[], GitStore]

    def file(self, url: str, checksums: tuple[str, ...], before: LockedFile | None) -> LockedFile:
        """Return the file at URL locked: as it was BEFORE, if there was one.

        It has all CHECKSUMS, ALGORITHM:HEX. Raises FetchError, MismatchError.
        """
        if before is None or before.url != url:
            locked = self._fetched(url, checksums)
            self.known.add(locked)
            return locked
        if self.known.has(before):
            return before
        try:
            now = self._fetched(url, checksums)
        except FetchError as error:
            self.warn(f"ADD {url} stays as vcr.lock has it, compared with nothing: {error.what}")
            return before
        if (now.sha256, now.size) == (before.sha256, before.size):
            self.known.add(before)
        else:
            self.warn(f"ADD {url} stays as vcr.lock has it, which is not what is there now")
        return before

    def repository(
        self, address: GitAddress, at: Position, before: LockedRepository | None
    ) -> LockedRepository:
        """Return what ADDRESS, which the Dockerfile has AT a place, names: a commit.

        As it was BEFORE, if there was one: a branch or a tag may lead elsewhere by now. Raises
        UsageError, FetchError, MismatchError.
        """
        try:
            if before is None or any(of_repository(before, address)):
                self.show(f"reading {address.remote}")
                locked = self.repositories().lock(address)
                self.known.add(locked)
                return locked
            if not self.known.has(before):
                self._compare(address, before)
        except VcrError as error:
            error.what = f"{at}: {error.what}"
            raise
        return before

    def _compare(self, address: GitAddress, locked: LockedRepository) -> None:
        """Compare LOCKED, which is from elsewhere, with its commit; raises MismatchError."""
        self.show(f"reading {address.remote}")
        try:
            differences = self.repositories().audit(locked)
        except FetchError as error:
            self.warn(
                f"ADD {address.text} stays as vcr.lock has it, compared with nothing: {error.what}"
            )
            return
        if differences:
            raise MismatchError(
                f"ADD {address.text} in vcr.lock differs from its commit",
                details=[("", each) for each in differences],
                why="somebody changed it, or another vcr made it",
                fix="do not trust this vcr.lock; `vcr lock --update` writes it again",
            )
        self.known.add(locked)

    def _fetched(self, url: str, checksums: tuple[str, ...]) -> LockedFile:
        self.show(f"reading {url}")
        data = fetch([Source(url)], most=LIMITS.size)
        for checksum in checksums:
            algorithm, _, wanted = checksum.partition(":")
            got = hashlib.new(algorithm, data).hexdigest()
            if got != wanted:
                raise MismatchError(
                    f"{url} is not the file that --checksum names",
                    details=[("expected", checksum), ("got", f"{algorithm}:{got}")],
                    fix="do not trust that file, or correct the checksum",
                )
        name = store_name(last_part(url)) or "download"
        digest = hashlib.sha256(data).hexdigest()
        return LockedFile(name=name, sha256=digest, size=len(data), url=url)


def of_repository(locked: LockedRepository | None, address: GitAddress) -> Iterator[str]:
    """Say in words what LOCKED has that is not of ADDRESS."""
    if locked is None:
        yield "is not locked"
        return
    hashes = (locked.commit, locked.tag)
    asked = (address.remote, address.subdir, address.keep_git_dir)
    if (locked.remote, locked.subdir, locked.keep_git_dir) != asked:
        yield f"is locked as another part of {locked.remote}"
    if not any(each.startswith(address.checksum) for each in hashes):
        yield f"is locked at {locked.commit}, which its checksum is not of"
    if is_hash(address.ref) and address.ref not in hashes:
        yield f"is locked at {locked.commit}"
