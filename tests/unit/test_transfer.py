"""Archives of a hostile container: nothing leads out of the copy, and nothing is believed."""

import io
import os
import resource
import stat
import tarfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from vcr.agent import archive
from vcr.agent.archive import MAX_HEADER, Stream
from vcr.agent.transfer import pack, stays_inside, unpack
from vcr.beneath import Below
from vcr.errors import VcrError

FILE, DIR, SYM, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
PRIVATE = "of the host"


def made(*entries: tuple[Any, ...]) -> io.BytesIO:
    """Return an archive of ENTRIES: name, kind, where a link leads or what a file holds, mode."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as file:
        for name, kind, text, *mode in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, *(mode or [0o644])
            data = text.encode() if kind == FILE else b""
            info.size, info.linkname = len(data), "" if kind == FILE else text
            file.addfile(info, io.BytesIO(data))
    out.seek(0)
    return out


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a directory that is copied into, beside which there are secrets."""
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "id").write_text(PRIVATE)
    (tmp_path / "id").write_text(PRIVATE)
    return tmp_path / "home"


def leaks(home: Path) -> list[Path]:
    """Return what of the copy reads as a file of the host."""
    found = [path for path in home.rglob("*") if ".ssh" not in path.parts]
    return [path for path in found if path.is_file() and path.read_text() == PRIVATE]


# Each is a way by which a link of the copy may get to HOME/.ssh/id or HOME/../id.
WAYS_OUT = {
    "judged in the scratch directory": [("d", DIR, ""), ("d/config", SYM, "../.ssh/id")],
    "made through a link made before": [
        ("d", DIR, ""), ("d/sub", DIR, ""), ("d/l", SYM, "sub"), ("d/l/x", SYM, "../../.ssh/id"),
    ],
    "the parent is a link that is made later": [
        ("d", DIR, ""), ("d/l/x", SYM, "../.ssh/id"), ("d/l", SYM, "."),
    ],
    "up again after a link that goes up": [
        ("d", DIR, ""), ("d/a", DIR, ""), ("d/a/b", DIR, ""), ("d/a/b/s", SYM, ".."),
        ("d/x", SYM, "a/b/s/../../.ssh/id"),
    ],
    "two links, one up and one beside": [
        ("d", DIR, ""), ("d/a", DIR, ""), ("d/a/up", SYM, ".."), ("d/x", SYM, "a/up/../.ssh/id"),
    ],
    "the copy is a link itself": [("d", SYM, ".ssh/id")],
    "the copy is a link, and more": [("d", SYM, ".ssh"), ("d/id", FILE, "x")],
    "a hard link by the name of a link": [
        ("d", DIR, ""), ("d/l", SYM, "../.ssh/id"), ("d/h", HARD, "d/l"),
    ],
    "a hard link to the host's": [("d", DIR, ""), ("d/h", HARD, "../.ssh/id")],
    "a hard link that is absolute": [("d", DIR, ""), ("d/h", HARD, "/etc/passwd")],
    "another name for the top": [("d", DIR, ""), ("./d//./config", SYM, "../.ssh/id")],
    "dots and slashes": [("d", DIR, ""), ("d/config", SYM, ".//..///.ssh/./id")],
}  # fmt: skip


@pytest.mark.parametrize("entries", WAYS_OUT.values(), ids=WAYS_OUT)
def test_no_link_of_a_copy_leads_to_the_hosts_files(home: Path, entries: Any) -> None:
    with suppress(VcrError):
        unpack(made(*entries), str(home), lambda _: None)
    assert not leaks(home)
    assert (home / ".ssh" / "id").stat().st_nlink == 1
    assert sorted(path.name for path in home.iterdir()) in ([".ssh"], [".ssh", "d"])
    assert [path.name for path in (home / ".ssh").iterdir()] == ["id"]


@pytest.mark.parametrize(
    ("names", "goal", "stays"),
    [
        ("t/l", "a", True), ("t/l", "./a//b/", True), ("t/l", ".", True), ("t/l", "..", False),
        ("t/a/l", "..", True), ("t/a/l", "../b/c", True), ("t/a/l", "../..", False),
        ("t/l", "", False), ("t/l", "/", False), ("t/l", "/t/a", False), ("t", "a", False),
        ("t", "..", False), ("t/a/b/l", "../../x", True), ("t/a/b/l", "x/../y", False),
        ("t/l", "...", True), ("t/l", "..a", True), ("t/a/l", "..//./..", False),
    ],
)  # fmt: skip
def test_where_a_link_leads_is_read_as_text(names: str, goal: str, stays: bool) -> None:
    assert stays_inside(names.split("/"), goal) is stays


