"""The tar reader takes nothing on trust; the writer writes the same bytes every time."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vcr.formats import packed
from vcr.formats.failure import Failure
from vcr.formats.packed import Damaged, uncompressed
from vcr.formats.tar import MAX_SPARSE, apply_layer, entries, is_archive, place, write
from vcr.formats.tree import Content, Node, Tree, directory, text_file

EPOCH = 1_700_000_000
FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def archive(path: Path, *members: tuple[str, bytes, str], **more: object) -> Path:
    """Write a tar of (name, type, link or content) MEMBERS."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
            else:
                info.linkname = text
                tar.addfile(info)
    return path


def layered(*layers: Path) -> dict[str, str]:
    """Lay LAYERS over one another and show what each path is."""
    tree = Tree()
    for layer in layers:
        apply_layer(tree, layer)
    return {path: show(node) for path, node in tree.walk()}


def show(node: Node) -> str:
    if node.kind == "file":
        return node.content.read().decode()
    return f"-> {node.target}" if node.kind == "link" else node.kind


FILE, DIR, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..", "a/.."])
@pytest.mark.parametrize("kind", [FILE, DIR, LINK, HARD])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    with pytest.raises(Failure, match="leads out"):
        layered(archive(tmp_path / "a.tar", (name, kind, "x")))


def test_a_hard_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="leads out"):
        layered(archive(tmp_path / "a.tar", ("x", HARD, "../../etc/passwd")))


def test_a_hard_link_to_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="not there"):
        layered(archive(tmp_path / "a.tar", ("x", HARD, "missing")))


@pytest.mark.parametrize("target", ["/", "../../../..", "/x/../.."])
def test_links_in_parents_stay_inside(tmp_path: Path, target: str) -> None:
    tar = archive(tmp_path / "a.tar", ("d", LINK, target), ("d/f", FILE, "hi"))
    assert layered(tar) == {"d": f"-> {target}", "f": "hi"}


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    tar = archive(tmp_path / "a.tar", ("a", LINK, "b"), ("b", LINK, "a"), ("a/f", FILE, ""))
    with pytest.raises(Failure, match="loop"):
        layered(tar)


def test_absolute_names_are_below_the_root(tmp_path: Path) -> None:
    tar = archive(tmp_path / "a.tar", ("/etc/f", FILE, "1"), ("./etc//g", FILE, "2"))
    assert layered(tar) == {"etc": "dir", "etc/f": "1", "etc/g": "2"}


def test_the_last_of_two_entries_wins(tmp_path: Path) -> None:
    tar = archive(tmp_path / "a.tar", ("f", FILE, "1"), ("f", FILE, "2"))
    assert layered(tar) == {"f": "2"}


def test_whiteouts_hide_lower_layers_only(tmp_path: Path) -> None:
    lower = archive(
        tmp_path / "1.tar", ("d/a", FILE, "1"), ("d/b", FILE, "1"), ("e/x/y", FILE, "1")
    )
    upper = archive(
        tmp_path / "2.tar", ("d/.wh.a", FILE, ""), ("d/c", FILE, "2"), (".wh.e", FILE, "")
    )
    assert layered(lower, upper) == {"d": "dir", "d/b": "1", "d/c": "2"}


def test_an_opaque_whiteout_hides_all_below_wherever_it_stands(tmp_path: Path) -> None:
    lower = archive(tmp_path / "1.tar", ("d/a/b", FILE, "1"), ("e", FILE, "1"))
    upper = archive(tmp_path / "2.tar", ("d/new", FILE, "2"), ("d/.wh..wh..opq", FILE, ""))
    assert layered(lower, upper) == {"d": "dir", "d/new": "2", "e": "1"}


def test_a_directory_of_an_upper_layer_replaces_a_link(tmp_path: Path) -> None:
    lower = archive(tmp_path / "1.tar", ("b/f", FILE, "1"), ("a", LINK, "b"))
    upper = archive(tmp_path / "2.tar", ("a", DIR, ""), ("a/g", FILE, "2"))
    assert layered(lower, upper) == {"a": "dir", "a/g": "2", "b": "dir", "b/f": "1"}


