"""A secret of a step stays out of lock, layers and logs, whatever form a server gives it.

Attacks that came through: a server that echoes what it was sent, encoded in some way. The
server, the recorder and the machine's end of the port are real.
"""

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import socket
import threading
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vcr.dockerfile.mounts import placeholder
from vcr.errors import LockError, UsageError, VcrError
from vcr.lock.bodies import BodyStore
from vcr.lock.recorder import Recorder
from vcr.lock.secrets.given import read_secrets
from vcr.lock.secrets.placeholders import LeakError, Secrets
from vcr.lock.secrets.spilled import check_spilled
from vcr.lock.sources import Sources
from vcr.model.lockfile import Lock, LockedBody

SECRET = b"hunter2+the/real one&only"
STAND_IN = placeholder("token")
SECRETS = Secrets({STAND_IN: SECRET}, {STAND_IN: "token"})


def quote(data: bytes) -> bytes:
    return urllib.parse.quote(data, safe="").encode()


def units(data: bytes) -> bytes:
    return b"".join(b"\\u%04X" % byte for byte in data)


def entities(data: bytes) -> bytes:
    return b"".join(b"&#x%x;" % byte for byte in data)


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("file", data)
    return file.getvalue()


def shifted(count: int, encode: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda data: b'{"a": "' + encode(b"x" * count + data + b"yz") + b'"}'


CLEAN: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: data,
    "percent": quote,
    "percent in lower case": lambda data: quote(data).lower(),
    "plus for a space": lambda data: urllib.parse.quote_plus(data).encode(),
    "every character percent": lambda data: b"".join(b"%%%02x" % byte for byte in data),
    "JSON, every character": units,
    "JSON, slashes": lambda data: data.replace(b"/", b"\\/"),
    "HTML": lambda data: data.replace(b"&", b"&amp;"),
    "HTML, every character": entities,
    "hex": lambda data: data.hex().encode(),
    "HEX": lambda data: data.hex().upper().encode(),
    "UTF-16": lambda data: data.decode().encode("utf-16-le"),
    "UTF-16, the other order": lambda data: data.decode().encode("utf-16-be"),
    "base64 without padding": lambda data: base64.b64encode(data).rstrip(b"="),
    **{f"base64 at {n}": shifted(n, base64.b64encode) for n in range(6)},
    **{f"base64 of addresses at {n}": shifted(n, base64.urlsafe_b64encode) for n in range(6)},
}
UNCLEAN: dict[str, Callable[[bytes], bytes]] = {
    "percent, twice": lambda data: quote(quote(data)),
    "percent, three times": lambda data: quote(quote(quote(data))),
    "in capitals": bytes.upper,
    "base64 of base64": lambda data: base64.b64encode(b"a" + base64.b64encode(data)),
    "base64 in lines": lambda data: base64.encodebytes(b"a" * 50 + data),
    "base64, percent-encoded": lambda data: quote(base64.b64encode(b"a" + data)),
    "base64 of gzip": lambda data: base64.b64encode(gzip.compress(data)),
    "hex of hex": lambda data: data.hex().encode().hex().encode(),
    "hex, apart": lambda data: data.hex(":").encode(),
    "JSON in JSON": lambda data: json.dumps(json.dumps(units(data).decode())).encode(),
    "a file of gzip": lambda data: gzip.compress(b"a" * (3 << 20) + data),
    "two members of gzip": lambda data: gzip.compress(b"a") + gzip.compress(data),
    "a file of bzip2": lambda data: bz2.compress(b"a") + bz2.compress(data),
    "a file of xz": lzma.compress,
    "a file of zip": zipped,
    "over the end of a piece": lambda data: gzip.compress(b"a" * ((1 << 20) - 5) + data),
}  # fmt: skip