def test_hard_links_are_to_files_of_the_copy(home: Path) -> None:
    said: list[str] = []
    entries = [("d", DIR, ""), ("d/a", FILE, "one"), ("d/b", HARD, "d/a"), ("d/c", HARD, "d")]
    place = unpack(made(*entries), str(home), said.append)
    assert (place / "b").samefile(place / "a")
    assert [path.name for path in sorted(place.iterdir())] == ["a", "b"]
    assert len(said) == 1


def test_no_program_of_the_copy_becomes_another_user(home: Path) -> None:
    entries = [("d", DIR, "", 0o7777), ("d/x", FILE, "#!", 0o6755), ("d/y", FILE, "", 0o7000)]
    place = unpack(made(*entries), str(home), print)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (place, place / "x", place / "y")]
    assert modes == [0o777, 0o755, 0]


def test_names_may_be_any_but_none_that_there_cannot_be(home: Path) -> None:
    name = "a\x1b[2J\n\u202eb"
    place = unpack(made(("d", DIR, ""), (f"d/{name}", FILE, "x")), str(home), print)
    assert [path.name for path in place.iterdir()] == [name]
    entries = made(("e", DIR, ""), ("e/a", FILE, "x")).getvalue()
    with_nul = entries.replace(b"e/a", b"e\0a")
    for data in (with_nul, pax({"path": "e/a\0b"}), pax({"path": "e" * 5000})):
        with pytest.raises(VcrError) as caught:
            unpack(io.BytesIO(data), str(home), print)
        assert caught.value.code < 70
    assert sorted(path.name for path in home.iterdir()) == [".ssh", "d"]


def pax(headers: dict[str, str], size: int = 0, data: bytes = b"") -> bytes:
    """Return an archive of one file with extended HEADERS, which claims SIZE bytes."""
    info = tarfile.TarInfo("e")
    info.pax_headers = headers
    head = info.tobuf(tarfile.PAX_FORMAT)
    at = len(head) - 512
    entry = tarfile.TarInfo("e")
    entry.size = size
    return head[:at] + entry.tobuf() + data.ljust(-(-len(data) // 512) * 512, b"\0") + bytes(1024)


def claimed(kind: bytes, size: int) -> bytes:
    """Return a header of KIND that claims SIZE bytes."""
    info = tarfile.TarInfo("e")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


HUGE = 3 << 30
CLAIMS = {
    "sparse of GNU": claimed(tarfile.GNUTYPE_SPARSE, 0) + bytes(1024),
    "sparse 0.1": pax({"GNU.sparse.map": f"0,0,{HUGE},0", "GNU.sparse.size": str(HUGE)}),
    "sparse 0.0": pax({"GNU.sparse.offset": "0", "GNU.sparse.numbytes": "0",
                       "GNU.sparse.size": str(HUGE)}),
    "sparse 1.0": pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                       "GNU.sparse.realsize": str(HUGE)}, 512, b"999999999\n"),
    "a long name": claimed(tarfile.GNUTYPE_LONGNAME, HUGE),
    "a long header": claimed(tarfile.XHDTYPE, HUGE),
    "a header for all": claimed(tarfile.XGLTYPE, HUGE),
    "a size that is not there": claimed(FILE, HUGE),
    "a negative size": claimed(FILE, -1),
    "a size in a header that is not there": pax({"size": str(HUGE)}),
    "a negative size in a header": pax({"size": "-5"}),
    "many long names": claimed(tarfile.GNUTYPE_LONGNAME, 512) * 5000,
}  # fmt: skip


class _Endless(io.RawIOBase):
    """DATA, and after it bytes without end; counts what is read."""

    def __init__(self, data: bytes) -> None:
        self._data, self.count = data, 0

    def read(self, size: int = -1, /) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        piece = piece.ljust(size, b"1")
        self.count += size
        return piece


