"""Rules that exist in Python and in a program of guest/: one set of vectors tries both.

tests/vectors has them; guest/*/vectors_test.go reads them, too.
"""

import io
import json
import os
import socket
import stat
import tarfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vcr.agent import debug, transfer
from vcr.agent.archive import members
from vcr.agent.deadline import http_status
from vcr.agent.server import parse_order
from vcr.attest import domains
from vcr.beneath import Below
from vcr.diagnosis.facts import Program
from vcr.diagnosis.program import Command, why_not
from vcr.diagnosis.root import TreeFiles, files_below
from vcr.diagnosis.sockets import parse_listeners
from vcr.engines.cartesi import frames
from vcr.engines.container import door
from vcr.engines.enclave import wire
from vcr.engines.streams import (
    HEAD,
    MAX_CONTENT,
    WINDOW,
    Datagrams,
    Frame,
    Frames,
    Hello,
    Kind,
    datagram,
)
from vcr.errors import VcrError
from vcr.formats.eif import KERNEL_LINE
from vcr.formats.failure import Failure
from vcr.formats.hashes.verity import Verity, _uuid8
from vcr.formats.tree import Node, Tree, directory, text_file, tree_of_directory
from vcr.formats.users import Account, find_account
from vcr.lock.request import read_request
from vcr.model import cbor
from vcr.model.health import CommandProbe, HealthCheck
from vcr.perf import guest
from vcr.perf.symbols import KernelSymbols
from vcr.runtime.patience import Clock, Outcome, Patience, probe_until_healthy
from vcr.sandbox import cartesi, enclave

VECTORS = Path(__file__).parents[1] / "vectors"


def read(name: str) -> Any:
    """Return the vectors of NAME."""
    return json.loads((VECTORS / f"{name}.json").read_text())


@pytest.mark.parametrize("name", [path.stem for path in sorted(VECTORS.glob("*.json"))])
def test_both_languages_read_every_file(name: str) -> None:
    tests = [path.read_text() for path in Path(__file__).parents[2].glob("guest/*/*_test.go")]
    assert any(f'vectors(t, "{name}", ' in text for text in tests)
    assert f'read("{name}")' in Path(__file__).read_text()


@pytest.mark.parametrize("case", read("users"), ids=lambda case: case["why"])
def test_accounts(case: dict[str, Any]) -> None:
    tree = Tree()
    for name in ("passwd", "group"):
        if case[name] is not None:
            tree.put(f"etc/{name}", text_file(case[name]))
    if case["account"] is None:
        with pytest.raises(Failure):
            find_account(tree, case["user"])
        return
    told = case["account"]
    account = Account(told["uid"], told["gid"], tuple(told["groups"]), told["home"])
    assert find_account(tree, case["user"]) == account


