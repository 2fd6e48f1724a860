"""COPY and ADD do what the Dockerfile reference and BuildKit do."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vcr.formats.copy_flags import changed_mode
from vcr.formats.failure import Failure
from vcr.formats.tar import apply_layer, write
from vcr.formats.tree import Content, Node, Tree, directory, text_file
from vcr.sandbox.copy import ContextSource, Copy, Spec, StageSource, UrlSource
from vcr.sandbox.layer import main

SPEC = {
    "op": "copy", "chown": "", "chmod": "", "exclude": [], "parents": False, "extract": False,
    "link": False,
}  # fmt: skip


@pytest.fixture
def lower() -> Tree:
    tree = Tree()
    tree.put("etc/passwd", text_file("app:x:100:200::/:\n"))
    tree.put("srv/old", text_file("old"))
    tree.put("srv/sub", directory(0o700))
    tree.put("current", Node("link", target="/srv"))
    tree.put("escape", Node("link", target="../../../srv"))
    tree.put("alias", Node("link", target="srv/old"))
    return tree


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "dir/deep").mkdir(parents=True)
    (root / "app.py").write_text("app")
    (root / "dir/a.txt").write_text("a")
    (root / "dir/deep/b.md").write_text("b")
    (root / "dir/run").write_text("#!")
    (root / "dir/run").chmod(0o711)
    (root / "dir/link").symlink_to("a.txt")
    return root


type Runner = Callable[..., Copy]


@pytest.fixture
def copy(lower: Tree, context: Path, tmp_path: Path) -> Runner:
    def run(*paths: str, kept: str = "", **options: Any) -> Copy:
        *sources, dest = paths
        copy = Copy(lower, Spec((), dest, **options), tmp_path / "scratch")
        for path in sources:
            name = path.rpartition("/")[2] if path != "." else ""
            copy.from_context(ContextSource(path, name, context, kept=kept))
        return copy

    return run


def listing(copy: Copy) -> dict[str, tuple[str, int, int]]:
    return {path: shown(copy.tree.nodes[path]) for path in sorted(copy.written)}


def shown(node: Node) -> tuple[str, int, int]:
    return node.kind, node.mode, node.uid


@pytest.mark.parametrize(
    ("dest", "where"),
    [
        ("/srv", "srv/app.py"),
        ("/srv/", "srv/app.py"),
        ("/srv/new", "srv/new"),
        ("/srv/new/", "srv/new/app.py"),
        ("/a/b/c", "a/b/c"),
        ("/", "app.py"),
        ("/current", "srv/app.py"),
        ("/current/x", "srv/x"),
        ("/escape/x", "srv/x"),
        ("/alias", "srv/old"),
        ("/srv/old", "srv/old"),
    ],
)
def test_where_a_file_goes(copy: Runner, dest: str, where: str) -> None:
    done = copy("app.py", dest)
    assert where in done.written
    assert done.tree.nodes[where].content.read() == b"app"


def test_contents_of_a_directory_are_copied_not_itself(copy: Runner) -> None:
    assert listing(copy("dir", "/new")) == {
        "new": ("dir", 0o755, 0),
        "new/a.txt": ("file", 0o644, 0),
        "new/deep": ("dir", 0o755, 0),
        "new/deep/b.md": ("file", 0o644, 0),
        "new/link": ("link", 0o777, 0),
        "new/run": ("file", 0o755, 0),
    }


def test_an_existing_destination_keeps_its_mode(copy: Runner) -> None:
    done = copy("dir", "/srv/sub")
    assert "srv/sub" not in done.written
    assert done.tree.nodes["srv/sub"].mode == 0o700


def test_only_what_was_written_is_in_the_layer(copy: Runner) -> None:
    assert copy("app.py", "/srv/").written == {"srv/app.py"}


def test_a_directory_is_not_replaced_by_a_file(copy: Runner, lower: Tree) -> None:
    lower.put("srv/app.py", directory())
    with pytest.raises(Failure, match="is a directory"):
        copy("app.py", "/srv/")


@pytest.mark.parametrize("dest", ["/srv/old", "/alias"])
def test_a_file_is_not_replaced_by_a_directory(copy: Runner, dest: str) -> None:
    with pytest.raises(Failure, match="is not a directory"):
        copy("dir", dest)


def test_a_nested_file_is_not_replaced_by_a_directory(copy: Runner, lower: Tree) -> None:
    lower.put("srv/deep", text_file(""))
    with pytest.raises(Failure, match="cannot be replaced by a directory"):
        copy("dir", "/srv")


def test_a_file_is_no_parent(copy: Runner) -> None:
    with pytest.raises(Failure, match="cannot be made"):
        copy("app.py", "/srv/old/x")


def test_chown_takes_names_of_the_image_and_new_parents_too(copy: Runner) -> None:
    done = copy("app.py", "/a/b/", chown="app")
    owners = {path: (done.tree.nodes[path].uid, done.tree.nodes[path].gid) for path in done.written}
    assert owners == dict.fromkeys(("a", "a/b", "a/b/app.py"), (100, 200))
    with pytest.raises(Failure, match="no user 'nobody'"):
        copy("app.py", "/", chown="nobody")


def test_chmod_leaves_links_alone(copy: Runner) -> None:
    modes = {path: mode for path, (_, mode, _) in listing(copy("dir", "/n", chmod="600")).items()}
    assert modes["n/a.txt"] == modes["n/run"] == 0o600
    assert modes["n/link"] == 0o777
    assert modes["n"] == 0o600, "as BuildKit has it: what a copy makes has the mode, too"


@pytest.mark.parametrize(("chmod", "mode"), [("700", 0o700), ("u=rwx,go=", 0o755), ("", 0o755)])
def test_directories_on_the_way_have_a_mode_of_digits(copy: Runner, chmod: str, mode: int) -> None:
    nodes = copy("app.py", "/p/q/r", chmod=chmod).tree.nodes
    assert (nodes["p"].mode, nodes["p/q"].mode) == (mode, mode)


def test_several_files_do_not_become_one(copy: Runner) -> None:
    """BuildKit keeps the last of `COPY *.py /new` and loses the others without a word."""
    with pytest.raises(Failure, match="several files would be /new"):
        copy("app.py", "dir/a.txt", "/new")
    assert "new" in copy("app.py", "app.py", "/new").written, "the same one twice"
    assert {"srv/app.py", "srv/a.txt"} <= copy("app.py", "dir/a.txt", "/srv").written


@pytest.mark.parametrize(
    ("text", "mode", "result"),
    [
        ("755", 0o644, 0o755),
        ("04755", 0o644, 0o4755),
        ("u+x", 0o644, 0o744),
        ("a=r", 0o755, 0o444),
        ("go-rwx,u=rw", 0o755, 0o600),
        ("u=rwX,go=rX", 0o644, 0o644),
        ("u=rwX,go=rX", 0o700, 0o755),
        ("g+s", 0o755, 0o2755),
        ("+t", 0o755, 0o1755),
        ("+w", 0o644, 0o666),
        ("-w", 0o644, 0o444),
        ("u+r-w,g=u", 0o644, 0o444),
        ("a+w,g-w+x", 0o644, 0o656),
        ("u=rwx,g=u-w,o=g", 0o644, 0o755),
        ("o+s,u+s,g+s,+t", 0o644, 0o7644),
        ("0", 0o644, 0),
    ],
)
def test_modes(text: str, mode: int, result: int) -> None:
    assert changed_mode(Node("file", mode), text) == result


@pytest.mark.parametrize("text", ["999", "u~x", "rwx", "77777", ""])
def test_malformed_modes(text: str) -> None:
    with pytest.raises(Failure):
        changed_mode(Node("file"), text)


def test_exclude(copy: Runner) -> None:
    assert set(copy("dir", "/n", exclude=["deep"]).written) == {"n", "n/a.txt", "n/link", "n/run"}
    assert "m/deep/b.md" not in copy("dir", "/m", exclude=["**/*.md"]).written
    assert "o/deep/b.md" in copy("dir", "/o", exclude=["*.md"]).written
    kept = copy("dir", "/p", exclude=["*", "!a.txt"]).written
    assert kept == {"p", "p/a.txt"}
    assert not copy("app.py", "/q/", exclude=["app.*"]).written


def test_parents_are_kept(copy: Runner) -> None:
    done = copy("dir/deep/b.md", "/n/", parents=True, kept="deep/b.md")
    assert done.written == {"n", "n/deep", "n/deep/b.md"}
    assert "n/dir/a.txt" in copy("dir", "/n/", parents=True, kept="dir").written
    assert "m/app.py" in copy(".", "/m/", parents=True).written


def test_parents_of_a_stage_are_as_they_are_there(lower: Tree, stage: Tree) -> None:
    stage.nodes["out"] = directory(0o750, 3, 4)
    done = from_stage(lower, stage, "/out/one", "/n/", parents=True)
    assert shown(done.tree.nodes["n/out"]) == ("dir", 0o750, 3)
    assert from_stage(lower, stage, "/out/one", "/m/", parents=True, pivot=1).written == {
        "m",
        "m/one",
    }
    assert "k/out/two" in from_stage(lower, stage, "/**/two", "/k/", parents=True).written


def tarball() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("in/file")
        info.size, info.uid, info.mode = 2, 33, 0o640
        tar.addfile(info, io.BytesIO(b"hi"))
        hard = tarfile.TarInfo("in/hard")
        hard.type, hard.linkname = tarfile.LNKTYPE, "in/file"
        tar.addfile(hard)
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_add_unpacks_archives(copy: Runner, context: Path, pack: Callable[[bytes], bytes]) -> None:
    (context / "data").write_bytes(pack(tarball()))
    done = copy("data", "/new/", extract=True)
    assert shown(done.tree.nodes["new/in/file"]) == ("file", 0o640, 33)
    assert done.tree.nodes["new/in/hard"] is done.tree.nodes["new/in/file"]
    assert done.written >= {"new", "new/in", "new/in/file", "new/in/hard"}
    kept = copy("data", "/kept", extract=False)
    assert kept.tree.nodes["kept"].kind == "file"


@pytest.mark.parametrize(
    "data", [b"plain", b"", b"BZh no", gzip.compress(b"text", mtime=0), b"\x1f\x8b"]
)
def test_add_copies_what_is_no_archive(copy: Runner, context: Path, data: bytes) -> None:
    (context / "data").write_bytes(data)
    assert copy("data", "/x", extract=True).tree.nodes["x"].content.read() == data


def test_add_refuses_zstd_and_devices(copy: Runner, context: Path) -> None:
    (context / "data").write_bytes(b"\x28\xb5\x2f\xfd and more")
    with pytest.raises(Failure, match="zstd"):
        copy("data", "/x", extract=True)
    with tarfile.open(context / "data", "w") as tar:
        info = tarfile.TarInfo("null")
        info.type = tarfile.CHRTYPE
        tar.addfile(info)
    with pytest.raises(Failure, match="device"):
        copy("data", "/x/", extract=True)


def test_an_archive_cannot_leave_its_destination(copy: Runner, context: Path) -> None:
    """As in BuildKit, which unpacks it in a chroot: `s -> ..`, then `s/etc/m`."""
    with tarfile.open(context / "data", "w") as tar:
        info = tarfile.TarInfo("out")
        info.type, info.linkname = tarfile.SYMTYPE, "/../../../.."
        tar.addfile(info)
        tar.addfile(tarfile.TarInfo("out/file"))
    done = copy("data", "/x/", extract=True)
    assert done.written == {"x", "x/out", "x/file"}
    assert done.tree.nodes["x/out"].target == "/../../../.."


def test_an_archive_is_unpacked_over_what_is_there(copy: Runner, context: Path) -> None:
    (context / "data").write_bytes(tarball())
    done = copy("data", "/srv/", extract=True, chmod="700", chown="5:6")
    assert "srv/in/file" in done.written
    assert "srv/old" in done.tree.nodes
    assert shown(done.tree.nodes["srv/in/file"]) == ("file", 0o640, 5), "--chmod is not for it"


@pytest.fixture
def stage() -> Tree:
    tree = Tree()
    shared = Node("file", 0o750, 7, 8, Content.of_bytes(b"s"))
    tree.put("out/one", shared)
    tree.put("out/two", shared)
    tree.put("link", Node("link", target="out/one"))
    tree.put("loop", Node("link", target="loop"))
    return tree


def from_stage(lower: Tree, stage: Tree, pattern: str, dest: str, **options: Any) -> Copy:
    pivot = options.pop("pivot", 0)
    copy = Copy(lower, Spec((), dest, **options), Path("unused"))
    copy.from_stage(StageSource(pattern, (), pivot=pivot), stage)
    return copy


def test_from_a_stage_owners_modes_and_hard_links_stay(lower: Tree, stage: Tree) -> None:
    done = from_stage(lower, stage, "/out", "/n")
    assert listing(done)["n/one"] == ("file", 0o750, 7)
    assert done.tree.nodes["n/one"] is done.tree.nodes["n/two"]
    owned = from_stage(lower, stage, "/out", "/m", chown="1:2")
    assert owned.tree.nodes["m/one"] is owned.tree.nodes["m/two"]
    assert owned.tree.nodes["m/one"].uid == 1


def test_from_a_stage_links_are_followed_and_keep_their_name(lower: Tree, stage: Tree) -> None:
    done = from_stage(lower, stage, "/link", "/n/")
    assert done.tree.nodes["n/link"].content.read() == b"s"


def test_from_a_stage_wildcards(lower: Tree, stage: Tree) -> None:
    assert from_stage(lower, stage, "/out/t*", "/n/").written == {"n", "n/two"}
    assert from_stage(lower, stage, "/miss*", "/m/").written == set()
    with pytest.raises(Failure, match="/miss is not in the stage"):
        from_stage(lower, stage, "/miss/*", "/m/")
    stage.put("to-out", Node("link", target="out"))
    assert from_stage(lower, stage, "/to-out/o*", "/k/").written == {"k", "k/one"}
    stage.put("out/three", Node("file", content=Content.of_bytes(b"3")))
    with pytest.raises(Failure, match="several files would be /file"):
        from_stage(lower, stage, "/out/*", "/file")


@pytest.mark.parametrize("pattern", ["/missing", "/loop"])
def test_from_a_stage_what_is_not_there(lower: Tree, stage: Tree, pattern: str) -> None:
    with pytest.raises(Failure):
        from_stage(lower, stage, pattern, "/n/")


def test_files_of_addresses_are_private_as_in_docker(lower: Tree, tmp_path: Path) -> None:
    (tmp_path / "fetched").write_text("x")
    copy = Copy(lower, Spec((), "/n/"), tmp_path)
    copy.from_url(UrlSource("file", tmp_path / "fetched"))
    assert listing(copy)["n/file"] == ("file", 0o600, 0)


@pytest.mark.parametrize("owner", ["root", "root:root", "root:0", "0:root"])
def test_root_needs_no_row(tmp_path: Path, owner: str) -> None:
    """`FROM scratch` and `COPY --chown=root` was refused."""
    copy = Copy(Tree(), Spec((), "/x/", chown=owner), tmp_path)
    assert copy.owner == (0, 0)


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_a_file_of_an_address_is_the_one_of_its_checksum(
    lower: Tree, tmp_path: Path, algorithm: str
) -> None:
    (tmp_path / "fetched").write_text("x")
    right = f"{algorithm}:{hashlib.new(algorithm, b'x').hexdigest()}"
    copy = Copy(lower, Spec((), "/n/"), tmp_path)
    copy.from_url(UrlSource("file", tmp_path / "fetched", checksum=right))
    with pytest.raises(Failure, match="is not the one that --checksum"):
        copy.from_url(UrlSource("file", tmp_path / "fetched", checksum=right[:-1] + "x"))


def job(tmp_path: Path, spec: dict[str, Any], lower: tuple[str, ...] = ()) -> Path:
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"spec": spec, "lower": lower, "epoch": 1}))
    return path


def test_a_layer_does_not_depend_on_its_surroundings(
    tmp_path: Path, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = {
        **SPEC,
        "dest": "/a/",
        "sources": [{"kind": "context", "path": ".", "name": "", "context": str(context)}],
    }
    main(str(job(tmp_path, spec)), str(tmp_path / "one"))
    (context / "app.py").chmod(0o666)
    (context / "dir").chmod(0o700)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    main(str(job(tmp_path, spec)), str(tmp_path / "two"))
    assert (tmp_path / "one/layer.tar").read_bytes() == (tmp_path / "two/layer.tar").read_bytes()


def test_workdir_makes_what_is_missing_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = {"op": "workdir", "path": "/a/b", "owner": "5:6"}
    main(str(job(tmp_path, spec)), str(tmp_path / "one"))
    tree = Tree()
    apply_layer(tree, tmp_path / "one/layer.tar")
    assert {path: (node.kind, node.uid) for path, node in tree.walk()} == {
        "a": ("dir", 5),
        "a/b": ("dir", 5),
    }
    main(str(job(tmp_path, spec, (str(tmp_path / "one/layer.tar"),))), str(tmp_path / "two"))
    again = Tree()
    apply_layer(again, tmp_path / "two/layer.tar")
    assert not list(again.walk())


def test_an_error_is_one_line_that_vcr_can_read(
    tmp_path: Path,
    context: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    source = {"kind": "context", "path": "app.py", "name": "app.py", "context": str(context)}
    spec = {**SPEC, "dest": "/a/", "sources": [source], "chown": "nobody"}
    with pytest.raises(SystemExit) as ended:
        main(str(job(tmp_path, spec)), str(tmp_path / "out"))
    assert ended.value.code == 1
    mark, _, report = capsys.readouterr().err.partition(" ")
    assert mark == "vcr-error:"
    assert set(json.loads(report)) == {"what", "why", "fix", "code"}


def test_workdir_does_not_replace_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tree = Tree()
    tree.put("a", text_file(""))
    write(tmp_path / "lower.tar", tree.walk(), 1)
    spec = {"op": "workdir", "path": "/a", "owner": ""}
    with pytest.raises(SystemExit):
        main(str(job(tmp_path, spec, (str(tmp_path / "lower.tar"),))), str(tmp_path / "out"))
    assert "not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("dest", ["/new/", "/"])
def test_a_file_that_would_remove_another_is_refused(
    copy: Runner, context: Path, dest: str
) -> None:
    """`.wh.x` in a layer removes x: it was written as it is, and an image lost files."""
    (context / "dir/.wh.a.txt").touch()
    with pytest.raises(Failure, match=r"a file that is called \.wh\.a\.txt"):
        copy("dir", dest)
    with tarfile.open(context / "data", "w") as tar:
        tar.addfile(tarfile.TarInfo("a/.wh..wh..opq"))
    with pytest.raises(Failure, match="an image cannot hold"):
        copy("data", dest, extract=True)