def test_a_directory_through_a_link_when_asked_for() -> None:
    tree = Tree()
    tree.put("usr/bin", directory())
    tree.put("bin", Node("link", target="usr/bin"))
    assert place(tree, "bin", directory(0o700), "x", through_links=True) == "usr/bin"
    assert tree.nodes["bin"].kind == "link"
    assert tree.nodes["usr/bin"].mode == 0o700


def test_a_file_replaces_a_directory_and_all_below(tmp_path: Path) -> None:
    lower = archive(tmp_path / "1.tar", ("d/a/b", FILE, "1"))
    upper = archive(tmp_path / "2.tar", ("d", FILE, "2"))
    assert layered(lower, upper) == {"d": "2"}


def good_tar(tmp_path: Path) -> bytes:
    path = archive(tmp_path / "good.tar", ("one", FILE, "1" * 600), ("two", FILE, "2"))
    return path.read_bytes()


@pytest.mark.parametrize("length", [1, 511, 512, 700, 1536, 1600, 2048, 2560])
def test_a_truncated_archive_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.tar"
    path.write_bytes(good_tar(tmp_path)[:length])
    with pytest.raises(Failure):
        layered(path)


def test_a_damaged_header_in_the_middle_does_not_end_the_archive(tmp_path: Path) -> None:
    data = bytearray(good_tar(tmp_path))
    data[1536] ^= 0xFF  # first byte of the second header
    path = tmp_path / "damaged.tar"
    path.write_bytes(data)
    with pytest.raises(Failure, match="damaged"):
        layered(path)


def test_a_sparse_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("bomb")
        info.pax_headers = {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.size": str(1 << 50),
            "GNU.sparse.map": "0,0",
        }
        tar.addfile(info)
    with pytest.raises(Failure, match="sparse"):
        layered(path)


