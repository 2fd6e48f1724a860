"""Checkouts of what strangers publish: nothing of theirs is run, and nothing has no end."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import vcr.tools.git
from vcr.errors import FetchError, UsageError
from vcr.limits import Limits
from vcr.lock.git_directory import Head, write_git_directory
from vcr.tools import git_objects
from vcr.tools.git import Git, check_address, check_revision, directory_of

PROGRAM = Path(shutil.which("git") or "/none")
needs_git = pytest.mark.skipif(not PROGRAM.exists(), reason="needs git")
WHO = ("-c", "user.name=a", "-c", "user.email=a@example.org")


def git(root: Path, *words: str, stdin: bytes | None = None) -> str:
    argv = [str(PROGRAM), "-C", str(root), *WHO, *words]
    return (
        subprocess.run(argv, check=True, capture_output=True, input=stdin).stdout.decode().strip()
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "hello"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    (root / "a").write_text("a\n")
    return committed(root)


def committed(root: Path) -> Path:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=x")
    return root


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/who/hello.git", "hello"),
        ("https://example.org/hello/", "hello"),
        ("git@example.org:who/hello.git", "hello"),
        ("example.org:hello", "hello"),
        ("/src/hello/.git", "hello"),
        ("../hello", "hello"),
        ("/", "source"),
        ("..", "source"),
        (".git", "source"),
    ],
)
def test_the_directory_is_called_as_a_clone_is(url: str, name: str) -> None:
    assert directory_of(url) == name


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c 'touch /tmp/x' %S", "fd::3", "foo://host/r", "foo::https://host/r", "",
        "--upload-pack=touch /tmp/x", "-oProxyCommand=x:r", "ssh://-oProxyCommand=x/r",
        "ssh://me@-oProxyCommand=x/r", "https://host/r\nx", "https://host/\x1b[2J",
        "javascript://host", "EXT::x",
    ],
)  # fmt: skip
def test_what_would_run_a_program_is_no_address(url: str) -> None:
    with pytest.raises(UsageError, match="is not a repository"):
        check_address(url)


@pytest.mark.parametrize(
    "url",
    ["https://host/o/r.git", "ssh://git@host:22/r", "git@host:o/r", "/srv/r", "../r", "./a b"],
)
def test_what_git_clone_takes_is_an_address(url: str) -> None:
    check_address(url)


@pytest.mark.parametrize(
    "revision",
    ["--upload-pack=x", "-q", "+main", "main:refs/heads/x", "^main", "refs/heads/*", "", "a b",
     "main~1", "a..b", "@{u}", "a\nb"],
)  # fmt: skip
def test_what_is_more_than_a_name_is_no_revision(revision: str) -> None:
    with pytest.raises(UsageError, match="is not a revision"):
        check_revision(revision)


@pytest.mark.parametrize("revision", ["HEAD", "main", "v1.2", "v1+build", "refs/tags/v1", "a" * 40])
def test_a_name_or_a_hash_is_a_revision(revision: str) -> None:
    check_revision(revision)


@needs_git
def test_a_branch_a_tag_and_a_commit_are_checked_out(repository: Path) -> None:
    git(repository, "tag", "--annotate", "--message=x", "v1")
    commit = git(repository, "rev-parse", "HEAD")
    for revision in ("main", "v1", "HEAD", commit):
        with Git(PROGRAM).checkout(str(repository), revision) as root:
            assert root.name == "hello"
            assert (root / "a").read_text() == "a\n"
            assert git(root, "rev-parse", "HEAD") == commit
    with (
        pytest.raises(FetchError, match="cannot fetch none of"),
        Git(PROGRAM).checkout(str(repository), "none"),
    ):
        pass


@needs_git
def test_nothing_of_a_stranger_is_run(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what the repository's own configuration names, nor this user's, nor what is in it."""
    mark, program = repository.parent / "was-run", repository.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    home = repository.parent / "home"
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "attributes").write_text("* filter=evil eol=crlf\n")
    (repository / ".gitattributes").write_text("* filter=evil ident\nb text eol=lf\n")
    (repository / ".gitmodules").write_text(
        f'[submodule "x"]\n\tpath = x\n\turl = ext::{program}\n\tupdate = none\n'
    )
    (repository / "b").write_text("b\n")
    committed(repository)
    config = f'[filter "evil"]\n\tsmudge = {program}\n\tclean = {program}\n\trequired\n'
    config += f"[core]\n\tfsmonitor = {program}\n\tsshCommand = {program}\n"
    config += f"[uploadpack]\n\tpackObjectsHook = {program}\n"
    (home / ".gitconfig").write_text(config)
    with (repository / ".git" / "config").open("a") as file:
        file.write(config)
    for name in ("post-checkout", "post-merge", "pre-auto-gc", "reference-transaction"):
        shutil.copy(program, repository / ".git" / "hooks" / name)
    ambient = {
        "HOME": home,
        "GIT_SSH_COMMAND": program,
        "GIT_EXTERNAL_DIFF": program,
        "GIT_TEMPLATE_DIR": repository / ".git",
        "GIT_CONFIG_PARAMETERS": f"'filter.evil.smudge={program}'",
    }
    for name, value in ambient.items():
        monkeypatch.setenv(name, str(value))
    with Git(PROGRAM).checkout(str(repository), "main") as root:
        assert (root / "a").read_bytes() == b"a\n"
        assert sorted(path.name for path in (root / ".git" / "hooks").glob("*")) == []
    assert not mark.exists()