class VirtualTime:
    """A clock that only moves when somebody waits, and an app that is asked by it."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case, self.now = case, 100.0
        self.begins: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def probe(self) -> Outcome:
        begun = self.now - 100.0
        self.begins.append(begun)
        self.now += self.case["probe_takes"]
        since = self.case["healthy_from"]
        return Outcome(healthy=since is not None and begun >= since, detail="")


def check_of(case: dict[str, Any]) -> HealthCheck | None:
    told = case["check"]
    return told and HealthCheck(**{**told, "probe": CommandProbe(tuple(told["probe"]["argv"]))})


@pytest.mark.parametrize("case", read("health"), ids=lambda case: case["why"])
def test_health(case: dict[str, Any]) -> None:
    time, check = VirtualTime(case), check_of(case)
    clock = Clock(lambda: time.now, time.sleep)
    outcome = probe_until_healthy(time.probe, Patience(check), lambda: None, clock)
    assert outcome.healthy == case["healthy"]
    assert case["until"] <= time.now - 100.0 <= case["until"] + 1 + case["probe_takes"]
    if case["start_probes"] is not None:
        assert check is not None
        probes = [at for at in time.begins if at <= check.start_period]
        assert probes == pytest.approx(case["start_probes"])


@pytest.mark.parametrize("case", read("http")["answers"], ids=lambda case: case["why"])
def test_the_status_of_an_http_answer(case: dict[str, Any]) -> None:
    text = "".join(part["text"] * part["times"] for part in case["parts"]).encode()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_once, args=(listener, text), daemon=True).start()
        port = listener.getsockname()[1]
        if case["status"] is None:
            with pytest.raises((OSError, ValueError)):
                http_status("127.0.0.1", port, "/", 5.0)
        else:
            assert http_status("127.0.0.1", port, "/", 5.0) == case["status"]


def answer_once(listener: socket.socket, text: bytes) -> None:
    connection, _ = listener.accept()
    with suppress(OSError), connection:  # it may have enough before the end
        while b"\r\n\r\n" not in connection.recv(4096):
            pass
        connection.sendall(text)


@pytest.mark.parametrize("case", read("health"), ids=lambda case: case["why"])
def test_the_emulator_runs_longer_than_the_agent_waits(case: dict[str, Any]) -> None:
    check = check_of(case)
    given = cartesi.Patience(check.start_period, check.interval, check.retries) if check else None
    cycles = cartesi.limit(given)
    assert cycles >= Patience(check).seconds * cartesi.CYCLES_PER_SECOND


def test_a_limit_takes_the_place_of_patience_and_of_the_start_interval() -> None:
    case = {"probe_takes": 0.0, "healthy_from": None}
    time = VirtualTime(case)
    check = HealthCheck(CommandProbe(("x",)), start_period=100, start_interval=60)
    clock = Clock(lambda: time.now, time.sleep)
    assert not probe_until_healthy(time.probe, Patience(check, 7.0), lambda: None, clock).healthy
    assert time.begins == [7.0]


def test_a_machine_that_ends_is_seen_within_a_second_of_a_long_start_interval() -> None:
    time = VirtualTime({"probe_takes": 0.0, "healthy_from": None})
    check = HealthCheck(CommandProbe(("x",)), start_period=100, start_interval=60)

    def check_alive() -> None:
        if time.now >= 103.0:
            raise RuntimeError("it ended")

    with pytest.raises(RuntimeError, match="it ended"):
        probe_until_healthy(
            time.probe, Patience(check), check_alive, Clock(lambda: time.now, time.sleep)
        )
    assert time.now <= 104.0


KINDS = {
    "directory": tarfile.DIRTYPE, "file": tarfile.REGTYPE, "link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE, "device": tarfile.CHRTYPE,
}  # fmt: skip


@pytest.mark.parametrize("case", read("copies")["names"], ids=lambda case: case["path"])
def test_names_in_a_path(case: dict[str, Any]) -> None:
    times = transfer.MAX_PATH // 3
    path, parts = case["path"].replace("{long}", "ü/" * times), case["parts"]
    if parts is None:
        with pytest.raises(VcrError):
            transfer.names_in(path)
    else:
        assert transfer.names_in(path) == (parts if path == case["path"] else ["ü"] * times)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A directory to copy into, with one beside it that nothing may come to."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "copy").mkdir()
    return tmp_path / "copy"


def lay(path: Path, told: str) -> None:
    """Make what `tree_of` tells of at PATH."""
    kind, _, text = told.partition(" ")
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(text)
    else:
        path.write_text(text)


def tree_of(top: Path) -> dict[str, str]:
    """Tell what is in TOP."""
    return {str(path.relative_to(top)): _told(path) for path in top.rglob("*")}


def _told(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"link {path.readlink()}"
    if stat.S_ISDIR(mode):
        return f"directory {stat.S_IMODE(mode):o}"
    assert stat.S_ISREG(mode)
    return f"file {stat.S_IMODE(mode):o} {path.read_text()}"


def make(below: Below, kind: str, names: Sequence[str]) -> None:
    if kind == "directory":
        below.make_directory(names)
    elif kind == "link":
        below.link(names, "x")
    else:
        os.close(below.create(names))


@pytest.mark.parametrize("kind", ["directory", "link", "file"])
@pytest.mark.parametrize("case", read("copies")["below"], ids=lambda case: case["why"])
def test_what_is_made_below_a_directory(copied: Path, case: dict[str, Any], kind: str) -> None:
    for path, told in sorted(case["there"].items()):
        lay(copied / path, told)
    with Below(copied) as below:
        if case["allowed"]:
            make(below, kind, case["names"])
            assert os.path.lexists(copied.joinpath(*case["names"]))
        else:
            with pytest.raises(OSError, match=r"\[Errno"):
                make(below, kind, case["names"])
    assert not tree_of(copied.with_name("outside"))


def archive_of(entries: list[dict[str, Any]]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry["name"])
            info.type, info.mode = KINDS[entry["kind"]], entry["mode"]
            data = entry["text"].encode() if entry["kind"] == "file" else b""
            info.size, info.linkname = len(data), "" if data else entry["text"]
            archive.addfile(info, io.BytesIO(data))
    out.seek(0)
    return out


@pytest.mark.parametrize("case", read("copies")["archives"], ids=lambda case: case["why"])
def test_archives(copied: Path, case: dict[str, Any]) -> None:
    rest = members(archive_of(case["entries"]))
    first = next(rest)
    with Below(copied) as below:
        if case["host"] is None:
            with pytest.raises((OSError, VcrError)):
                transfer.unpack_all(first, rest, below, lambda _: None)
        else:
            transfer.unpack_all(first, rest, below, lambda _: None)
            assert tree_of(copied) == case["host"]
    assert not tree_of(copied.with_name("outside"))


@pytest.mark.parametrize("case", read("agent")["requests"], ids=lambda case: case["line"])
def test_lines_for_an_agent(case: dict[str, Any]) -> None:
    assert parse_order(case["line"]) == (case["do"], case["seconds"])


@pytest.mark.parametrize("case", read("agent")["frames"], ids=lambda case: case["why"])
def test_frames_for_a_cartesi_machine(case: dict[str, Any]) -> None:
    data, frame = bytes.fromhex(case["data"]), bytes.fromhex(case["frame"])
    match case["kind"]:
        case "resume":
            assert frames.resume_frame(case["time"], data) == frame
        case "agent":
            assert frames.agent_frame(data.decode()) == frame
        case "request":
            assert list(frames.messages(case["port"], data)) == [frame]
        case _:
            long = data + bytes(frames.PIECE)
            first = next(frames.messages(case["port"], long))
            assert first == frame + bytes(frames.PIECE - len(data))


@pytest.mark.parametrize("case", read("debug")["tasks"], ids=lambda case: case["line"])
def test_tasks_for_an_agent(case: dict[str, Any]) -> None:
    told = {**case["request"], "argv": tuple(case["request"]["argv"])}
    line = debug.Request(**told).to_line(read("debug")["id"], case["rows"], case["columns"])
    assert line.decode() == case["line"]


def test_the_rest_that_an_agent_is_told() -> None:
    vectors = read("debug")
    for case in vectors["notes"]:
        line = debug.line(vectors["id"], case["do"], **case["fields"])
        assert line.decode() == case["line"]
    for case in vectors["inputs"]:
        assert debug.data_line(vectors["id"], bytes.fromhex(case["data"])).decode() == case["line"]


def test_what_an_agent_says() -> None:
    vectors = read("debug")
    for case in vectors["answers"]:
        found = list(debug.Answers(vectors["id"]).add(case["line"].encode()))
        assert found == [debug.Piece(case["kind"], bytes.fromhex(case["data"]), case["code"])]
    assert vectors["lines"]["most"] <= debug.MAX_LINE
    assert vectors["lines"]["piece_of_output"] <= vectors["lines"]["most"]


def test_a_door_without_an_enclave_refuses_the_same() -> None:
    vectors = read("door")
    assert (vectors["most_in_a_line"], vectors["too_long"]) == (door.MAX_LINE, door.TOO_LONG)
    for case in vectors["requests"]:
        assert door.refusal(case["line"].encode() + b"\n") == vectors["no_enclave"]
    for line in vectors["refused"]:
        assert door.refusal(line.encode() + b"\n") != vectors["no_enclave"]


def test_domains() -> None:
    vectors = read("enclave")
    assert {"parent": domains.PARENT.decode(), "app": domains.APP.decode()} == vectors["domains"]
    assert vectors["most_data"] == domains.MAX_DATA
    for case in vectors["documents"]:
        data = bytes.fromhex(case["data"])
        assert domains.of_parent(data).hex() == case["parent"]
        assert domains.of_app(data).hex() == case["app"]


class Loader:
    """The enclave's end of its control port: says one line, and keeps what it was asked."""

    def __init__(self, line: str) -> None:
        self.line, self.asked = line, ""

    def connect(self, port: int) -> socket.socket:
        assert port == wire.CONTROL_PORT
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._serve, args=(theirs,), daemon=True).start()
        return ours

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            self.asked = lines.readline().decode()
            connection.sendall(self.line.encode())