def test_sparse_files_of_an_archive_are_limited_together(tmp_path: Path) -> None:
    """Ten kilobytes of headers, each of less than the limit, were gigabytes of memory."""
    path = tmp_path / "bomb.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(3):
            info = tarfile.TarInfo(f"bomb{number}")
            info.pax_headers = {
                "GNU.sparse.major": "0",
                "GNU.sparse.minor": "1",
                "GNU.sparse.size": str(MAX_SPARSE // 2),
                "GNU.sparse.map": "0,0",
            }
            tar.addfile(info)
    tracemalloc.start()
    with pytest.raises(Failure, match="sparse"):
        layered(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16 << 20


def test_a_sparse_file_is_what_tarfile_makes_of_it(tmp_path: Path) -> None:
    data = b"a" * 600 + b"b" * 300
    path = tmp_path / "sparse.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("f")
        info.size = len(data)
        info.pax_headers = {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.size": "5000000",
            "GNU.sparse.map": "512,600,4000000,300",
        }
        tar.addfile(info, io.BytesIO(data))
    ((_, node),) = entries(path)
    assert isinstance(node, Node)
    content = node.content.read()
    with tarfile.open(path) as tar:
        file = tar.extractfile("f")
        assert file is not None
        assert content == file.read()
    assert content[512:1112] == b"a" * 600
    assert len(content) == 5_000_000


@pytest.mark.parametrize(
    "places", ["600,10,0,10", "0,600,500,10", "4999999,10", "0,900,1000,50000"]
)
def test_a_sparse_file_whose_pieces_cannot_be_is_refused(tmp_path: Path, places: str) -> None:
    path = tmp_path / "sparse.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("f")
        info.size = 900
        info.pax_headers = {
            "GNU.sparse.major": "0",
            "GNU.sparse.minor": "1",
            "GNU.sparse.size": "5000000",
            "GNU.sparse.map": places,
        }
        tar.addfile(info, io.BytesIO(bytes(900)))
    with pytest.raises(Failure, match=r"sparse|cut off"):
        layered(path)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": partial(lzma.compress, preset=0),
}


@pytest.mark.parametrize("name", PACKERS)
def test_streams_after_one_another_and_zeros_between_are_one(tmp_path: Path, name: str) -> None:
    one, two = os.urandom(3 << 20) + bytes(9 << 20), b"two"
    path = tmp_path / f"x.{name}"
    path.write_bytes(PACKERS[name](one) + bytes(8) + PACKERS[name](two) + bytes(512))
    assert uncompressed(path, tmp_path / "scratch").read_bytes() == one + two


@pytest.mark.parametrize("name", PACKERS)
def test_what_is_cut_off_is_damaged(tmp_path: Path, name: str) -> None:
    whole = PACKERS[name](os.urandom(1000))
    for end in (len(whole) - 1, len(whole) // 2, 7):
        path = tmp_path / f"x.{end}"
        path.write_bytes(whole[:end])
        with pytest.raises(Damaged):
            uncompressed(path, tmp_path / "scratch")


@pytest.mark.parametrize("name", PACKERS)
def test_what_unpacks_without_end_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "MAX_UNPACKED", 4 << 20)
    (tmp_path / "bomb").write_bytes(PACKERS[name](bytes(64 << 20)))
    with pytest.raises(Failure, match="unpacks to more"):
        uncompressed(tmp_path / "bomb", tmp_path / "scratch")
    (left,) = (tmp_path / "scratch").iterdir()
    assert left.stat().st_size <= 4 << 20


def test_a_header_of_xz_cannot_ask_for_gigabytes(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    (tmp_path / "x.xz").write_bytes(lzma.compress(b"x", filters=filters))
    with pytest.raises(Damaged, match="decompressed"):
        uncompressed(tmp_path / "x.xz", tmp_path / "scratch")


@FUZZ
@given(data=st.binary(max_size=3000))
def test_random_bytes_are_an_archive_or_a_failure(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "random.tar"
    path.write_bytes(data)
    is_archive(path)
    try:
        layered(path)
        uncompressed(path, tmp_path / "scratch")
    except Failure:
        pass


@FUZZ
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_239), st.integers(0, 255)), max_size=12),
    fix_sums=st.booleans(),
)
def test_damaged_archives_are_read_or_refused(
    tmp_path: Path, changes: list[tuple[int, int]], *, fix_sums: bool
) -> None:
    data = bytearray(good_tar(tmp_path).ljust(10_240, b"\0"))
    for at, value in changes:
        data[at] = value
    if fix_sums:  # so that the damage gets past the checksums
        for at in (0, 1536):
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    path = tmp_path / "fuzz.tar"
    path.write_bytes(data)
    try:
        tree = Tree()
        apply_layer(tree, path)
    except Failure:
        return
    check_invariants(tree)


names = st.lists(
    st.sampled_from(["a", "b", "c", "..", ".", "", ".wh.a", ".wh..wh..opq", "é", "x" * 120]),
    min_size=1,
    max_size=4,
).map("/".join)


@FUZZ
@given(members=st.lists(st.tuples(names, st.sampled_from([FILE, DIR, LINK, HARD]), names)))
def test_any_entries_leave_a_sound_tree_or_a_failure(
    tmp_path: Path, members: list[tuple[str, bytes, str]]
) -> None:
    tree = Tree()
    try:
        apply_layer(tree, archive(tmp_path / "any.tar", *members))
    except Failure:
        return
    check_invariants(tree)
    write(tmp_path / "again.tar", tree.walk(), EPOCH)
    again = Tree()
    apply_layer(again, tmp_path / "again.tar")
    assert [(p, show(n)) for p, n in again.walk()] == [(p, show(n)) for p, n in tree.walk()]


def check_invariants(tree: Tree) -> None:
    for path in tree.nodes:
        parts = path.split("/")
        assert ".." not in parts
        assert "." not in parts
        assert all(tree.nodes["/".join(parts[:n])].kind == "dir" for n in range(len(parts)))