@needs_git
def test_submodules_are_not_fetched(repository: Path) -> None:
    part = repository.parent / "part"
    part.mkdir()
    git(part, "init", "--quiet")
    (part / "b").write_text("b")
    committed(part)
    allowed = ("-c", "protocol.file.allow=always")
    git(repository, *allowed, "submodule", "--quiet", "add", str(part), "part")
    committed(repository)
    with Git(PROGRAM).checkout(str(repository), "main") as root:
        assert list((root / "part").iterdir()) == []


def tree(root: Path, *rows: tuple[str, str, str]) -> str:
    """Write a tree of ROWS of mode, name and hash, whatever git thinks of it."""
    data = b"".join(
        f"{mode} {name}\0".encode() + bytes.fromhex(ident) for mode, name, ident in rows
    )
    words = ("hash-object", "-t", "tree", "-w", "--literally", "--stdin")
    return git(root, *words, stdin=data)


def publish(root: Path, ident: str) -> None:
    commit = git(root, "commit-tree", "-m", "x", ident)
    git(root, "update-ref", "refs/heads/made", commit)


@needs_git
@pytest.mark.parametrize("name", [".git", "..", ".GIT", ".git\u200c", "git~1"])
def test_what_would_be_git_s_own_or_outside_is_not_checked_out(repository: Path, name: str) -> None:
    inner = tree(repository, ("100755", "post-checkout", git(repository, "rev-parse", "HEAD:a")))
    publish(repository, tree(repository, ("40000", name, inner)))
    with pytest.raises(FetchError), Git(PROGRAM).checkout(str(repository), "made"):
        pass


@needs_git
def test_a_tree_that_unfolds_without_end_is_refused_at_once(repository: Path) -> None:
    """Ten directories of ten, ten levels deep: ten milliards of files out of a few bytes."""
    ident = git(repository, "rev-parse", "HEAD^{tree}")
    for _ in range(10):
        ident = tree(repository, *(("40000", f"d{n}", ident) for n in range(10)))
    publish(repository, ident)
    begun = time.monotonic()
    with (
        pytest.raises(UsageError, match="is too large"),
        Git(PROGRAM).checkout(str(repository), "made"),
    ):
        pass
    assert time.monotonic() - begun < 60


@needs_git
def test_directories_without_end_are_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_objects, "MAX_DEPTH", 20)
    ident = git(repository, "rev-parse", "HEAD^{tree}")
    for _ in range(30):
        ident = tree(repository, ("40000", "d", ident))
    publish(repository, ident)
    with (
        pytest.raises(UsageError, match="is too large") as caught,
        Git(PROGRAM).checkout(str(repository), "made"),
    ):
        pass
    assert "more than 20 deep" in caught.value.why


@needs_git
def test_files_that_are_too_large_are_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "b").write_bytes(b"\0" * 1_000_000)
    committed(repository)
    monkeypatch.setattr(vcr.tools.git, "MAX_CHECKOUT", 500_000)
    with (
        pytest.raises(UsageError, match="is too large"),
        Git(PROGRAM).checkout(str(repository), "main"),
    ):
        pass


@needs_git
def test_a_fetch_takes_no_more_of_the_disk_than_it_may(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "b").write_bytes(os.urandom(1_000_000))
    committed(repository)
    monkeypatch.setattr(vcr.tools.git, "LIMITS", Limits(500_000, 6 << 30))
    with (
        pytest.raises(FetchError, match="cannot fetch"),
        Git(PROGRAM).checkout(str(repository), "main"),
    ):
        pass


@needs_git
def test_who_answers_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(vcr.tools.git, "FETCH_SECONDS", 2.0)
    begun = time.monotonic()
    with pytest.raises(FetchError), Git(PROGRAM).checkout(str(pipe), "main"):
        pass
    assert time.monotonic() - begun < 30


@needs_git
def test_the_directory_of_git_has_each_tag_that_a_tag_leads_to(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "tag", "-a", "-m", "inner", "v1")
    git(repository, "tag", "-a", "-m", "outer", "v2", "v1")
    outer, commit = git(repository, "rev-parse", "v2"), git(repository, "rev-parse", "HEAD")
    made = tmp_path / "made"
    made.mkdir()
    with Git(PROGRAM).objects(repository / ".git/objects", "sha1") as objects:
        head = Head("https://h.test/r.git", commit, outer, "refs/tags/v2")
        write_git_directory(objects, head, made / ".git")
    git(made, "fsck", "--strict")
    assert git(made, "rev-parse", "v2^{tag}") == outer
    assert git(made, "cat-file", "-t", git(repository, "rev-parse", "v1")) == "tag"