@pytest.mark.parametrize("form", CLEAN)
def test_a_form_of_a_secret_is_replaced(form: str) -> None:
    hidden = SECRETS.hide(b"before " + CLEAN[form](SECRET) + b" after")
    assert not SECRETS.find(hidden)
    assert SECRET not in hidden
    # What a placeholder is written as is what the secret was written as.
    stands_in = [STAND_IN.encode(), STAND_IN.encode() + b"-percent"]
    assert any(CLEAN[form](word).strip(b'{"a: }') in hidden for word in stands_in) or any(
        word in hidden for word in stands_in
    )


@pytest.mark.parametrize("form", UNCLEAN)
def test_a_form_that_no_placeholder_fits_is_refused_without_the_secret(form: str) -> None:
    with pytest.raises(LeakError, match="the secret token") as caught:
        SECRETS.hide(UNCLEAN[form](SECRET))
    assert "hunter2" not in str(caught.value)


def test_a_percent_encoded_secret_goes_back_percent_encoded() -> None:
    hidden = SECRETS.hide(b"https://h/?sig=" + quote(SECRET))
    assert SECRETS.reveal(hidden) == b"https://h/?sig=" + quote(SECRET)


def test_what_is_no_secret_is_left_alone() -> None:
    digest = hashlib.sha256(SECRET).hexdigest().encode()
    for data in (digest, b"hunter2", bytes(range(256)) * 64, gzip.compress(b"nothing")):
        assert SECRETS.hide(data) == data


def test_of_two_secrets_the_longer_is_hidden_whole() -> None:
    two = Secrets({"vcr-a": b"0123456789", "vcr-b": b"0123456789abcdef"})
    assert two.hide(b"0123456789abcdef 0123456789") == b"vcr-b vcr-a"


class Echo(BaseHTTPRequestHandler):
    """Says back what it was asked, in the way that the address begins with."""

    encoded = ""

    def do_GET(self) -> None:
        way = urllib.parse.urlsplit(self.path).path.strip("/")
        said = (self.headers.get("X-Token") or self.headers.get("Authorization") or "").encode()
        headers, body = getattr(self, f"_{way}")(said)
        self.send_response(302 if "Location" in headers else 200)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _plain(self, said: bytes) -> tuple[dict[str, str], bytes]:
        return {}, said

    def _basic(self, said: bytes) -> tuple[dict[str, str], bytes]:
        return {"Content-Type": "application/json"}, json.dumps({"a": said.decode()}).encode()

    def _moved(self, said: bytes) -> tuple[dict[str, str], bytes]:
        return {"Location": f"https://example.test/x?sig={quote(said).decode()}"}, b""

    def _twice(self, said: bytes) -> tuple[dict[str, str], bytes]:
        return {"Location": f"https://example.test/x?sig={quote(quote(said)).decode()}"}, b""

    def _gzip(self, said: bytes) -> tuple[dict[str, str], bytes]:
        return {"Content-Encoding": "gzip"}, gzip.compress(b"the token is " + said)

    def _deflate(self, said: bytes) -> tuple[dict[str, str], bytes]:
        return {"Content-Encoding": "deflate"}, zlib.compress(b"the token is " + said, wbits=-15)

    def _br(self, said: bytes) -> tuple[dict[str, str], bytes]:
        return {"Content-Encoding": "br"}, b"\x8b\x02\x80" + said[:1]

    def _bomb(self, said: bytes) -> tuple[dict[str, str], bytes]:
        return {"Content-Encoding": "gzip"}, gzip.compress(bytes(65 << 20) + said)

    def log_message(self, *_: object) -> None:
        pass


class NoNix:
    def add_fixed(self, path: Path) -> Path:
        return path