@pytest.mark.parametrize("data", CLAIMS.values(), ids=CLAIMS)
def test_what_a_header_claims_costs_nothing(home: Path, data: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(VcrError, match="not a valid archive") as caught:
        unpack(io.BytesIO(data), str(home), print)
    assert caught.value.code < 70
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
    assert [path.name for path in home.iterdir()] == [".ssh"]


@pytest.mark.parametrize("name", ["a long name", "a long header", "a header for all", "sparse 1.0"])
def test_a_header_without_end_is_not_read(home: Path, name: str) -> None:
    endless = _Endless(CLAIMS[name][:2048])
    with pytest.raises(VcrError):
        unpack(endless, str(home), print)  # type: ignore[arg-type]
    assert endless.count <= 2 * MAX_HEADER


def test_there_is_an_end_to_entries(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 100)
    entries = [("d", DIR, ""), *((f"d/{n}", FILE, "") for n in range(100))]
    with pytest.raises(VcrError, match="not a valid archive"):
        unpack(made(*entries), str(home), print)
    assert [path.name for path in home.iterdir()] == [".ssh"]


def test_an_archive_ends_with_zeros_and_in_no_other_way(home: Path) -> None:
    whole = made(("d", DIR, ""), ("d/a", FILE, "x" * 600), ("d/b", FILE, "y")).getvalue()
    entries = whole.rstrip(b"\0")
    end = -(-len(entries) // 512) * 512
    for cut in (512, 1024, 1536, 1537, 2048, end - 512, end, end + 5):
        with pytest.raises(VcrError):
            unpack(io.BytesIO(whole[:cut]), str(home), print)
    damaged = bytearray(whole)
    damaged[end - 1024] ^= 1
    with pytest.raises(VcrError):
        unpack(io.BytesIO(bytes(damaged)), str(home), print)
    assert [path.name for path in home.iterdir()] == [".ssh"]


def test_a_stream_that_stalls_or_drips_is_given_up(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "STALL_SECONDS", 0.5)
    for drips in (False, True):
        reader, writer = os.pipe()
        over = threading.Event()

        def drip(drips: bool = drips, writer: int = writer, over: threading.Event = over) -> None:
            with os.fdopen(writer, "wb", buffering=0) as out:
                while not over.wait(0.05):
                    if drips:
                        out.write(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        begin = time.monotonic()
        with io.BufferedReader(Stream(reader)) as stream:
            with pytest.raises(VcrError, match="does not send"):
                unpack(stream, str(home), print)
            over.set()
            thread.join()
        assert time.monotonic() - begin < 10


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Return a directory that has 1,200 others, each in the one before."""
    top = tmp_path / "deep"
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    return top


def test_a_tree_may_be_deep(deep: Path, tmp_path: Path) -> None:
    out = io.BytesIO()
    pack(deep, out, print)
    out.seek(0)
    place = unpack(out, str(tmp_path / "copy"), print)
    depth = sum(1 for _ in os.fwalk(place))
    assert depth == 1201


def test_nothing_is_made_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(outside)
    with Below(root) as below:
        for act in (
            lambda: below.make_directory(["link", "a"]),
            lambda: below.create(["link", "a"]),
            lambda: below.create(["link"]),
            lambda: below.link(["link", "a"], "b"),
            lambda: below.make_node(["link", "a"], stat.S_IFIFO),
            lambda: below.set_mode(["link", "file"], 0o777),
            lambda: below.give(["link", "file"], 1, 1),
            lambda: below.set_xattr(["link", "file"], "user.x", b"y"),
            lambda: below.remove(["link", "file"]),
            lambda: below.hard_link(["h"], ["link", "file"]),
        ):
            with pytest.raises(OSError):  # noqa: PT011 -- which one is the kernel's to say
                act()
        below.set_mode(["link"], 0o777)  # a link has none, and what it leads to keeps its own
        below.remove(["link"])
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755
    assert list(root.iterdir()) == []


def test_a_copy_needs_no_proc(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container /proc is that of other processes: vcr's own is not there."""

    def chmod(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", "/proc/self")

    monkeypatch.setattr(os, "chmod", chmod)
    place = unpack(made(("d", DIR, "", 0o750), ("d/x", FILE, "x", 0o640)), str(home), print)
    assert stat.S_IMODE(place.stat().st_mode) == 0o750
    assert stat.S_IMODE((place / "x").stat().st_mode) == 0o640