def optional(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def test_what_a_parent_asks() -> None:
    vectors = read("enclave")
    document, health = vectors["answers"][0]["line"], vectors["answers"][1]["line"]
    for case in vectors["attest"]:
        loader = Loader(document)
        given = {"nonce": optional(case["nonce"]), "user_data": optional(case["user_data"])}
        wire.attest(loader.connect, **given)
        assert loader.asked == case["line"]
    for case in vectors["health"]:
        loader = Loader(health)
        wire.health(loader.connect, case["seconds"])
        assert loader.asked == case["line"]
    for case in vectors["facts"]:
        loader = Loader(vectors["answers"][-1]["line"])
        wire.facts(loader.connect)
        assert loader.asked == case["line"]


def test_what_an_enclave_answers() -> None:
    for case in read("enclave")["answers"]:
        loader = Loader(case["line"])
        if case["error"]:
            with pytest.raises(VcrError) as caught:
                wire.attest(loader.connect, nonce=None, user_data=None)
            assert caught.value.why == case["error"]
        elif case["code"] is not None:
            expected = case["code"], bytes.fromhex(case["output"])
            assert wire.health(loader.connect, 5) == expected
        elif case["facts"]:
            assert wire.facts(loader.connect) == case["facts"]
        else:
            document = wire.attest(loader.connect, nonce=None, user_data=None)
            assert document == bytes.fromhex(case["document"])


def test_the_wire_of_an_enclave() -> None:
    vectors = read("enclave")
    assert vectors["ports"] == {
        "heartbeat": wire.HEARTBEAT_PORT, "nsm": wire.NSM_PORT, "control": wire.CONTROL_PORT,
        "app": wire.APP_PORT, "drive": wire.DRIVE_PORT,
    }  # fmt: skip
    assert wire.HEARTBEAT.hex() == vectors["heartbeat"]
    for case in vectors["prefaces"]:
        assert wire.app_preface(case["port"]).hex() == case["bytes"]
    for case in vectors["nsm"]:
        ours, theirs = socket.socketpair()
        threading.Thread(target=wire.serve_nsm, args=(theirs, lambda asked: asked)).start()
        with ours, ours.makefile("rb") as answers:
            framed = bytes.fromhex(case["framed"])
            ours.sendall(framed)
            assert answers.read(len(framed)) == framed
            assert framed[4:].hex() == case["message"]


def verity_of(text: str) -> Verity:
    """Return what the parameters in TEXT say, with the fields that the loader is not told."""
    told = json.loads(text)
    blocks, salt = told["data_blocks"], told["salt"]
    size = dict.fromkeys(("data_block_size", "hash_block_size"), told["block_size"])
    made = {key: told[key] for key in ("algorithm", "data_blocks", "root_hash", "salt")}
    try:
        ident = _uuid8(bytes.fromhex(salt))
    except (TypeError, ValueError, IndexError):
        ident = ""
    offset = blocks * 4096 if type(blocks) is int else blocks
    return Verity.of({**made, **size, "uuid": ident, "hash_offset": offset})


def test_verity_parameters() -> None:
    for case in read("verity")["taken"]:
        assert case["text"].encode() in enclave.parameters(verity_of(case["text"]))


@pytest.mark.parametrize("case", read("verity")["refused"], ids=lambda case: case["why"])
def test_other_verity_parameters(case: dict[str, Any]) -> None:
    with pytest.raises(Failure, match="not supported"):
        verity_of(case["text"])


def test_the_kernel_line_of_an_enclave() -> None:
    assert read("kernel_line")["line"] == KERNEL_LINE


def node_of(told: str) -> Node:
    kind, _, text = told.partition(" ")
    if kind == "link":
        return Node("link", 0o777, target=text)
    return directory() if kind == "directory" else text_file(text)


@pytest.mark.parametrize("case", read("links")["cases"], ids=lambda case: case["why"])
def test_where_links_lead(case: dict[str, Any]) -> None:
    tree = Tree()
    for path, told in sorted(case["there"].items()):
        tree.put(path, node_of(told))
    if case["resolved"] is None:
        with pytest.raises(Failure, match="loop"):
            tree.resolve(case["path"])
    else:
        assert tree.resolve(case["path"]) == case["resolved"]


@pytest.mark.parametrize("case", read("requests")["cases"], ids=lambda case: case["why"])
def test_requests_of_a_step(case: dict[str, Any]) -> None:
    line, body = json.dumps(case["line"]).encode() + b"\n", case["body"].encode()
    port: Any = io.BytesIO(line + body)  # what it reads it as
    request = read_request(port)
    assert request is not None
    assert request.key == tuple(case["line"][name] for name in ("method", "url", "accept", "body"))
    assert (request.headers, request.content) == (case["line"]["headers"], body)


def test_reports_of_a_sampler() -> None:
    for case in read("sampler")["reports"]:
        report = guest._report(case["line"].encode(), KernelSymbols())
        told = case["report"]
        assert (report.seconds, report.lost) == (told["seconds"], told["lost"])
        stacks = {";".join((s["process"], *s["frames"])): s["count"] for s in told["stacks"]}
        assert report.stacks == stacks


def test_cbor() -> None:
    vectors = read("cbor")
    for case in vectors["values"]:
        assert cbor.decode(bytes.fromhex(case["hex"])) == case["value"]
    for case in vectors["bytes"]:
        assert cbor.decode(bytes.fromhex(case["hex"])) == bytes.fromhex(case["value"])
    for text in vectors["refused"]:
        with pytest.raises(ValueError, match=r"."):
            cbor.decode(bytes.fromhex(text))


@pytest.mark.parametrize("case", read("programs"), ids=lambda case: case["why"])
def test_why_a_program_cannot_be_started(case: dict[str, Any], tmp_path: Path) -> None:
    for name, file in sorted(case["files"].items()):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if "link" in file:
            path.symlink_to(file["link"])
            continue
        path.write_bytes(bytes.fromhex(file.get("hex", "")) + file.get("text", "").encode())
        path.chmod(int(file["mode"], 8))
    given = {name: case[name] for name in ("argv", "env", "cwd", "user", "groups", "covered")}
    expected = case["expected"] and Program(**case["expected"])
    with files_below(tmp_path) as files:
        command = Command(**given, code=case.get("code", 0))
        assert why_not(files, command, case["here"]) == expected
    assert why_not(TreeFiles(as_tree(tmp_path)), command, case["here"]) == expected


def as_tree(root: Path) -> Tree:
    """Return what is in the directory ROOT, with modes, as an image's layers have it."""
    tree = tree_of_directory(root)
    for path, node in tree.walk():
        if node.kind != "link":
            mode = (root / path).stat().st_mode & 0o7777
            tree.nodes[path] = replace(node, mode=mode)
    return tree


@pytest.mark.parametrize("case", read("listeners"), ids=lambda case: case["why"])
def test_where_something_listens(case: dict[str, Any]) -> None:
    found = parse_listeners(case["table"])
    assert [[each.address, each.port, each.is_loopback] for each in found] == case["listens"]


def test_frames_of_a_relay() -> None:
    vectors = read("relay")
    limits = {"head": HEAD.size, "content": MAX_CONTENT, "window": WINDOW}
    assert limits == vectors["limits"]
    for case in (*vectors["both"], *vectors["guest"]):
        (frame,) = Frames().feed(bytes.fromhex(case["hex"]))
        told = (frame.stream, frame.kind, frame.content.hex())
        assert told == (case["stream"], case["kind"], case["content"]), case["why"]
    for case in (*vectors["both"], *vectors["host"]):
        frame = Frame(case["stream"], Kind(case["kind"]), bytes.fromhex(case["content"]))
        assert frame.encode().hex() == case["hex"], case["why"]
    for case in (*vectors["refused"], *vectors["host"]):
        with pytest.raises(ValueError, match="a frame"):
            Frames().feed(bytes.fromhex(case["hex"]))


@pytest.mark.parametrize("case", read("relay")["hellos"], ids=lambda case: case["why"])
def test_how_a_relay_begins(case: dict[str, Any]) -> None:
    content = bytes.fromhex(case["content"])
    if case["refused"]:
        with pytest.raises(ValueError, match="streams of"):
            Hello.of(content)
        return
    said = Hello.of(content)
    assert (said.streams, said.window) == (case["streams"], case["window"])
    assert said.encode() == content


@pytest.mark.parametrize("case", read("relay")["datagrams"], ids=lambda case: case["why"])
def test_datagrams_of_a_relay(case: dict[str, Any]) -> None:
    frames = [
        Frame(stream, Kind(kind), bytes([number]) * length)
        for number, (stream, kind, length) in enumerate(case["frames"])
    ]
    pieces = [each.content for each in frames if each.kind in {Kind.PART, Kind.DATAGRAM}]
    reader, found = Datagrams(), list[tuple[int, bytes]]()
    if case["whole"] is None:
        with pytest.raises(ValueError, match="datagram"):
            list(map(reader.take, frames))
        return
    for frame in frames:
        whole = reader.take(frame)
        found += [] if whole is None else [(frame.stream, whole)]
    assert [[stream, len(whole)] for stream, whole in found] == case["whole"]
    assert b"".join(whole for _, whole in found) == b"".join(pieces)


def test_datagrams_are_cut_for_a_relay() -> None:
    for case in read("relay")["cut"]:
        content = bytes(range(256)) * 256
        sent = datagram(7, content[: case["size"]])
        frames = Frames().feed(sent)
        assert [[each.kind, len(each.content)] for each in frames] == case["frames"]
        assert b"".join(each.content for each in frames) == content[: case["size"]]
