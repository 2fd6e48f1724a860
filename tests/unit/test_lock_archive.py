"""An archive of Debian that is hostile, half there or garbage, served by a real server.

Only the signature is not: whoever may sign is trusted with words, never with memory.
"""

import base64
import functools
import gzip
import hashlib
import http.server
import json
import lzma
import os
import resource
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from vcr.app.building.lock import old_lock
from vcr.errors import FetchError, LockError, MismatchError, UsageError, VcrError
from vcr.lock.audit import Auditor
from vcr.lock.bases import BaseLocker
from vcr.lock.debian.archive import Reader
from vcr.lock.known import Known, unknown_runs
from vcr.lock.network import web
from vcr.lock.read import load_lock
from vcr.lock.sources import Sources, is_what_was_there
from vcr.lock.write import Locker
from vcr.model.arch import Arch
from vcr.model.lockfile import (
    Lock,
    LockedBody,
    LockedExchange,
    LockedRun,
    read_lock_file,
)
from vcr.model.project import Project, load_project
from vcr.tools.gpgv import Gpgv

PACKAGES = """\
Package: app
Version: 1.0
Architecture: all
Filename: pool/main/a/app/app_1.0_all.deb
SHA256: {app}
Size: 10
Depends: lib

Package: lib
Version: 2.0
Architecture: all
Filename: pool/main/l/lib/lib_2.0_all.deb
SHA256: {lib}
Size: 20
""".format(app="a" * 64, lib="b" * 64)


class Unsigned(Gpgv):
    """Takes what is between the armor for signed."""

    def signed_text(self, message: bytes, what: str) -> str:
        return message.decode()


@dataclass
class Archive:
    """What a mirror has; indexes as the release says unless they are replaced."""

    root: Path
    url: str
    fields: dict[str, str] = field(default_factory=dict)

    def write(self, packages: bytes, packed: bytes | None = None, **fields: str) -> None:
        packed = lzma.compress(packages) if packed is None else packed
        dists = self.root / "dists/trixie"
        rows = []
        for arch in Arch:
            place = dists / f"main/binary-{arch}"
            place.mkdir(parents=True, exist_ok=True)
            (place / "Packages.xz").write_bytes(packed)
            rows.append(f" {sha256(packages)} {len(packages)} main/binary-{arch}/Packages")
            rows.append(f" {sha256(packed)} {len(packed)} main/binary-{arch}/Packages.xz")
        told = {
            "Suite": "stable",
            "Codename": "trixie",
            "Date": "Sat, 21 Nov 2026 09:15:44 UTC",
            "SHA256": "\n" + "\n".join(rows),
            **fields,
        }
        text = "".join(f"{name}: {value}\n" for name, value in told.items() if value != "-")
        (dists / "InRelease").write_text(text)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    # The archive of snapshots does not answer.
    monkeypatch.setattr(web, "ATTEMPTS", 1)
    monkeypatch.setattr("vcr.lock.debian.archive.SNAPSHOTS", "http://127.0.0.1:9/archive/debian")
    root = tmp_path / "mirror"
    root.mkdir()
    handler = functools.partial(Files, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = Archive(root, f"http://127.0.0.1:{server.server_port}")
    made.write(PACKAGES.encode())
    yield made
    server.shutdown()
    server.server_close()


def reader(archive: Archive, tmp_path: Path) -> Reader:
    return Reader(Unsigned(Path("gpgv"), Path("keyring")), [archive.url], tmp_path / "cache")


def no_images() -> Any:
    raise AssertionError("there are no images, and no repositories")


def base_locker(archive: Archive, tmp_path: Path) -> BaseLocker:
    return BaseLocker(lambda: reader(archive, tmp_path), no_images, lambda _: None)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "vcr.toml").write_text('[base.x]\npackages = ["app"]\n')
    (directory / "Dockerfile").write_text("FROM x\n")
    return load_project(directory)


@dataclass
class Host:
    """A host that locks."""

    archive: Archive
    directory: Path
    warned: list[str] = field(default_factory=list)

    def lock(self, project: Project, old: Lock | None = None, *, update: bool = False) -> Lock:
        known = Known(self.directory / "resolved")
        bases = base_locker(self.archive, self.directory)
        locker = Locker(bases, known, lambda _: None, self.warned.append, no_images)
        return locker.lock(project, old, update=update)

    def audit(self, project: Project, lock: Lock) -> Any:
        known = Known(self.directory / "resolved")
        bases = base_locker(self.archive, self.directory)
        return Auditor(bases, known, Sources(), lambda _: None, no_images).audit(project, lock)


