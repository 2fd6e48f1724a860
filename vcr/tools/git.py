"""git from the pinned toolchain: a checkout of somebody's repository, the revision of ours."""

import re
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.atomic import scratch_directory
from vcr.errors import FetchError, VcrError

_SCP = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>[^@/:]+):(?P<path>[^/].*)")  # git-clone(1)


@dataclass(frozen=True)
class Revision:
    """What a working tree was checked out from."""

    commit: str
    uri: str  # where it is published, without credentials; "" when that is not the network
    is_changed: bool  # files in it differ from the commit


@dataclass(frozen=True)
class Git:
    """The program at a path."""

    program: Path

    @contextmanager
    def checkout(self, url: str, revision: str) -> Iterator[Path]:
        """Yield a directory with REVISION of the repository at URL; raises FetchError."""
        with scratch_directory() as scratch:
            # A project without a name of its own has its directory's: as `git clone` calls it.
            root = scratch / directory_of(url)
            root.mkdir()
            self._git(root, "init", "--quiet")
            try:
                self._git(root, "fetch", "--quiet", "--depth=1", "--", url, revision)
            except VcrError as error:
                raise FetchError(
                    f"cannot fetch {revision} of {url}",
                    tail=error.tail,
                    fix="check the address; a revision is a branch, a tag or a full commit hash",
                ) from None
            self._git(root, "checkout", "--quiet", "FETCH_HEAD")
            yield root

    def revision(self, directory: Path) -> Revision:
        """Return what DIRECTORY, which is in a working tree, is of; raises VcrError."""
        commit = self._git(directory, "rev-parse", "HEAD").text
        origin = self._git(directory, "remote", "get-url", "origin", ok=(0, 2)).text
        changes = self._git(directory, "status", "--porcelain", "--", ".").text
        return Revision(commit, public_uri(origin), bool(changes))

    def _git(self, root: Path, *words: str, ok: tuple[int, ...] = (0,)) -> process.Result:
        env = {
            # Of the toolchain, not of this host; no configuration, no hooks, no questions.
            "GIT_EXEC_PATH": str(self.program.parents[1] / "lib" / "git-core"),
            "GIT_TEMPLATE_DIR": "",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
        }
        # What the repository's own configuration would run to look for changes is not run.
        argv: list[process.Arg] = [self.program, "-C", root, "-c", "core.fsmonitor=false", *words]
        return process.run(argv, env=env, ok=ok)


def public_uri(origin: str) -> str:
    """Return the URI of a repository at ORIGIN without what lets one in; "" for a local one."""
    if "://" not in origin and (match := _SCP.fullmatch(origin)):
        return f"ssh://{match['host']}/{match['path']}"
    try:
        parts = urllib.parse.urlsplit(origin)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme not in {"https", "http", "ssh", "git"} or not parts.hostname:
        return ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def in_working_tree(directory: Path) -> bool:
    """Tell whether git keeps DIRECTORY: it or one above it has a .git."""
    return any((place / ".git").exists() for place in (directory, *directory.parents))


def directory_of(url: str) -> str:
    """Return what git-clone(1) calls the directory of a clone of URL."""
    path = url.rstrip("/").removesuffix("/.git").rstrip("/")
    name = re.split(r"[/:]", path)[-1].removesuffix(".git")
    return name if name not in {"", ".", ".."} else "source"
