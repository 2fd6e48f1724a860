"""Git repositories of ADD: a ref is resolved to a commit, a commit is kept in the Nix store.

What a repository has is checked out by the pinned git and gets into the store under its NAR
hash, which the lock holds beside the commit: every later fetch, which asks for the commit by
its hash, has to give the same. git reaches the network through vcr.lock.network.outlet.
"""

import shutil
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from vcr.atomic import scratch_directory
from vcr.dockerfile.git_address import GitAddress, is_hash
from vcr.errors import FetchError, MismatchError, UsageError, VcrError
from vcr.lock.git_directory import Head, write_git_directory
from vcr.lock.network.outlet import outlet
from vcr.model.lockfile import LockedRepository
from vcr.model.source import GIT_STORE_NAME, GitSource
from vcr.tools.git import FETCH_SECONDS, Git, check_revision
from vcr.tools.git_objects import SUBMODULE
from vcr.tools.nix import Nix

NOWHERE = "nothing.invalid"  # no host: RFC 6761, section 6.4
PORTS = {"http": 80, "https": 443}
NO_HASH = f"sha256-{'A' * 43}="  # until it is known
ABSENT = "not our ref"  # of git-upload-pack(1), for a hash that it does not have


@dataclass(frozen=True)
class GitStore:
    """Brings what ADD takes of repositories into the Nix store."""

    git: Callable[[], Git]  # the pinned one, when it is needed
    nix: Nix
    mirrors: Sequence[tuple[str, str]] = field(default=())  # (prefix, replacement) of addresses

    def lock(self, address: GitAddress) -> LockedRepository:
        """Resolve ADDRESS and keep what it names; raises UsageError, FetchError, MismatchError."""
        with self._reaching(address.remote) as remote:
            ref, ident = _resolved(remote, address)
            with _fetched(remote, ident) as checkout:
                commit = checkout.commit
                if not any(each.startswith(address.checksum) for each in (commit, ident)):
                    raise MismatchError(
                        f"{ref or ident} of {address.remote} is not what its checksum says",
                        details=[("expected", address.checksum), ("got", commit)],
                        fix="do not trust that repository, or correct the checksum",
                    )
                if address.submodules:
                    checkout.check_submodules(address.subdir)
                locked = LockedRepository(
                    remote=address.remote,
                    ref=ref,
                    commit=commit,
                    tag=ident if ident != commit else "",
                    subdir=address.subdir,
                    keep_git_dir=address.keep_git_dir,
                    nar_sha256=NO_HASH,
                )
                tree = checkout.take(locked.planned())
                nar = self.nix.hash_path(tree)
                self.nix.add_fixed(tree, recursive=True)
        return locked.model_copy(update={"nar_sha256": nar})

    def provide(self, source: GitSource) -> None:
        """Make sure that SOURCE is in the store; raises FetchError, MismatchError."""
        if self.nix.fixed_path(source.nar_sha256, GIT_STORE_NAME).exists():
            return
        with self._taken(source) as tree:
            got = self.nix.hash_path(tree)
            if got != source.nar_sha256:
                raise MismatchError(
                    f"{source.remote} does not have at {source.commit} what vcr.lock says",
                    details=[("expected", source.nar_sha256), ("got", got)],
                    why="somebody changed vcr.lock, or another vcr made it",
                    fix="`vcr lock --update` writes it again",
                )
            self.nix.add_fixed(tree, recursive=True)

    def audit(self, locked: LockedRepository) -> list[str]:
        """Say how LOCKED differs from what its commit has; raises FetchError."""
        source = locked.planned()
        with self._taken(source) as tree:
            got = self.nix.hash_path(tree)
        return [] if got == source.nar_sha256 else [f"{source.nar_sha256}, the commit has {got}"]

    @contextmanager
    def _taken(self, source: GitSource) -> Iterator[Path]:
        """Yield what SOURCE names, fetched by hash."""
        with (
            self._reaching(source.remote) as remote,
            _fetched(remote, source.tag or source.commit) as checkout,
        ):
            if checkout.commit != source.commit:
                raise MismatchError(
                    f"vcr.lock contradicts the tag {source.tag} of {source.remote}",
                    details=[("expected", source.commit), ("got", checkout.commit)],
                    fix="do not trust this vcr.lock; `vcr lock --update` writes it again",
                )
            yield checkout.take(source)

    @contextmanager
    def _reaching(self, address: str) -> Iterator["_Remote"]:
        """Yield the repository at ADDRESS, or at its mirror, which alone may be on this host."""
        url, own = address, NOWHERE
        for prefix, replacement in self.mirrors:
            if address.startswith(prefix):
                url = replacement + address.removeprefix(prefix)
                parts = urllib.parse.urlsplit(url)
                own = f"{parts.hostname}:{parts.port or PORTS.get(parts.scheme, 0)}"
                break
        with scratch_directory() as scratch, outlet(own, scratch) as way:
            try:
                yield _Remote(replace(self.git(), before=way.before), url, address)
            except FetchError as error:
                if not way.refused:
                    raise
                raise FetchError(error.what, why=way.refused[0]) from None