class Machine:
    """A machine that a recorder answers; what it asks for comes from Echo."""

    def __init__(self, directory: Path, secrets: Secrets, server: ThreadingHTTPServer) -> None:
        self.shown: list[str] = []
        here = f"http://127.0.0.1:{server.server_port}/"
        store = BodyStore(directory / "bodies", NoNix())  # type: ignore[arg-type]
        sources = Sources(replaced=[("http://echo.test/", here)])
        self.recorder = Recorder(sources, store, secrets, self.shown.append)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(directory / "socket"))
        self.listener.listen(1)
        self.thread = self.recorder.start(self.listener)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(directory / "socket"))
        self.port = self.socket.makefile("rwb")

    def ask(self, url: str, **headers: str) -> tuple[dict[str, Any], bytes]:
        told = {"method": "GET", "url": url, "accept": "", "body": "", "length": 0}
        self.port.write(json.dumps({**told, "headers": headers}).encode() + b"\n")
        self.port.flush()
        reply = json.loads(self.port.readline())
        return reply, self.port.read(reply["size"])

    def all_of_it(self) -> str:
        """Everything that a recording leaves: lock, bodies, what was shown, errors."""
        recorder = self.recorder
        problem = recorder.problem
        told = [problem.what, problem.why, problem.fix, *problem.tail] if problem else []
        bodies = [
            path.read_bytes() for path in (recorder.store.directory).rglob("*") if path.is_file()
        ]
        locked = [exchange.model_dump_json() for exchange in recorder.exchanges]
        return repr((locked, recorder.bodies, bodies, self.shown, told))

    def close(self) -> None:
        self.port.close()
        self.socket.close()
        self.thread.join(10)
        self.listener.close()
        assert self.recorder.crash is None


@pytest.fixture
def echo() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def machine(tmp_path: Path, echo: ThreadingHTTPServer) -> Iterator[Machine]:
    made = Machine(tmp_path, SECRETS, echo)
    yield made
    made.close()


def assert_hidden(machine: Machine) -> None:
    left = machine.all_of_it()
    assert "hunter2" not in left
    assert not SECRETS.find(left.encode())


def test_basic_credentials_that_a_server_echoes_hold_the_placeholder(machine: Machine) -> None:
    given = "Basic " + base64.b64encode(f"me:{STAND_IN}".encode()).decode()
    reply, body = machine.ask("http://echo.test/basic", Authorization=given)
    assert reply["status"] == 200
    assert json.loads(body) == {"a": given}
    assert_hidden(machine)


def test_a_location_with_a_percent_encoded_secret_holds_the_placeholder(machine: Machine) -> None:
    reply, _ = machine.ask("http://echo.test/moved", **{"X-Token": STAND_IN})
    assert reply["headers"]["location"] == f"https://example.test/x?sig={STAND_IN}-percent"
    assert_hidden(machine)


@pytest.mark.parametrize("way", ["gzip", "deflate"])
def test_a_packed_body_with_a_secret_is_unpacked_to_take_it_out(machine: Machine, way: str) -> None:
    reply, body = machine.ask(f"http://echo.test/{way}", **{"X-Token": STAND_IN})
    assert body == f"the token is {STAND_IN}".encode()
    assert "content-encoding" not in reply["headers"]
    assert_hidden(machine)


def test_a_packed_body_without_a_secret_stays_as_it_is(machine: Machine) -> None:
    reply, body = machine.ask("http://echo.test/gzip", **{"X-Token": "nothing"})
    assert gzip.decompress(body) == b"the token is nothing"
    assert reply["headers"] == {"content-encoding": "gzip"}


@pytest.mark.parametrize("way", ["twice", "br", "bomb"])
def test_what_cannot_be_taken_out_is_not_locked(machine: Machine, way: str) -> None:
    reply, _ = machine.ask(f"http://echo.test/{way}", **{"X-Token": STAND_IN})
    assert reply["status"] == 502
    problem = machine.recorder.problem
    assert problem is not None
    assert problem.what == f"GET http://echo.test/{way} cannot be locked"
    assert "the secret token" in problem.why
    assert machine.recorder.exchanges == []
    assert_hidden(machine)


def test_no_field_of_an_error_and_no_line_has_the_secret(machine: Machine) -> None:
    # The secret has a space, so that no address can hold it; the host is not there.
    for url in (f"http://echo.test/a?{STAND_IN}", f"http://nobody.invalid/{STAND_IN}"):
        assert machine.ask(url)[0]["status"] == 502
    assert machine.recorder.problem is not None
    assert_hidden(machine)


