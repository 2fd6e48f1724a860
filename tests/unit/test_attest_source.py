"""Of what commit a project is made: read without running what its repository names, and true."""

import hashlib
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from vcr.attest.provenance import MAX_CHANGED, source_descriptor
from vcr.attest.source import Revision, revision_of
from vcr.errors import MismatchError, UsageError
from vcr.model.arch import Arch
from vcr.planner.prepare import prepare
from vcr.tools.git import Git
from vcr.tools.git_objects import Objects

REPO = Path(__file__).resolve().parents[2]
PROGRAM = shutil.which("git")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs git")
WHO = ("-c", "user.name=a", "-c", "user.email=a@example.org")


def git(root: Path, *words: str) -> str:
    argv = [str(PROGRAM), "-C", str(root), *WHO, *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def committed(root: Path) -> Path:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message=x")
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in a directory of a repository, all of it committed."""
    root = tmp_path.resolve() / "repository"
    shutil.copytree(REPO / "examples" / "static", root / "app")
    git(root, "init", "--quiet", "--initial-branch=main")
    committed(root)
    return root / "app"


def found(project: Path) -> Revision:
    loaded, plan = prepare(project, arch=Arch.RISCV64, profile="vm")
    revision = revision_of(loaded, plan, lambda: Git(Path(str(PROGRAM))))
    assert revision is not None
    return revision


def changed(project: Path) -> tuple[str, ...]:
    return found(project).changed


def takes(project: Path, what: str) -> None:
    file = project / "Dockerfile"
    file.write_text(file.read_text().replace("COPY www /www", f"COPY {what} /www"))
    committed(project)


# --- what is run: nothing


def script(project: Path) -> tuple[str, Path]:
    """Return a program that leaves a mark, and the mark."""
    mark = project.parents[1] / "was-run"
    program = project.parents[1] / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    return str(program), mark


def filtered(root: Path, program: str) -> None:
    (root / ".gitattributes").write_text("* filter=evil diff=evil\n")
    committed(root)
    for key in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process",
                "diff.evil.textconv", "diff.evil.command"):  # fmt: skip
        git(root, "config", key, program)


def monitored(root: Path, program: str) -> None:
    git(root, "config", "core.fsmonitor", program)


def hooked(root: Path, program: str) -> None:
    for name in ("post-index-change", "pre-auto-gc", "reference-transaction", "post-checkout"):
        shutil.copy(program, root / ".git" / "hooks" / name)


def elsewhere_hooked(root: Path, program: str) -> None:
    (root / "hooks").mkdir()
    git(root, "config", "core.hooksPath", str(root / "hooks"))
    shutil.copy(program, root / "hooks" / "post-index-change")


def included(root: Path, program: str) -> None:
    other = root.parent / "other"
    other.write_text(f'[core]\n\tfsmonitor = {program}\n[filter "evil"]\n\tclean = {program}\n')
    git(root, "config", f"includeIf.gitdir:{root}/.path", str(other))
    git(root, "config", "include.path", str(other))


def promised(root: Path, program: str) -> None:
    """A tree of the commit is only at a remote, which a program has to be asked for."""
    tree = git(root, "rev-parse", "HEAD:app")
    (root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    git(root, "config", "extensions.partialClone", "origin")
    git(root, "config", "remote.origin.promisor", "true")
    git(root, "config", "remote.origin.url", f"ext::{program} %S")
    git(root, "config", "protocol.ext.allow", "always")


def promised_by_ssh(root: Path, program: str) -> None:
    promised(root, program)
    git(root, "config", "remote.origin.url", "ssh://host.example/r")
    git(root, "config", "core.sshCommand", program)


def promised_by_upload_pack(root: Path, program: str) -> None:
    promised(root, program)
    git(root, "config", "remote.origin.url", str(root))
    git(root, "config", "remote.origin.uploadpack", program)


HOSTILE = (filtered, monitored, hooked, elsewhere_hooked, included, promised, promised_by_ssh,
           promised_by_upload_pack)  # fmt: skip


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_nothing_that_a_repository_names_is_run(
    project: Path, make: Callable[[Path, str], None]
) -> None:
    program, mark = script(project)
    make(project.parent, program)
    mark.unlink(missing_ok=True)  # setting it up may have run it
    for path in project.rglob("*"):
        os.utime(path)  # so that git would look into it again
    if make.__name__.startswith("promised"):
        with pytest.raises(UsageError, match="the repository has no tree"):
            found(project)
    else:
        assert found(project).changed == ()
    assert not mark.exists()


def test_a_configuration_that_would_never_end_is_not_read(project: Path) -> None:
    os.mkfifo(project.parents[1] / "pipe")
    git(project, "config", "include.path", str(project.parents[1] / "pipe"))
    assert changed(project) == ()


@pytest.mark.parametrize("name", ["HEAD", "config", "packed-refs"])
def test_what_is_not_a_file_is_not_waited_for(project: Path, name: str) -> None:
    git(project, "pack-refs", "--all")
    (project.parent / ".git" / name).unlink()
    os.mkfifo(project.parent / ".git" / name)
    with pytest.raises(UsageError, match="cannot read"):
        found(project)


@pytest.mark.parametrize(
    "text", [b"", b"gitdir: ", b"gitdir: a\0b", b"\xff", b"gitdir: a\nb", b"x"]
)
def test_what_does_not_name_a_repository_is_refused(project: Path, text: bytes) -> None:
    (project / ".git").write_bytes(text)
    with pytest.raises(UsageError):
        found(project)


@pytest.mark.parametrize("text", [b"", b"a\0b", b"a\nb"])
def test_what_does_not_name_what_is_shared_is_refused(project: Path, text: bytes) -> None:
    (project.parent / ".git" / "commondir").write_bytes(text)
    with pytest.raises(UsageError, match="is not part of a repository"):
        found(project)


@pytest.mark.parametrize(
    "text", [b"ref: ../../x", b"ref: refs/heads/../../x", b"ref: HEAD", b"x", b"\xff\0", b"a" * 39]
)
def test_a_head_that_is_none_is_refused(project: Path, text: bytes) -> None:
    (project.parent / ".git" / "HEAD").write_bytes(text)
    with pytest.raises(UsageError, match="cannot be read"):
        found(project)


# --- what is believed: what hashes say


def test_what_replaces_a_commit_is_not_the_commit(project: Path) -> None:
    first = git(project, "rev-parse", "HEAD")
    (project / "www" / "index.html").write_text("other\n")
    committed(project)
    second = git(project, "rev-parse", "HEAD")
    git(project, "checkout", "--quiet", "--detach", first)
    git(project, "replace", first, second)
    assert git(project, "status", "--porcelain") != ""  # git believes it
    assert changed(project) == ()
    git(project, "reset", "--quiet", "--hard", first)
    assert (project / "www" / "index.html").read_text() == "other\n"
    assert git(project, "status", "--porcelain") == ""
    assert changed(project) == ("app/www/index.html",)


def test_an_object_under_the_name_of_another_is_refused(project: Path) -> None:
    honest = git(project, "rev-parse", "HEAD:app/www")
    blob = git(project, "hash-object", "-w", "--stdin")
    forged = b"100644 index.html\0" + bytes.fromhex(blob)
    place = project.parent / ".git" / "objects" / honest[:2] / honest[2:]
    place.unlink()
    place.write_bytes(zlib.compress(b"tree %d\0" % len(forged) + forged))
    (project / "www" / "index.html").write_bytes(b"")
    with pytest.raises(MismatchError, match="does not match its name"):
        found(project)


def test_names_are_those_of_git(project: Path) -> None:
    data = (project / "Dockerfile").read_bytes()
    objects = Objects(lambda _words, _stdin: b"", "sha1")
    assert objects.name_of("blob", data) == git(project, "rev-parse", "HEAD:app/Dockerfile")


def test_a_repository_of_sha256_is_read(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "repository"
    shutil.copytree(REPO / "examples" / "static", root)
    git(root, "init", "--quiet", "--object-format=sha256")
    committed(root)
    revision = found(root)
    assert revision.commit == git(root, "rev-parse", "HEAD")
    assert len(revision.commit) == hashlib.sha256().digest_size * 2
    assert revision.changed == ()


def test_packed_objects_branches_and_another_working_tree_are_read(project: Path) -> None:
    git(project, "gc", "--quiet")
    git(project, "pack-refs", "--all")
    assert found(project).commit == git(project, "rev-parse", "HEAD")
    second = project.parents[1] / "second"
    git(project, "worktree", "add", "--quiet", "-b", "other", str(second))
    (second / "app" / "www" / "index.html").write_text("more\n")
    committed(second)
    assert found(second / "app") == Revision(git(second, "rev-parse", "HEAD"), "")
    assert found(project).commit != found(second / "app").commit


def test_before_the_first_commit_there_is_no_source(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "static"
    shutil.copytree(REPO / "examples" / "static", root)
    loaded, plan = prepare(root, arch=Arch.RISCV64, profile="vm")
    git(root, "init", "--quiet")
    assert revision_of(loaded, plan, lambda: Git(Path(str(PROGRAM)))) is None


def test_the_address_is_the_one_that_was_written(project: Path) -> None:
    git(project, "config", "remote.origin.url", "https://me:secret@host.example/r.git")
    git(project, "config", "url.https://elsewhere.example/.insteadOf", "https://host.example/")
    assert found(project).uri == "https://host.example/r.git"


# --- what is told: every file that took part and is not of the commit


def test_what_is_committed_is_not_changed(project: Path) -> None:
    (project / "notes.txt").write_text("takes no part")
    assert changed(project) == ()


def test_a_file_that_is_ignored_but_copied_is_told(project: Path) -> None:
    (project.parent / ".gitignore").write_text("*.key\nbuild/\n")
    committed(project)
    (project / "www" / "x.key").write_text("secret")
    (project / "www" / "build" / "deep").mkdir(parents=True)
    (project / "www" / "build" / "deep" / "a").write_text("a")
    assert git(project, "status", "--porcelain") == ""
    assert changed(project) == ("app/www/build/", "app/www/x.key")


@pytest.mark.parametrize("name", ["vcr.lock", "vcr.toml", "Dockerfile"])
def test_what_says_what_is_built_has_to_be_committed(project: Path, name: str) -> None:
    git(project, "rm", "--quiet", "--cached", name)
    git(project, "commit", "--quiet", "--message=x")
    assert changed(project) == (f"app/{name}",)


def test_what_says_which_files_take_part_has_to_be_committed(project: Path) -> None:
    takes(project, ".")
    (project / ".dockerignore").write_text("other\n")
    assert "app/.dockerignore" in changed(project)
    committed(project)
    assert changed(project) == ()
    (project / ".dockerignore").unlink()
    assert changed(project) == ("app/.dockerignore",)


def test_a_byte_or_a_mode_that_differs_is_told(project: Path) -> None:
    page = project / "www" / "index.html"
    page.chmod(0o755)
    assert changed(project) == ("app/www/index.html",)
    page.chmod(0o600)
    assert changed(project) == ()
    page.write_bytes(page.read_bytes().replace(b"\n", b"\r\n"))
    git(project, "config", "core.autocrlf", "true")
    assert changed(project) == ("app/www/index.html",)


def test_what_is_gone_is_told_when_it_would_take_part(project: Path) -> None:
    (project / "www" / "second.html").write_text("x")
    (project / "left-out").write_text("x")
    takes(project, ".")
    (project / "www" / "second.html").unlink()
    assert changed(project) == ("app/www/second.html",)
    (project / ".dockerignore").write_text("www/second.html\n")
    committed(project)
    git(project, "reset", "--quiet", "--soft", "HEAD")
    assert changed(project) == ()


def test_a_directory_that_git_cannot_keep_is_told(project: Path) -> None:
    (project / "www" / "empty").mkdir()
    assert changed(project) == ("app/www/empty/",)


def test_links_are_compared_as_links(project: Path) -> None:
    (project / "www" / "link").symlink_to("index.html")
    committed(project)
    assert changed(project) == ()
    (project / "www" / "link").unlink()
    (project / "www" / "link").symlink_to("../Dockerfile")
    assert changed(project) == ("app/www/link",)


@pytest.mark.parametrize("written", ["current", "current/", "way/current", "to-way/current"])
def test_a_link_that_leads_to_what_is_copied_has_to_be_committed(
    project: Path, written: str
) -> None:
    (project / "second").mkdir()
    (project / "second" / "page").write_text("2")
    (project / "way").mkdir()
    (project / "current").symlink_to("www")
    (project / "way" / "current").symlink_to("../www")
    (project / "to-way").symlink_to("way")
    takes(project, written)
    assert changed(project) == ()
    link = project / written.rstrip("/")
    link.unlink()
    link.symlink_to(os.path.relpath(project / "second", link.parent.resolve()))
    assert len(changed(project)) == 1
    assert changed(project)[0].endswith("current")


def test_a_whole_context_has_what_git_keeps_itself_in(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "static"
    shutil.copytree(REPO / "examples" / "static", root)
    (root / ".dockerignore").unlink(missing_ok=True)
    git(root, "init", "--quiet")
    takes(root, ".")
    assert changed(root) == (".git/",)
    (root / ".dockerignore").write_text(".git\n")
    committed(root)
    assert changed(root) == ()


def test_files_of_a_submodule_are_not_those_of_the_commit(project: Path) -> None:
    part = project.parents[1] / "part"
    part.mkdir()
    git(part, "init", "--quiet")
    (part / "a").write_text("a")
    committed(part)
    git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add",
        str(part), "www/part")  # fmt: skip
    committed(project)
    assert changed(project) == ("app/www/part/.git", "app/www/part/a")


def test_the_names_that_are_told_are_bounded() -> None:
    names = tuple(f"{number:04}" + "x" * 1000 for number in range(5000))
    told = source_descriptor(Revision("a" * 40, "", names))["annotations"]
    assert told["changed"] is True
    assert told["changedCount"] == len(names)
    assert len(told["changedFiles"]) == MAX_CHANGED
    assert len(str(told)) < 10_000
