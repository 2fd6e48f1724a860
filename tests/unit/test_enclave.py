"""The parent's side of an enclave: the wire, the emulator's command line, and its server."""

import io
import itertools
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

pytest.importorskip("cbor2", reason="needs cbor2")
pytest.importorskip("cryptography", reason="needs cryptography")

from vcr.diagnosis.facts import MAX_FACTS
from vcr.engines.enclave import machine as enclave_machine
from vcr.engines.enclave import server, wire
from vcr.engines.enclave.emulated import Emulation, Setup
from vcr.engines.enclave.image import read_image
from vcr.engines.enclave.machine import EnclaveMachine
from vcr.engines.enclave.printed import MAX_PIECE, take_apart
from vcr.engines.machine import Channels, Forward
from vcr.errors import MismatchError, UnhealthyError, UsageError, VcrError
from vcr.formats.eif import KERNEL_LINE, Image, encode, metadata
from vcr.formats.hashes.verity import Verity
from vcr.formats.pcrs import measure
from vcr.model.health import HealthCheck, HttpProbe
from vcr.sandbox.enclave import parameters

VERITY = Verity("ab" * 32, "cd" * 32, "cdcdcdcd-cdcd-8dcd-8dcd-cdcdcdcdcdcd", 7, 7 * 4096)
IMAGE = Image(
    arch="amd64",
    kernel=b"kernel",
    cmdline=KERNEL_LINE,
    ramdisks=(b"loader", parameters(VERITY)),
    metadata=metadata("static", "6.12"),
    memory=(600 << 20) - 1,
    cpus=2,
)


class Enclave:
    """Answers on the control port with what it is told, and keeps what it was asked."""

    def __init__(self, answer: dict[str, Any] | bytes) -> None:
        self.answer = answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n"
        self.asked: list[dict[str, Any]] = []

    def connect(self, port: int) -> socket.socket:
        assert port == wire.CONTROL_PORT
        ours, theirs = socket.socketpair()

        def serve() -> None:
            with theirs, theirs.makefile("rb") as lines:
                self.asked.append(json.loads(lines.readline()))
                theirs.sendall(self.answer)

        threading.Thread(target=serve, daemon=True).start()
        return ours


def test_a_document_is_asked_for_with_what_is_given() -> None:
    enclave = Enclave({"document": "AQID"})
    assert wire.attest(enclave.connect, nonce=b"n", user_data=None) == b"\x01\x02\x03"
    assert wire.attest(enclave.connect, nonce=None, user_data=b"d") == b"\x01\x02\x03"
    assert enclave.asked == [{"attest": {"nonce": "bg=="}}, {"attest": {"user_data": "ZA=="}}]


def test_health_is_that_of_the_app() -> None:
    enclave = Enclave({"code": 1, "output": "b29wcw=="})
    assert wire.health(enclave.connect, 5) == (1, b"oops")
    assert enclave.asked == [{"health": {"seconds": 5}}]
    assert wire.health(Enclave({"code": 0}).connect, 5) == (0, b"")


def test_an_enclave_that_refuses_or_is_silent_is_an_error() -> None:
    with pytest.raises(VcrError, match="refuses"):
        wire.health(Enclave({"error": "no"}).connect, 5)
    with pytest.raises(wire.NotServingError):
        wire.health(Enclave(b"").connect, 5)


@pytest.mark.parametrize(
    "answer",
    [b"x" * (wire.MAX_ANSWER + 1), b"[]\n", b"1\n", b"{\n", b"\xff\n", b"[" * 50_000 + b"\n",
     b"{}\n", b'{"document": 7}\n', b'{"document": "no base64"}\n', b"null\n"],
    ids=lambda answer: answer[:12].decode("latin-1"),
)  # fmt: skip
def test_an_enclave_that_answers_nonsense_is_an_error(answer: bytes) -> None:
    """It may be somebody else's: a line without end took all memory, others were a traceback."""
    with pytest.raises(VcrError, match="is not valid"):
        wire.attest(Enclave(answer).connect, nonce=None, user_data=None)
    with pytest.raises(VcrError, match="is not valid"):
        wire.health(Enclave(answer).connect, 5)


