"""git from the pinned toolchain: a checkout of somebody's repository, objects of vcr.

A repository's own configuration can name programs: filters, hooks, a monitor of files, ways
to reach a remote. So git is never run in a repository that vcr has not made. A checkout gets
a new one, with a configuration that is here; objects of another are read through a new one,
too, as no more than files (vcr.tools.repository).
"""

import re
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vcr import process
from vcr.atomic import scratch_directory
from vcr.errors import FetchError, UsageError, VcrError
from vcr.limits import Limits
from vcr.tools.git_objects import Objects

PROTOCOLS = ("file", "git", "http", "https", "ssh")
_SCP = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>[^@/:]+):(?P<path>[^/].*)")  # git-clone(1)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://|:)")  # ext::, https://
# What a name of git-check-ref-format(1) cannot have, or a refspec would be of another meaning.
_NO_REVISION = re.compile(r"[\x00-\x20\x7f:?*\[\\^~]|^[-+]|\.\.|@\{|//|^$")
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

FETCH_SECONDS = 1800.0
SECONDS = 300.0
GIB = 1 << 30
# Of one file, so of all that is fetched, which comes in one; and of the memory of a process.
LIMITS = Limits(file_bytes=4 * GIB, memory_bytes=6 * GIB)
MAX_CHECKOUT = 16 * GIB  # bytes of all files

# Nothing is run but git, and nothing is asked for but what was named.
CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",  # the default is a file of the user's
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.bigFileThreshold=16m",  # what is larger is never whole in memory
    "core.packedGitWindowSize=32m",
    "core.packedGitLimit=256m",
    "fetch.fsckObjects=true",
    "fetch.unpackLimit=1",  # one file, so that its limit is that of all
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)