def test_a_step_that_learned_a_secret_cannot_have_it_in_an_address(machine: Machine) -> None:
    learned = base64.b64encode(SECRET).decode()
    assert machine.ask("http://echo.test/plain", Accept="x")[0]["status"] == 200
    assert machine.ask(f"http://echo.test/plain?{learned}")[0]["status"] == 502
    assert_hidden(machine)


def test_a_secret_goes_to_the_hosts_it_is_for_only(tmp_path: Path, echo: Any) -> None:
    # A package that a step installs asks its own server, with the placeholder.
    (tmp_path / "file").write_bytes(SECRET)
    secrets = read_secrets([f"id=token,src={tmp_path / 'file'},host=other.test,host=Echo.Test"])
    assert secrets.hosts == {STAND_IN: frozenset({"other.test", "echo.test"})}
    for host, revealed in (("echo.test", SECRET), ("evil.test", STAND_IN.encode())):
        assert secrets.sent_to(host).reveal(STAND_IN.encode()) == revealed
    elsewhere = read_secrets([f"id=token,src={tmp_path / 'file'},host=a.test"])
    machine = Machine(tmp_path, elsewhere, echo)
    _, body = machine.ask("http://echo.test/plain", **{"X-Token": STAND_IN})
    assert body == STAND_IN.encode()
    machine.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hunter2-and-more\r\n", "ends with CRLF"),
        (b"hunter2-and\r\nX-Other: 1", "control character U+000D"),
        (b"hunter2-and\x00more", "control character U+0000"),
        (b"hunter2-and-more\n\n", "control character U+000A"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2", "has 7 bytes"),
        (b"hunter2-\xff\xfe", "is not text"),
        (b"vcr-secret-", "part of the placeholder"),
        (b"x" * (17 << 10), "cannot read"),
    ],
)
def test_what_no_request_can_hold_is_not_taken_as_a_secret(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UsageError, match=words.replace("+", r"\+")) as caught:
        read_secrets([f"id=token,src={tmp_path / 'file'}"])
    error = caught.value
    assert "hunter2" not in f"{error.what}{error.why}{error.fix}{error.details}"


def test_a_secret_may_end_its_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hunter2-and-more\n")
    secrets = read_secrets([f"id=token,src={tmp_path / 'file'}"])
    assert secrets.values == {STAND_IN: b"hunter2-and-more"}
    with pytest.raises(UsageError, match="given twice"):
        read_secrets([f"id=token,src={tmp_path / 'file'}"] * 2)
    with pytest.raises(UsageError) as caught:
        read_secrets(["hunter2-and-more"])
    assert "hunter2" not in caught.value.what + caught.value.why


def lock_of(**more: Any) -> Lock:
    return Lock(**{"epoch": 1, "inputs": {}, "bases": {}, "urls": {}, **more})


def test_a_lock_and_its_bodies_are_looked_through_before_they_are_written(tmp_path: Path) -> None:
    name = "0" * 64
    data = base64.b64encode(gzip.compress(b"x" + base64.b64encode(SECRET))).decode()
    held = lock_of(bodies={name: LockedBody(name="b", size=1, data=data)})
    asked = lock_of(inputs={f"ADD http://h/{quote(SECRET).decode()}": f"sha256:{name}"})
    for lock in (held, asked):
        with pytest.raises(LockError, match="would contain a secret") as caught:
            check_spilled(lock, SECRETS, tmp_path)
        assert "hunter2" not in caught.value.why
    kept = lock_of(bodies={name: LockedBody(name="b", size=1, url="http://h/b")})
    check_spilled(kept, SECRETS, tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / name / "b").write_bytes(b"a" * (1 << 20) + SECRET)
    with pytest.raises(LockError, match="would contain a secret"):
        check_spilled(kept, SECRETS, tmp_path)


def test_every_field_of_an_error_is_hidden() -> None:
    said = SECRET.decode()
    error = SECRETS.hidden(
        VcrError(said, why=f"x{said}", fix=said, details=[(said, said)], tail=[said[:9], said[9:]])
    )
    assert "hunter2" not in repr((error.args, vars(error)))