def tampered(lock: Lock, **changes: object) -> Lock:
    told = json.loads(lock.to_text())
    for packages in told["bases"]["x"]["archs"].values():
        for package in packages:
            package.update(changes)
    return Lock.model_validate(told)


def test_a_lock_is_what_the_archive_has(archive: Archive, project: Project, tmp_path: Path) -> None:
    lock = Host(archive, tmp_path).lock(project)
    assert [p.package for p in lock.bases["x"].archs[Arch.ARM64]] == ["app", "lib"]  # type: ignore[union-attr]
    audit = Host(archive, tmp_path).audit(project, lock)
    assert (audit.compared, audit.differences, audit.unasked) == (1, [], [])


EVIL = "https://evil.example/archive/debian/20261122T091544Z/pool/evil.deb"


@pytest.mark.parametrize(
    "changes", [{"sha256": "c" * 64}, {"url": EVIL}, {"size": 11}, {"version": "9"}], ids=str
)
def test_a_tampered_lock_differs_from_its_source_and_is_not_kept(
    archive: Archive, project: Project, tmp_path: Path, changes: dict[str, object]
) -> None:
    bad = tampered(Host(archive, tmp_path / "theirs").lock(project), **changes)
    mine = Host(archive, tmp_path / "mine")
    audit = mine.audit(project, bad)
    assert len(audit.differences) == 6  # both packages, of three architectures
    assert next(iter(changes)) in audit.differences[0]
    with pytest.raises(MismatchError, match="differs from its source"):
        mine.lock(project, bad)
    assert mine.lock(project, bad, update=True) == Host(archive, tmp_path / "more").lock(project)


def test_a_package_more_or_less_or_twice_is_told(
    archive: Archive, project: Project, tmp_path: Path
) -> None:
    host = Host(archive, tmp_path)
    told = json.loads(host.lock(project).to_text())
    packages = told["bases"]["x"]["archs"]["riscv64"]
    other = {**packages[1], "package": "evil"}
    for found, words in (
        ([packages[0], other], ["evil: nothing needs it", "lib: it is missing"]),
        ([*packages, packages[1]], ["lib: it is there twice"]),
    ):
        told["bases"]["x"]["archs"]["riscv64"] = found
        audit = host.audit(project, Lock.model_validate(told))
        assert all(any(each in difference for difference in audit.differences) for each in words)


def test_what_this_host_resolved_is_kept_without_a_question(
    archive: Archive, project: Project, tmp_path: Path
) -> None:
    host = Host(archive, tmp_path)
    lock = host.lock(project)
    (archive.root / "dists/trixie/InRelease").unlink()
    assert host.lock(project, lock) == lock
    assert host.warned == []


def test_what_cannot_be_compared_is_kept_with_a_word(
    archive: Archive, project: Project, tmp_path: Path
) -> None:
    lock = Host(archive, tmp_path / "theirs").lock(project)
    archive.write(PACKAGES.encode(), Date="Sun, 29 Nov 2026 09:15:44 UTC")  # the mirror went on
    mine = Host(archive, tmp_path / "mine")
    assert mine.lock(project, lock) == lock
    assert "stays as vcr.lock has it, compared with nothing" in mine.warned[0]
    audit = mine.audit(project, lock)
    assert len(audit.unasked) == 1
    assert audit.differences == []


def test_an_older_release_of_a_mirror_judges_nothing(
    archive: Archive, project: Project, tmp_path: Path
) -> None:
    lock = Host(archive, tmp_path / "theirs").lock(project)
    older = PACKAGES.replace("1.0", "0.9")
    archive.write(older.encode(), Date="Sat, 07 Nov 2026 09:15:44 UTC")
    audit = Host(archive, tmp_path / "mine").audit(project, lock)
    assert audit.differences == []
    assert len(audit.unasked) == 1