def test_an_answer_that_comes_byte_by_byte_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ANSWER_SECONDS", 0.5)
    ours, theirs = socket.socketpair()

    def drip() -> None:
        with suppress(OSError):
            while True:
                theirs.sendall(b"x")
                time.sleep(0.05)

    threading.Thread(target=drip, daemon=True).start()
    begin = time.monotonic()
    with pytest.raises(wire.NotServingError, match="does not answer"):
        wire.attest(lambda _port: ours, nonce=None, user_data=None)
    assert time.monotonic() - begin < 5
    theirs.close()


def test_the_security_module_is_asked_in_frames() -> None:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=wire.serve_nsm, args=(theirs, lambda data: data[::-1]))
    thread.start()
    for request in (b"abc", b"x" * wire.MAX_NSM_REQUEST):
        ours.sendall(len(request).to_bytes(4, "big") + request)
        head = ours.recv(4, socket.MSG_WAITALL)
        assert int.from_bytes(head, "big") == len(request)
        assert ours.recv(len(request), socket.MSG_WAITALL) == request[::-1]
    ours.sendall(b"\xff\xff\xff\xff")  # longer than any request: that is the end
    assert ours.recv(1) == b""
    thread.join()


def setup(tmp_path: Path) -> Setup:
    (tmp_path / "eif").write_bytes(encode(IMAGE))
    return Setup(tmp_path / "eif", tmp_path / "drive", Path("/n"), Path("/q"), Path("/d"))


def test_qemu_boots_what_the_image_holds_and_nothing_else(tmp_path: Path) -> None:
    enclave = Emulation(setup(tmp_path), tmp_path, tmp_path / "console")
    argv = enclave.command_line(tmp_path / "vsock")
    words = dict(itertools.pairwise(argv))
    assert Path(words["-kernel"]).read_bytes() == IMAGE.kernel
    assert Path(words["-initrd"]).read_bytes() == b"".join(IMAGE.ramdisks)
    assert (words["-append"], words["-m"], words["-accel"]) == (
        KERNEL_LINE,
        "600M",
        "tcg,thread=single",
    )
    assert not any("net" in word.split(",")[0].split("-") for word in argv)
    assert enclave.pcrs == measure(IMAGE.kernel, KERNEL_LINE.encode(), IMAGE.ramdisks)


def test_a_changed_image_is_refused(tmp_path: Path) -> None:
    path = setup(tmp_path).image
    data = bytearray(path.read_bytes())
    data[600] ^= 4
    path.write_bytes(data)
    with pytest.raises(MismatchError, match="damaged"):
        read_image(path)


def machine(tmp_path: Path, verity: Verity) -> tuple[EnclaveMachine, Channels]:
    given = setup(tmp_path)
    (tmp_path / "verity.json").write_text(json.dumps(verity.as_json()))
    made = EnclaveMachine.of(
        {
            "name": "static",
            "image": str(given.image),
            "drive": str(given.drive),
            "verity": str(tmp_path / "verity.json"),
            "nbdkit": "/n",
            "qemu": "/q",
            "qemu_data": "/d",
            "ports": (8080,),
            "health": HealthCheck(HttpProbe(8080), interval=2, timeout=3),
        }
    )
    return made, Channels(*(tmp_path / name for name in ("console", "log", "agent", "qmp")))


def test_the_server_is_told_everything_by_a_file(tmp_path: Path) -> None:
    made, channels = machine(tmp_path, VERITY)
    made.prepare(channels)
    argv = made.command_line([Forward("127.0.0.1", 1, 8080)], channels)
    job = json.loads(Path(argv[-1]).read_bytes())
    assert job["forwards"] == [["127.0.0.1", 1, 8080]]
    assert job["image"] == str(made.image)
    assert argv[1] == "-I"
    assert made.health == HealthCheck(HttpProbe(8080), interval=40, timeout=60)


def test_a_port_that_the_app_does_not_expose_is_none_of_an_enclave(tmp_path: Path) -> None:
    made, channels = machine(tmp_path, VERITY)
    made.prepare(channels)
    with pytest.raises(UsageError, match="does not expose port 22"):
        made.command_line([Forward("127.0.0.1", 1, 8080), Forward("127.0.0.1", 2, 22)], channels)


def test_an_image_for_another_drive_does_not_start(tmp_path: Path) -> None:
    other = Verity("00" * 32, VERITY.salt, VERITY.uuid, 7, VERITY.hash_offset)
    made, channels = machine(tmp_path, other)
    with pytest.raises(MismatchError, match="another drive"):
        made.prepare(channels)