@FUZZ
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("fdr"), st.lists(st.sampled_from("ab"), min_size=1, max_size=3))
    )
)
def test_a_tree_is_what_a_simple_model_says(steps: list[tuple[str, list[str]]]) -> None:
    """The model: a nested dict, None is a file."""
    tree = Tree()
    model: dict[str, Any] = {}
    for step, parts in steps:
        above, blocked = model, False
        for part in parts[:-1]:
            if above.get(part, {}) is None:
                blocked = True
                break
            above = above.setdefault(part, {}) if step != "r" else above.get(part, {})
        path = "/".join(parts)
        if step == "r":
            tree.remove(path)
            if not blocked:
                above.pop(parts[-1], None)
        elif blocked:
            with pytest.raises(Failure, match="cannot be made"):
                tree.put(path, directory())
        elif step == "f":
            tree.put(path, text_file(""))
            above[parts[-1]] = None
        else:
            tree.put(path, directory())
            above[parts[-1]] = above.get(parts[-1]) or {}
    assert {p: n.kind == "dir" for p, n in tree.walk()} == dict(flat(model))


def flat(model: dict[str, Any], prefix: str = "") -> list[tuple[str, bool]]:
    found = []
    for name, below in model.items():
        found.append((prefix + name, below is not None))
        found += flat(below or {}, f"{prefix}{name}/")
    return found


def sample() -> Tree:
    tree = Tree()
    tree.put("b/" + "long" * 60, text_file("x", 0o4755))
    tree.put("é/ü", Node("link", 0o777, target="t" * 150))
    shared = Node("file", 0o600, 5, 3_000_000, Content.of_bytes(b"shared"))
    tree.put("a/one", shared)
    tree.put("a/two", shared)
    cap = {"security.capability": b"\1\0\0\2\0\4\0\0\xff\0".decode("utf-8", "surrogateescape")}
    tree.put("cap", Node("file", 0o755, content=Content.of_bytes(b"c"), xattrs=cap))
    tree.put("null", Node("char", 0o666, device=(1, 3)))
    return tree


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    write(path, sample().walk(), EPOCH)
    back = Tree()
    apply_layer(back, path)
    assert [p for p, _ in back.walk()] == [p for p, _ in sample().walk()]
    for name, node in sample().walk():
        got = back.nodes[name]
        wanted = (node.kind, node.mode, node.uid, node.gid, node.target, node.device, node.xattrs)
        assert (got.kind, got.mode, got.uid, got.gid, got.target, got.device, got.xattrs) == wanted
        assert got.content.read() == node.content.read()
    assert back.nodes["a/one"] is back.nodes["a/two"], "hard links stay hard links"


def test_written_archives_are_normalised(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    write(path, sample().walk(), EPOCH)
    with tarfile.open(path) as tar:
        infos = tar.getmembers()
    assert {info.mtime for info in infos} == {EPOCH}
    assert {info.uname + info.gname for info in infos} == {""}
    keys = {key for info in infos for key in info.pax_headers}
    assert keys <= {"path", "linkpath", "gid", "SCHILY.xattr.security.capability", "hdrcharset"}
    parts = [info.name.split("/") for info in infos]
    assert parts == sorted(parts)


def test_labels_of_a_hosts_security_module_are_dropped(tmp_path: Path) -> None:
    tree = Tree()
    tree.put("f", Node("file", xattrs={"security.selinux": "x", "user.a": "1"}))
    write(tmp_path / "x.tar", tree.walk(), EPOCH)
    ((_, node),) = entries(tmp_path / "x.tar")
    assert isinstance(node, Node)
    assert node.xattrs == {"user.a": "1"}


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_a_gigabyte_is_not_read(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 1 << 30
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf())
    os.truncate(path, (1 << 30) + 20_480)
    assert is_archive(path)
    with pytest.raises(Failure, match="a header in the archive has"):
        layered(path)


def test_headers_of_many_entries_are_not_kept(tmp_path: Path) -> None:
    """One that holds for all was copied for each, and all were kept."""
    path = tmp_path / "a.tar"
    common = {f"user{number}": "x" * 20 for number in range(1000)}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, pax_headers=common) as tar:
        for number in range(3000):
            info = tarfile.TarInfo(f"{number}")
            info.pax_headers = {"comment": "x"}
            tar.addfile(info)
    tracemalloc.start()
    assert sum(1 for _ in entries(path)) == 3000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20