def test_a_file_of_add_from_elsewhere_is_compared_and_never_silently_another(
    project: Project, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The project's address may not be this host; here it stands for one of the network.
    there = {"http://add.test/f": b"as it was"}

    def fetched(sources: Any, *, most: int) -> bytes:
        if sources[0].url not in there:
            raise FetchError("cannot download f")
        return there[sources[0].url]

    monkeypatch.setattr("vcr.lock.added.fetch", fetched)
    monkeypatch.setattr("vcr.lock.audit.fetch", fetched)
    (project.root / "Dockerfile").write_text("FROM x\nADD http://add.test/f /\n")
    theirs, mine = Host(archive, tmp_path / "theirs"), Host(archive, tmp_path / "mine")
    lock = theirs.lock(project)
    assert mine.lock(project, lock) == lock
    assert mine.warned == []
    told = json.loads(lock.to_text())
    told["urls"]["http://add.test/f"]["sha256"] = "f" * 64
    bad = Lock.model_validate(told)
    assert mine.lock(project, bad) == bad
    assert "is not what is there now" in mine.warned[0]
    assert "sha256 ffff" in mine.audit(project, bad).differences[0]
    there.clear()
    assert mine.lock(project, lock) == lock  # known by now
    assert len(mine.warned) == 1
    theirs.lock(project, bad)
    assert "compared with nothing" in theirs.warned[0]
    told["urls"]["http://add.test/f"]["url"] = "http://evil.test/f"
    project.lock_file.write_text(json.dumps(told))
    with pytest.raises(LockError, match="is not locked, or is locked as something else"):
        load_lock(project)


def test_answers_of_a_step_from_elsewhere_are_named(tmp_path: Path) -> None:
    known, key, body = Known(tmp_path), "1" * 64, "2" * 64
    exchange = LockedExchange(url="http://h/", sha256=body)
    run = LockedRun(command="RUN get", exchanges=(exchange,))
    empty = Lock(epoch=1, inputs={}, bases={}, urls={})
    theirs = empty.model_copy(
        update={
            "runs": {Arch.RISCV64: {key: run}},
            "bodies": {body: LockedBody(name="b", size=1, data="x")},
        }
    )
    assert unknown_runs(known, theirs, theirs) == ["RUN get"]
    assert unknown_runs(known, empty, theirs) == []  # this host recorded it
    assert unknown_runs(known, theirs, theirs) == []
    other = theirs.model_copy(update={"bodies": {body: LockedBody(name="b", size=1, data="y")}})
    assert unknown_runs(known, other, other) == ["RUN get"]
    # Nor does this host know them when another architecture has them as well.
    runs = {**other.runs, Arch.AMD64: other.runs[Arch.RISCV64]}
    lent = other.model_copy(update={"runs": runs})
    assert unknown_runs(known, other, lent) == ["RUN get", "RUN get"]


def test_an_audit_compares_what_a_lock_holds_itself_with_its_hash(
    archive: Archive, project: Project, tmp_path: Path
) -> None:
    host = Host(archive, tmp_path)
    body = b"an answer"
    for data, differs in (
        (base64.b64encode(gzip.compress(body)), False),
        (base64.b64encode(gzip.compress(b"another")), True),
        (base64.b64encode(gzip.compress(bytes(100 << 20))), True),
        (b"no base64 at all", True),
        (base64.b64encode(b"no gzip"), True),
    ):
        told = json.loads(host.lock(project).to_text())
        held = {"name": "b", "size": len(body), "data": data.decode()}
        told["bodies"] = {hashlib.sha256(body).hexdigest(): held}
        audit = host.audit(project, Lock.model_validate(told))
        assert bool(audit.differences) is differs


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"suite": "sid"}, "is of sid, not trixie"),
        ({"configure": True}, "is configured differently"),
        ({"snapshot": "20260000T000000Z"}, "which is not a time"),
        ({"archs": {}}, "has no app for"),
    ],
)
def test_a_lock_that_contradicts_the_project_is_refused_without_a_network(
    archive: Archive, project: Project, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    host = Host(archive, tmp_path)
    lock = host.lock(project)
    told = json.loads(lock.to_text())
    told["bases"]["x"].update(change)
    project.lock_file.write_text(json.dumps(told))
    with pytest.raises(LockError, match="contradicts the project") as caught:
        load_lock(project)
    assert words in caught.value.what
    # `vcr lock` resolves such an entry anew.
    assert host.lock(project, Lock.model_validate(told)) == lock


def test_an_epoch_of_another_time_than_the_snapshots_is_refused(
    archive: Archive, project: Project, tmp_path: Path
) -> None:
    lock = Host(archive, tmp_path).lock(project)
    project.lock_file.write_text(lock.model_copy(update={"epoch": 1}).to_text())
    with pytest.raises(LockError, match="its epoch is 1"):
        load_lock(project)


@pytest.mark.parametrize(
    "fields",
    [
        {"Date": "-"},
        {"SHA256": "-"},
        {"Date": "yesterday"},
        {"Date": "Sat, 21 Nov 99999999999 09:15:44 UTC"},
        {"Date": "Fri, 31 Dec 9999 23:59:59 -2359"},
        {"SHA256": "\n a b c"},
        {"SHA256": f"\n {'0' * 64} -1 x"},
        {"SHA256": f"\n {'0' * 64} {'9' * 5000} x"},
        {"Valid-Until": "never"},
        {"Codename": "sid", "Suite": "unstable"},
        {"Codename": "-", "Suite": "-"},
        {"Valid-Until": "Sat, 21 Nov 2020 09:15:44 UTC"},
        {"no field": "\n\n\n"},
    ],
    ids=lambda fields: str(fields)[:60],
)
def test_a_release_without_sense_is_no_crash(
    archive: Archive, tmp_path: Path, fields: dict[str, Any]
) -> None:
    archive.write(PACKAGES.encode(), **fields)
    if "no field" in fields:
        (archive.root / "dists/trixie/InRelease").write_text("\n\n")
    with pytest.raises(VcrError) as caught:
        reader(archive, tmp_path).read("trixie", list(Arch))
    assert caught.value.code != 70


def test_an_index_unpacks_to_what_the_release_says_and_no_more(
    archive: Archive, tmp_path: Path
) -> None:
    bomb = lzma.compress(bytes(200 << 20), preset=0)  # 30 kB
    archive.write(PACKAGES.encode(), bomb)
    with pytest.raises(MismatchError, match="cannot be read") as caught:
        reader(archive, tmp_path).read("trixie", list(Arch))
    assert "does not unpack to" in caught.value.why
    for packed in (b"garbage", lzma.compress(b"another index"), bomb[:100]):
        archive.write(PACKAGES.encode(), packed)
        with pytest.raises(MismatchError, match="cannot be read"):
            reader(archive, tmp_path / "again").read("trixie", list(Arch))


def test_an_index_that_was_read_is_kept_and_compared_each_time(
    archive: Archive, tmp_path: Path
) -> None:
    first = reader(archive, tmp_path).read("trixie", list(Arch))
    (kept,) = (tmp_path / "cache/indexes").iterdir()
    whole = kept.read_bytes()
    for path in archive.root.rglob("Packages.xz"):
        path.unlink()
    names = sorted(first.indexes[Arch.ARM64].names)
    again = reader(archive, tmp_path).read("trixie", list(Arch))
    assert sorted(again.indexes[Arch.ARM64].names) == names == ["app", "lib"]
    assert again.indexes[Arch.ARM64].get("lib") == first.indexes[Arch.ARM64].get("lib")
    bomb, other = zlib.compress(bytes(200 << 20)), PACKAGES.replace("b" * 64, "c" * 64)
    # What is kept and is not what the release says is no index, and does not stay.
    for bad in (b"", whole[:-9], b"garbage", bomb, zlib.compress(other.encode()), whole[2:]):
        kept.write_bytes(bad)
        with pytest.raises(FetchError):
            reader(archive, tmp_path).read("trixie", list(Arch))
        assert not kept.exists()
    archive.write(PACKAGES.encode())
    assert reader(archive, tmp_path).read("trixie", list(Arch)).indexes.keys() == {*Arch}
    assert kept.read_bytes() == whole
    assert [*kept.parent.iterdir()] == [kept]


def test_reading_an_index_takes_little_memory_also_when_it_is_kept(
    archive: Archive, tmp_path: Path
) -> None:
    paragraph = PACKAGES.replace("Depends: lib\n", f"Description: {'word ' * 200}\n")
    text = "\n".join(
        paragraph.replace(": app", f": app{i}").replace(": lib", f": lib{i}") for i in range(20_000)
    )
    archive.write(text.encode(), lzma.compress(text.encode(), preset=0))
    for _ in ("packed", "kept"):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        suite = reader(archive, tmp_path).read("trixie", [Arch.ARM64])
        assert suite.indexes[Arch.ARM64].get("lib19999") is not None
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert taken < len(text) >> 10, "KiB"  # less than the text alone
        del suite


@pytest.mark.parametrize(
    "change",
    [
        ("Version: 2.0", "Version: x:1"),
        ("Version: 2.0\n", ""),
        ("Size: 20", "Size: many"),
        ("Size: 20", "Size: -5"),
        ("lib_2.0_all.deb", "../../../etc/passwd|npm:x"),
        ("Depends: lib", "Depends: lib (!!"),
        ("b" * 64, "not a hash"),
        ("Version: 2.0", f"Version: 1.{'9' * 5000}\n\nPackage: lib\nVersion: 2.0"),
        ("Package: lib", "Package: lib\n\nPackage: lib"),
    ],
    ids=range(9),
)
def test_an_index_of_garbage_is_no_crash(
    archive: Archive, project: Project, tmp_path: Path, change: tuple[str, str]
) -> None:
    archive.write(PACKAGES.replace(*change).encode())
    with pytest.raises((MismatchError, UsageError)):
        Host(archive, tmp_path).lock(project)


def test_a_mirrors_answer_for_a_snapshot_is_judged_without_a_crash() -> None:
    url = "http://snapshot.debian.org/archive/debian/20260601T000000Z/dists/trixie/InRelease"
    for body in (b"", b"\n\n\n", b"x\n\nDate: y\n-----BEGIN ", b"x\n\n continued", b"\xff" * 99):
        assert is_what_was_there(url, body) is False


def test_what_is_not_clear_text_is_not_given_to_gpgv(tmp_path: Path) -> None:
    # A packed message would be unpacked before its signature is looked at.
    with pytest.raises(MismatchError, match="is not signed"):
        Gpgv(tmp_path / "no-program", tmp_path).signed_text(b"\xa3\x01packed", "InRelease")


@pytest.mark.parametrize("make", ["directory", "fifo", "link to nothing", "too large", "device"])
def test_a_lock_that_is_no_file_is_said_in_words(
    tmp_path: Path, make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vcr.lock"
    monkeypatch.setattr("vcr.model.lockfile.MAX_LOCK", 100)
    makers: dict[str, Callable[[], object]] = {
        "directory": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "link to nothing": lambda: path.symlink_to("nothing"),
        "too large": lambda: path.write_bytes(b" " * 101),
        "device": lambda: path.symlink_to("/dev/zero"),
    }
    makers[make]()
    with pytest.raises(LockError, match=r"cannot be read|there is no"):
        read_lock_file(path)


@pytest.mark.parametrize(
    "text",
    [
        "", "[", "[]", "null", "[" * 200_000, '{"a":' * 100_000, '{"epoch": "\ud800"}', "\0",
        '{"schema": 1, "epoch": 1000000000000000000, "inputs": {}, "bases": {}, "urls": {}}',
        '{"schema": 1, "epoch": -1, "inputs": {}, "bases": {}, "urls": {}}',
        '{"schema": 1, "epoch": 1e400, "inputs": {}, "bases": {}, "urls": {}}',
        '{"schema": 1, "epoch": 1, "inputs": {"\\ud800": "x"}, "bases": {}, "urls": {}}',
        '{"schema": 1, "epoch": 1, "inputs": {"' + "x" * 9999 + '": 1}, "bases": {}, "urls": {}}',
        '{"schema": 1, "epoch": 1, "inputs": {}, "bases": {"x": {"kind": "other"}}, "urls": {}}',
    ],
    ids=range(14),
)  # fmt: skip
def test_a_lock_of_garbage_is_said_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "vcr.lock").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(LockError, match="cannot be read") as caught:
        read_lock_file(tmp_path / "vcr.lock")
    assert len(caught.value.why) < 1000


SOME = f"sha256:{'0' * 64}"
OF_AN_OLDER_VERSION = json.dumps(
    {
        "schema": 1,
        "epoch": 1,
        "inputs": {},
        "urls": {},
        "bases": {
            "alpine": {
                "kind": "oci",
                "reference": f"docker://alpine@{SOME}",
                "archs": {"riscv64": {"manifest": SOME, "config": {}}},
                "nar_sha256": f"sha256-{'A' * 43}=",
            }
        },
    }
)


@pytest.mark.parametrize("text", [OF_AN_OLDER_VERSION, "no lock"])
def test_what_cannot_be_kept_of_a_lock_is_not_replaced_without_a_word(
    project: Project, text: str
) -> None:
    told: list[str] = []
    project.lock_file.write_text(text)
    with pytest.raises(LockError) as caught:
        read_lock_file(project.lock_file)
    is_older = text == OF_AN_OLDER_VERSION
    assert ("another version of vcr wrote it" in caught.value.why) is is_older
    assert "run `vcr lock`" in caught.value.fix
    assert old_lock(project, told.append) is None
    assert told == [f"vcr.lock cannot be read ({caught.value.why}): every input is resolved again"]
    project.lock_file.unlink()
    assert old_lock(project, told.append) is None
    assert len(told) == 1, "a new project has none"
