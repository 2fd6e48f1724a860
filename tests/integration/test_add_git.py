"""ADD of a git repository: locked by commit, fetched by hash, whatever a server does later."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from git_server import Site, git_env, git_site, run_git

from vcr.settings import Settings
from vcr.tools.nix import Nix

pytestmark = [pytest.mark.nix]

REMOTE = "https://git.test/git/r.git"


@dataclass
class Repository:
    """A repository that is served, and a project that takes of it."""

    vcr: Any
    git: Path
    root: Path
    project: Path

    def run(self, *words: str, stdin: bytes = b"") -> str:
        return run_git(self.git, self.root, *words, stdin=stdin)

    def commit(self) -> str:
        self.run("add", "--all")
        self.run("commit", "-q", "-m", "one")
        return self.run("rev-parse", "HEAD")

    def write(self, text: str) -> None:
        (self.project / "Dockerfile").write_text(f"FROM scratch\n{text}\n")

    def entry(self) -> dict[str, str]:
        """What the lock has of the only repository."""
        lock = json.loads((self.project / "vcr.lock").read_text())
        (entry,) = lock["repositories"].values()
        assert isinstance(entry, dict)
        return entry

    def forget(self) -> None:
        """Have the store lack what was locked."""
        path = Nix(Settings.load()).fixed_path(self.entry()["nar_sha256"], "vcr-git-tree")
        subprocess.run(["nix-store", "--delete", path], check=True, capture_output=True)

    def built(self) -> dict[str, tarfile.TarInfo]:
        """Build the image; return what is in its layers. `unpacked` beside the project has it."""
        built = self.vcr.json("build", "image", self.project)
        manifest = Path(built["ladder"][0]["path"])
        shutil.rmtree(self.project.with_name("unpacked"), ignore_errors=True)
        found: dict[str, tarfile.TarInfo] = {}
        for layer in json.loads(manifest.read_text())["layers"]:
            with tarfile.open(manifest.parent / layer["digest"].partition(":")[2]) as archive:
                found |= {info.name: info for info in archive}
                archive.extractall(self.project.with_name("unpacked"), filter="tar")
        return found

    def text(self, path: str) -> str:
        return (self.project.with_name("unpacked") / path).read_text()


@pytest.fixture
def repository(vcr: Any, tmp_path: Path) -> Iterator[Repository]:
    git = Nix(Settings.load()).toolset("git") / "usr/bin/git"
    root, project = tmp_path / "repositories" / "r.git", tmp_path / "project"
    project.mkdir()
    (root / "sub" / "deep").mkdir(parents=True)
    run_git(git, root, "init", "-q", "-b", "main")
    (root / "unique").write_text(str(tmp_path))  # so that no store has it
    (root / "sub" / "tool").write_text(f"#!{tmp_path}\n")
    (root / "sub" / "tool").chmod(0o775)
    (root / "sub" / "deep" / "f").write_text("f\n")
    (root / "sub" / "out").symlink_to("../../../etc/passwd")
    made = Repository(vcr, git, root, project)
    made.commit()
    with git_site(git, root.parent) as address:
        vcr.env["VCR_MIRRORS"] = f"https://git.test/={address}"
        yield made


def test_a_commit_is_locked_and_a_moved_tag_changes_nothing(repository: Repository) -> None:
    commit = repository.run("rev-parse", "HEAD")
    repository.run("tag", "v1")
    repository.write(f"ADD --chown=7:8 {REMOTE}#v1:sub /d")
    repository.vcr("lock", repository.project)
    entry = repository.entry()
    assert (entry["remote"], entry["ref"], entry["commit"]) == (REMOTE, "refs/tags/v1", commit)
    locked = (repository.project / "vcr.lock").read_bytes()
    (repository.root / "sub" / "tool").write_text("another\n")
    repository.commit()
    repository.run("tag", "-f", "v1")
    repository.forget()
    entries = repository.built()
    assert sorted(entries) == ["d", "d/deep", "d/deep/f", "d/out", "d/tool"]
    assert (entries["d/tool"].mode, entries["d/deep/f"].mode) == (0o755, 0o644)
    assert (entries["d/tool"].uid, entries["d/tool"].gid) == (7, 8)
    assert entries["d/out"].linkname == "../../../etc/passwd", "a link stays a link"
    assert repository.text("d/tool") == f"#!{repository.root.parents[1]}\n"
    Site.asked.clear()
    repository.built()
    assert Site.asked == [], "what the store has is not fetched again"
    repository.vcr("lock", repository.project)
    assert (repository.project / "vcr.lock").read_bytes() == locked
    repository.vcr("lock", "--update", repository.project)
    assert repository.entry()["commit"] != commit


def test_an_audit_compares_the_commit(repository: Repository) -> None:
    repository.write(f"ADD {REMOTE}#main:sub/deep /d")
    repository.vcr("lock", repository.project)
    repository.vcr("lock", "--audit", repository.project)
    file = repository.project / "vcr.lock"
    right = repository.entry()["nar_sha256"]
    file.write_text(file.read_text().replace(right, f"sha256-{'A' * 43}="))
    for verb, words in {
        ("lock", "--audit"): "the commit has",
        ("build", "image"): "what vcr.lock says",
        ("lock",): "differs from its commit",
    }.items():
        assert words in repository.vcr(*verb, repository.project, code=3).stderr


def test_the_directory_of_git_is_the_same_wherever_it_is_made(repository: Repository) -> None:
    repository.run("tag", "-a", "-m", "annotated", "v2")
    commit, tag = repository.run("rev-parse", "HEAD"), repository.run("rev-parse", "v2")
    repository.write(f"ADD --keep-git-dir {REMOTE}?checksum={commit[:9]}#v2 /r/")
    repository.vcr("lock", repository.project)
    assert (repository.entry()["commit"], repository.entry()["tag"]) == (commit, tag)
    repository.forget()
    repository.built()  # which compares with the hash in the lock
    unpacked = repository.project.with_name("unpacked") / "r"

    def git(*words: str) -> str:
        return run_git(repository.git, unpacked, *words)

    assert git("status", "--porcelain") == ""
    assert (git("rev-parse", "HEAD"), git("describe", "--dirty")) == (commit, "v2")
    assert git("remote", "get-url", "origin") == REMOTE
    git("fsck", "--strict")
    (unpacked / "sub" / "tool").write_text("changed\n")
    assert git("status", "--porcelain") == "M sub/tool"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_head_is_taken_without_a_ref_and_any_commit_by_its_hash(
    repository: Repository, algorithm: str
) -> None:
    if algorithm == "sha256":
        subprocess.run(["rm", "-r", repository.root / ".git"], check=True)
        repository.run("init", "-q", "-b", "main", "--object-format=sha256")
        repository.commit()
    first = repository.run("rev-parse", "HEAD")
    (repository.root / "later").touch()
    second = repository.commit()
    repository.run("update-ref", "refs/heads/zz/HEAD", first)  # a name that ends in HEAD, too
    repository.write(f"ADD {REMOTE} /h/\nADD {REMOTE}#{first} /c/\nADD --keep-git-dir {REMOTE} /k/")
    repository.vcr("lock", repository.project)
    entries = repository.built()
    assert "h/later" in entries
    assert "c/unique" in entries
    assert "c/later" not in entries
    assert not {"h/.git", "c/.git"} & entries.keys()
    kept = repository.project.with_name("unpacked") / "k"
    assert run_git(repository.git, kept, "rev-parse", "main", "HEAD").split() == [second, second]
    assert run_git(repository.git, kept, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("r.git#none", 2, "Dockerfile:2:5: https://git.test/git/r.git has no branch or tag none"),
        ("r.git#a..b", 2, "is not a revision"),
        (f"r.git#{'a' * 40}", 7, f"has no {'a' * 40}"),
        ("none.git", 7, "cannot read https://git.test/git/none.git"),
        ("r.git#main:missing", 2, "has no directory missing"),
        ("r.git#main:sub/tool", 2, "has no directory sub/tool"),
        ("r.git#main:sub/out", 2, "has no directory sub/out"),
        ("r.git#main:.git", 2, "has no directory .git"),
        ("r.git?checksum=abcd#main", 3, "is not what its checksum says"),
    ],
)
def test_what_a_repository_does_not_have(
    repository: Repository, address: str, code: int, words: str
) -> None:
    repository.write(f"ADD {REMOTE.removesuffix('r.git')}{address} /d/")
    assert words in repository.vcr("lock", repository.project, code=code).stderr
    assert not (repository.project / "vcr.lock").exists()


def test_submodules_are_refused_or_left_out(repository: Repository) -> None:
    commit = repository.run("rev-parse", "HEAD")
    modules = '[submodule "m"]\n\tpath = sub/m\n\turl = https://git.test/git/other.git\n'
    (repository.root / ".gitmodules").write_text(modules)
    repository.run("update-index", "--add", "--cacheinfo", f"160000,{commit},sub/m")
    repository.run("add", ".gitmodules")
    repository.run("commit", "-q", "-m", "module")
    repository.write(f"ADD {REMOTE} /d/")
    refused = repository.vcr("lock", repository.project, code=2).stderr
    assert "has submodules: sub/m" in refused
    assert "?submodules=false" in refused
    repository.write(f"ADD {REMOTE}#:sub/deep /e/\nADD {REMOTE}?submodules=false /d/")
    repository.vcr("lock", repository.project)
    assert not any("other.git" in line for line in Site.asked)
    entries = repository.built()
    assert entries["d/sub/m"].isdir()
    assert [name for name in entries if name.startswith("d/sub/m/")] == []


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", ".g\u200cit", ".."])
def test_a_tree_with_a_name_of_git_is_refused(repository: Repository, name: str) -> None:
    blob = repository.run("hash-object", "-w", "--stdin", stdin=b"[core]\n\tfsmonitor = touch x\n")
    row = b"100644 " + name.encode() + b"\0" + bytes.fromhex(blob)
    words = ("hash-object", "-w", "-t", "tree", "--literally", "--stdin")
    tree = repository.run(*words, stdin=row)
    commit = repository.run("commit-tree", "-m", "evil", tree)
    repository.run("update-ref", "refs/heads/evil", commit)
    repository.write(f"ADD {REMOTE}#evil /d/")
    refused = repository.vcr("lock", repository.project, code=7).stderr
    assert "cannot read https://git.test/git/r.git" in refused


def test_a_server_leads_neither_to_this_host_nor_to_another_protocol(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = (part for part in repository.vcr.env["VCR_MIRRORS"].split(":") if part[:1].isdigit())
    repository.write(f"ADD http://127.0.0.1:{port}git/r.git /d/")
    assert "this host" in repository.vcr("lock", repository.project, code=7).stderr
    for place in ("http://127.0.0.1:9/", "file:///etc/", "ext::sh -c 'touch /tmp/vcr-was-run'"):

        def redirect(site: Site, _: bytes, place: str = place) -> None:
            site.reply(302, {"Location": place}, b"")

        monkeypatch.setattr(Site, "answer", redirect)
        repository.write(f"ADD {REMOTE} /d/")
        repository.vcr("lock", repository.project, code=7)
    assert not Path("/tmp/vcr-was-run").exists()


def test_git_itself_makes_the_same_tree(repository: Repository, tmp_path: Path) -> None:
    """Attributes of the repository are in force, as for BuildKit; filters are not."""
    (repository.root / ".gitattributes").write_text("*.crlf text eol=crlf\n*.id ident\n")
    (repository.root / "a.crlf").write_bytes(b"one\n")
    (repository.root / "b.id").write_text("$Id$\n")
    repository.commit()
    clone = tmp_path / "clone"
    argv: list[str | Path] = [repository.git, "clone", "-q", repository.root, clone]
    subprocess.run(argv, check=True, env=git_env(repository.git))
    repository.write(f"ADD {REMOTE} /")
    repository.vcr("lock", repository.project)
    repository.built()
    unpacked = repository.project.with_name("unpacked")
    assert (unpacked / "a.crlf").read_bytes() == b"one\r\n"
    for path in (path for path in clone.rglob("*") if ".git" not in path.parts):
        made = unpacked / path.relative_to(clone)
        assert path.is_symlink() == made.is_symlink()
        assert path.is_symlink() or path.is_dir() or made.read_bytes() == path.read_bytes()