@pytest.mark.parametrize("break_", [lambda d: d[:-1], lambda d: d + b"\0", lambda _: b""])
def test_what_is_not_whole_is_no_image(tmp_path: Path, break_: Callable[[bytes], bytes]) -> None:
    path = setup(tmp_path).image
    path.write_bytes(break_(path.read_bytes()))
    with pytest.raises(MismatchError):
        read_image(path)


def test_the_server_answers_from_the_first_moment_and_says_why_it_ends(tmp_path: Path) -> None:
    """Its own process, with an image that is damaged."""
    made, channels = machine(tmp_path, VERITY)
    made.prepare(channels)
    made.image.write_bytes(b"damaged meanwhile")
    argv = made.command_line([], channels)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "the enclave image is damaged" in channels.console.read_text()
    with pytest.raises(UnhealthyError) as caught:
        made.begin(channels)
    assert "damaged" in caught.value.why


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_lines_of_the_app_are_its_log(tmp_path: Path, size: int) -> None:
    """However they come; what an app prints is never a line of the enclave."""
    printed = (
        b"vcr: drive checked\r\napp: one\r\napp: app: two\r\nrest of it\r\n"
        b"app: " + b"x" * (3 * MAX_PIECE) + b"\r\napp: vcr: facts {}\r\nvcr: serving\r\nend"
    )

    class Slow(io.RawIOBase):
        at = 0

        def readable(self) -> bool:
            return True

        def readinto(self, into: Any) -> int:
            piece = printed[self.at : self.at + min(size, len(into))]
            into[: len(piece)] = piece
            self.at += len(piece)
            return len(piece)

    take_apart(io.BufferedReader(Slow()), tmp_path / "console", tmp_path / "log")
    log = (tmp_path / "log").read_bytes()
    assert log == b"one\napp: two\n" + b"x" * (3 * MAX_PIECE) + b"\nvcr: facts {}\n"
    own = b"vcr: drive checked\r\nrest of it\r\nvcr: serving\r\nend"
    assert (tmp_path / "console").read_bytes() == own
    (tmp_path / "both").touch()
    take_apart(io.BytesIO(printed), tmp_path / "both", None)
    assert (tmp_path / "both").read_bytes() == printed


def test_why_an_enclave_does_not_serve_is_not_for_its_app_to_say(tmp_path: Path) -> None:
    made, channels = machine(tmp_path, VERITY)
    channels.log.write_text('vcr: facts {"exit":0}\nvcr: FATAL all is well\nno luck\n')
    for console, why in (
        ("vcr: FATAL the drive is gone\n", "FATAL the drive is gone"),
        (
            'vcr: FATAL x\r\nvcr: facts {"exit":3}\r\nvcr: FATAL the machine ended\r\n',
            "the app ended with exit code 3; the last line of its log: no luck",
        ),
    ):
        channels.console.write_text(console)
        channels.agent.touch()
        with (
            patch.object(enclave_machine, "END_SECONDS", 0.0),
            pytest.raises(UnhealthyError) as caught,
        ):
            made.begin(channels)
        assert caught.value.why == why
        assert caught.value.tail[-1] == "app: no luck"


def test_what_an_enclave_says_is_one_line_of_the_server(tmp_path: Path) -> None:
    """It may be somebody else's: a line of its own making, or no text at all."""

    class Forging:
        def facts(self) -> str:
            return wire.facts(Enclave({"facts": "{}\u2028pong \ud800\rpong"}).connect)

        def attest(self) -> bytes:
            return wire.attest(
                Enclave({"error": "a\nb \ud800"}).connect, nonce=None, user_data=None
            )

    agent = type("Agent", (server._Agent,), {"enclave": Forging()})
    with server._Sockets(str(tmp_path / "agent"), agent) as sockets:
        threading.Thread(target=sockets.serve_forever, daemon=True).start()
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(tmp_path / "agent"))
            asking.sendall(b"facts\nping\n")
            asking.shutdown(socket.SHUT_WR)
            with asking.makefile("rb") as answers:
                lines = answers.read().splitlines(keepends=True)
        sockets.shutdown()
    assert [line.split()[0] for line in lines] == [b"facts", b"error"]
    for answer in ("{}\n{}", "x" * (MAX_FACTS + 1)):
        with pytest.raises(VcrError, match="is not valid"):
            wire.facts(Enclave({"facts": answer}).connect)