@dataclass(frozen=True)
class _Remote:
    """A repository that can be reached."""

    git: Git
    url: str
    name: str  # its address, as the project has it

    def run(self, root: Path, *words: str, seconds: float = FETCH_SECONDS) -> str:
        """Run git with the network; raises FetchError."""
        scheme = self.url.partition(":")[0]
        # Nothing that begins encrypted continues in the clear.
        env = {"GIT_ALLOW_PROTOCOL": "https" if scheme == "https" else "http:https"}
        try:
            return self.git.run(root, *words, env=env, seconds=seconds).text
        except VcrError as error:
            is_absent = any(ABSENT in line for line in error.tail)
            raise FetchError(
                f"{self.name} has no {words[-1]}" if is_absent else f"cannot read {self.name}",
                why="" if error.tail else error.what,
                tail=error.tail,
                fix="check the address and the network",
            ) from None


def _resolved(remote: _Remote, address: GitAddress) -> tuple[str, str]:
    """Return the full name of what ADDRESS asks for, "" for a hash, and the hash behind it.

    A branch comes before a tag of its name, as BuildKit has it: source/git/source.go.
    """
    ref = address.ref
    if is_hash(ref):
        return "", ref
    if ref:
        check_revision(ref)
    if address.fetch_by_commit:
        name = f"refs/heads/{ref}" if ref and not ref.startswith("refs/") else ref
        return name, address.checksum
    with scratch_directory() as scratch:
        told = remote.run(scratch, "ls-remote", "--symref", "--", remote.url, ref or "HEAD")
    rows = [line.split("\t") for line in told.splitlines()]
    found = {row[1]: row[0] for row in rows if len(row) == 2}
    if not ref and is_hash(found.get("HEAD", "")):  # other names may end in HEAD, too
        leads = (row[0].removeprefix("ref: ") for row in rows if row[1:] == ["HEAD"])
        return next(lead if _is_ref(lead) else "" for lead in leads), found["HEAD"]
    for prefix in ("refs/", "refs/heads/", "refs/tags/"):
        name = prefix + ref.removeprefix(prefix)
        if ref and is_hash(found.get(name, "")):
            return name, found[name]
    raise UsageError(
        f"{remote.name} has no branch or tag {ref}" if ref else f"{remote.name} has no HEAD",
        fix="name a branch, a tag or a full commit hash after #",
    )


def _is_ref(lead: str) -> bool:
    """Return whether LEAD, what a server says that HEAD leads to, is the full name of a ref."""
    with suppress(UsageError):
        check_revision(lead)
        return lead.startswith("refs/")
    return False


@dataclass(frozen=True)
class _Checkout:
    """A commit that was fetched; nothing of it is checked out yet."""

    git: Git
    root: Path
    remote: _Remote
    commit: str
    algorithm: str

    def check_submodules(self, subdir: str) -> None:
        """Raise UsageError for a submodule in SUBDIR."""
        prefix = f"{subdir}/" if subdir else ""
        with self.git.objects(self.root / ".git" / "objects", self.algorithm) as objects:
            listing = objects.listing(self.commit, lambda _: True)
        found = [p for p, e in listing.items() if e.mode == SUBMODULE and p.startswith(prefix)]
        if found:
            raise UsageError(
                f"{self.remote.name} has submodules: {', '.join(sorted(found)[:3])}",
                why="vcr does not fetch the repositories that another names",
                fix="write ?submodules=false behind .git, and ADD each that you need",
            )

    def take(self, source: GitSource) -> Path:
        """Return a directory, called as in the store, with what SOURCE names."""
        self.git.run(self.root, "checkout", "--quiet", "--detach", self.commit)
        kept = self.root.with_name("kept")
        if source.keep_git_dir and not source.subdir:
            with self.git.objects(self.root / ".git" / "objects", self.algorithm) as objects:
                head = Head(source.remote, source.commit, source.tag, source.ref)
                write_git_directory(objects, head, kept)
        shutil.rmtree(self.root / ".git")
        if kept.is_dir():
            kept.rename(self.root / ".git")
        place = self.root
        for part in source.subdir.split("/") if source.subdir else ():
            place = place / part
            if place.is_symlink() or not place.is_dir():
                raise UsageError(
                    f"{self.remote.name} has no directory {source.subdir} at {self.commit}",
                    fix="check what is behind the colon of the address",
                )
        return place.rename(self.root.with_name(GIT_STORE_NAME))


@contextmanager
def _fetched(remote: _Remote, ident: str) -> Iterator[_Checkout]:
    """Yield the commit, or what the tag leads to, whose hash is IDENT, without its history."""
    with scratch_directory() as scratch:
        root = scratch / "checkout"
        root.mkdir()
        algorithm = "sha256" if len(ident) == 64 else "sha1"
        git = replace(remote.git, before=())
        git.run(root, "init", "--quiet", f"--object-format={algorithm}")
        words = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules")
        remote.run(root, "fetch", *words, "--", remote.url, ident)
        git.check_fetched(root, remote.name, ident)
        commit = git.run(root, "rev-parse", "--verify", f"{ident}^{{commit}}").text
        yield _Checkout(git, root, remote, commit, algorithm)
