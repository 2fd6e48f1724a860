"""Git repositories that ADD takes, as BuildKit reads their addresses.

`https://HOST/PATH.git#REF:DIRECTORY`, or with a query that says the same and more:
https://docs.docker.com/build/concepts/context/#url-queries. Without `.git` at the end of its
path, an address over http is one of a file.
"""

import re
import urllib.parse
from dataclasses import dataclass

from vcr.model.file_name import check_subdirectory, inside
from vcr.model.url import BEGINNINGS, check_url

SUFFIX = ".git"
_SCHEME = re.compile(r"([a-zA-Z0-9]+)://")  # BuildKit's util/gitutil, protoRegexp
# git-clone(1): USER@HOST:PATH, as BuildKit has it in util/sshutil, gitSSHRegex.
_SCP = re.compile(r"[a-zA-Z0-9\-_]+@[a-zA-Z0-9\-.]+:.*")
_OTHERS = frozenset({"git", "ssh"})
_CHECKSUM = re.compile(r"[0-9a-fA-F]+")
_NO_REF = re.compile(r"[\x00-\x20\x7f]")  # of git-check-ref-format(1)
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})  # Go's strconv.ParseBool
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_SWITCHES = ("keep-git-dir", "submodules", "fetch-by-commit")
_TEXTS = ("ref", "tag", "branch", "subdir", "checksum", "commit", "mtime")


@dataclass(frozen=True)
class GitAddress:
    """A repository, and what ADD takes of it."""

    remote: str  # an address over http or https
    ref: str = ""  # a branch, a tag, a full name in refs/ or a commit hash; "": what HEAD is
    subdir: str = ""  # of what is taken; "" for all
    checksum: str = ""  # what the hash of the commit, or of its tag, begins with
    keep_git_dir: bool = False
    submodules: bool = True
    fetch_by_commit: bool = False  # whether the commit is that of the checksum, wherever REF is

    @property
    def text(self) -> str:
        """Return it in one form, however it was written; BuildKit takes that, too."""
        query = {"checksum": self.checksum} if self.checksum else {}
        query |= {"keep-git-dir": "true"} if self.keep_git_dir else {}
        query |= {} if self.submodules else {"submodules": "false"}
        query |= {"fetch-by-commit": "true"} if self.fetch_by_commit else {}
        told = f"?{urllib.parse.urlencode(query)}" if query else ""
        behind = f"{self.ref}:{self.subdir}" if self.subdir else self.ref
        fragment = f"#{urllib.parse.quote(behind, safe='/:@+')}" if behind else ""
        return f"{self.remote}{told}{fragment}"


def is_git(text: str) -> bool:
    """Return whether ADD takes TEXT, as it is written in a Dockerfile, for a repository."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _SCP.fullmatch(text) is not None
    name = scheme[1].lower()
    if f"{name}://" not in BEGINNINGS:
        return name in _OTHERS
    try:
        path = urllib.parse.unquote(urllib.parse.urlsplit(text).path)
    except ValueError:
        return False  # no address at all
    return path.endswith(SUFFIX)


def parse_git_address(
    text: str, *, checksum: str = "", keep_git_dir: bool | None = None
) -> GitAddress:
    """Return the repository that TEXT, for which `is_git` holds, names.

    CHECKSUM and KEEP_GIT_DIR are flags of ADD. Raises ValueError saying what is wrong.
    """
    if not text.startswith(BEGINNINGS):
        raise ValueError("vcr fetches repositories by https:// and http:// only")
    parts = urllib.parse.urlsplit(text)
    if parts.username is not None or parts.password is not None:
        raise ValueError("its address has a user or a password, which vcr.lock would hold")
    remote = check_url(urllib.parse.urlunsplit((*parts[:3], "", "")))
    ref, _, subdir = urllib.parse.unquote(parts.fragment).partition(":")
    query = _query(parts.query)
    switches = {name: _switch(query, name) for name in _SWITCHES}
    if query.get("mtime", "checkout") not in {"checkout", "commit"}:
        raise ValueError(f"mtime is checkout or commit, not {query['mtime']!r}")
    found = GitAddress(
        remote,
        ref=_ref(ref, query),
        subdir=_one("subdir", inside(subdir), inside(query.get("subdir", ""))),
        checksum=_one("checksum", checksum, query.get("checksum", query.get("commit", ""))).lower(),
        keep_git_dir=_same_switch(keep_git_dir, switches["keep-git-dir"]),
        submodules=switches["submodules"] is not False,
        fetch_by_commit=bool(switches["fetch-by-commit"]),
    )
    check_subdirectory(found.subdir)
    if _NO_REF.search(found.ref):
        raise ValueError(f"{found.ref!r} is no branch, tag or commit")
    if found.checksum and not _CHECKSUM.fullmatch(found.checksum):
        raise ValueError(f"the checksum of a repository is a commit hash, not {found.checksum!r}")
    if found.fetch_by_commit and not (is_hash(found.ref) or is_hash(found.checksum)):
        raise ValueError("fetch-by-commit needs all of a commit hash, as checksum or as ref")
    if is_hash(found.ref) and not found.ref.startswith(found.checksum):
        raise ValueError(f"{found.ref} is not the commit of the checksum {found.checksum}")
    return found


def is_hash(ref: str) -> bool:
    """Return whether REF is the whole hash of a commit."""
    return _HASH.fullmatch(ref) is not None


def _query(text: str) -> dict[str, str]:
    """Return the fields of the query TEXT; raises ValueError for one that is unknown or empty."""
    fields: dict[str, str] = {}
    for name, value in urllib.parse.parse_qsl(text, keep_blank_values=True):
        if name not in {*_TEXTS, *_SWITCHES}:
            known = ", ".join((*_TEXTS, *_SWITCHES))
            raise ValueError(f"its query has {name!r}, which is none of {known}")
        if name in fields:
            raise ValueError(f"its query has {name} twice")
        if not value and name not in _SWITCHES:
            raise ValueError(f"its query has {name} without a value")
        fields[name] = value
    if "checksum" in fields and "commit" in fields:
        raise ValueError("its query has both checksum and commit")
    return fields


def _ref(ref: str, query: dict[str, str]) -> str:
    """Return the one REF of the fragment and of QUERY; raises ValueError if they are several."""
    if "tag" in query and "branch" in query:
        raise ValueError("its query has both tag and branch")
    found = _one("ref", ref, query.get("ref", ""))
    for key, prefix in (("tag", "refs/tags/"), ("branch", "refs/heads/")):
        if key in query:
            found = _one("ref", found, prefix + query[key].removeprefix(prefix))
    return found


def _one(what: str, first: str, second: str) -> str:
    if first and second and first != second:
        raise ValueError(f"it has two values for {what}: {first!r} and {second!r}")
    return first or second


def _switch(query: dict[str, str], name: str) -> bool | None:
    value = query.get(name)
    if value in {None, *_FALSE}:
        return None if value is None else False
    if value == "" or value in _TRUE:
        return True
    raise ValueError(f"{name} is true or false, not {value!r}")


def _same_switch(flag: bool | None, query: bool | None) -> bool:  # noqa: FBT001
    if flag is not None and query is not None and flag != query:
        raise ValueError("--keep-git-dir and the query of the address contradict each other")
    return bool(flag if query is None else query)