@dataclass(frozen=True)
class Git:
    """The program at a path."""

    program: Path
    before: tuple[str, ...] = ()  # a program that starts it

    @classmethod
    def of_toolset(cls, toolset: Path) -> "Git":
        """Use the pinned program of the `git` toolset."""
        return cls(toolset / "usr/bin/git")

    @contextmanager
    def checkout(self, url: str, revision: str) -> Iterator[Path]:
        """Yield a directory with REVISION of the repository at URL.

        Raises UsageError for what is neither, or is too large, and FetchError.
        """
        check_address(url)  # whoever calls it
        check_revision(revision)
        with scratch_directory() as scratch:
            # A project without a name of its own has its directory's: as `git clone` calls it.
            root = scratch / directory_of(url)
            root.mkdir()
            self.run(root, "init", "--quiet")
            words = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules")
            try:
                self.run(root, "fetch", *words, "--", url, revision, seconds=FETCH_SECONDS)
            except VcrError as error:
                raise FetchError(
                    f"cannot fetch {revision} of {url}",
                    why="" if error.tail else error.what,
                    tail=error.tail,
                    fix="check the address; a revision is a branch, a tag or a full commit hash",
                ) from None
            self.check_fetched(root, url, revision)
            self.run(root, "checkout", "--quiet", "--detach", "FETCH_HEAD")
            yield root

    @contextmanager
    def objects(self, directory: Path, algorithm: str) -> Iterator[Objects]:
        """Yield what reads the objects, named by ALGORITHM, in DIRECTORY, an objects directory."""
        with scratch_directory() as scratch:
            self.run(scratch, "init", "--quiet", "--bare", f"--object-format={algorithm}")
            env = {"GIT_DIR": str(scratch), "GIT_OBJECT_DIRECTORY": str(directory)}

            def ask(words: tuple[str, ...], stdin: bytes) -> bytes:
                return self.run(scratch, *words, stdin=stdin, env=env).stdout

            yield Objects(ask, algorithm)

    def value(self, config: bytes, key: str) -> str:
        """Return the last value of KEY in CONFIG, the content of a file; "" without one.

        What it includes is not read. Raises VcrError.
        """
        with scratch_directory() as scratch:
            words = ("config", "--file", "-", "--no-includes", "--get", key)
            env = {"GIT_DIR": str(scratch)}
            return self.run(scratch, *words, stdin=config, env=env, ok=(0, 1)).text

    def run(
        self,
        root: Path,
        *words: str,
        ok: tuple[int, ...] = (0,),
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> process.Result:
        """Run git with WORDS in ROOT, which vcr has made; raises VcrError."""
        given = {
            # Of the toolchain, not of this host; no configuration, no hooks, no questions.
            "GIT_EXEC_PATH": str(self.program.parents[1] / "lib" / "git-core"),
            "GIT_TEMPLATE_DIR": "",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            # Over all that protocol.* may say; ext::, which runs a program, is not among them.
            "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
            "GIT_NO_LAZY_FETCH": "1",  # what a partial clone lacks is not fetched in passing
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            **(env or {}),
        }
        settings = [word for setting in CONFIG for word in ("-c", setting)]
        argv: list[process.Arg] = [*self.before, self.program, "-C", root, *settings, *words]
        done = process.run(LIMITS.on(argv), env=given, ok=None, stdin=stdin, timeout=seconds)
        if done.returncode not in ok:
            raise process.failure(replace(done, argv=tuple(map(str, argv))))
        return done

    def check_fetched(self, root: Path, url: str, revision: str) -> None:
        """Look at what was fetched into ROOT as REVISION of the repository at URL.

        Raises FetchError when it is another commit, UsageError when it is too large.
        """
        found = self.run(root, "rev-parse", "--verify", "FETCH_HEAD").text
        if _HASH.fullmatch(revision) and found != revision:
            raise FetchError(f"{url} gave {found} instead of {revision}")
        commit = self.run(root, "rev-parse", "--verify", "FETCH_HEAD^{commit}").text
        algorithm = self.run(root, "rev-parse", "--show-object-format").text
        with self.objects(root / ".git" / "objects", algorithm) as objects:
            listing = objects.listing(commit, lambda _: True)
            total = objects.size_of(entry for entry in listing.values() if entry.is_blob)
        if total > MAX_CHECKOUT:
            raise UsageError(
                f"{revision} of {url} is too large",
                why=f"its files have {total} bytes, of at most {MAX_CHECKOUT}",
            )


def check_address(url: str) -> None:
    """Raise UsageError unless URL is one of a repository that git may be given."""
    scheme = _SCHEME.match(url)
    why = ""
    if not url or url.startswith("-") or not url.isprintable():
        why = "it is neither an address nor a path"
    elif scheme is not None and (scheme[0].endswith("::") or scheme["scheme"] not in PROTOCOLS):
        why = f"{scheme['scheme']} would be a program to fetch it"
    elif "://" in url and _host_of(url).startswith("-"):
        why = "its host would be an option"
    if why:
        known = ", ".join(PROTOCOLS)
        raise UsageError(
            f"{url!r} is not a repository", why=why, fix=f"give a path, or one of {known}"
        )


def check_revision(revision: str) -> None:
    """Raise UsageError unless REVISION is the name of a branch or a tag, or a commit hash."""
    if _NO_REVISION.search(revision):
        raise UsageError(
            f"{revision!r} is not a revision", fix="give a branch, a tag or a full commit hash"
        )


def _host_of(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def public_uri(origin: str) -> str:
    """Return the URI of a repository at ORIGIN without what lets one in; "" for a local one."""
    if not (origin.isascii() and origin.isprintable()) or " " in origin:
        return ""
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


def directory_of(url: str) -> str:
    """Return what git-clone(1) calls the directory of a clone of URL."""
    path = url.rstrip("/").removesuffix("/.git").rstrip("/")
    name = re.split(r"[/:]", path)[-1].removesuffix(".git")
    return name if name not in {"", ".", ".."} else "source"
