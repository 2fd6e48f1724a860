"""What `vcr lock` does with requests: where it asks, what it keeps, what it hides."""

import base64
import gzip
import hashlib
import json
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from vcr.errors import FetchError
from vcr.lock import recorder as module
from vcr.lock.bodies import MAX_HELD, MAX_INDEX, BodyStore
from vcr.lock.network.web import Response, exchange
from vcr.lock.recorder import Answers, Recorder
from vcr.lock.request import Request
from vcr.lock.secrets.placeholders import Secrets
from vcr.lock.sources import Sources, is_permanent, is_what_was_there
from vcr.model.lockfile import LockedExchange

SNAPSHOT = "http://snapshot.debian.org/archive/debian/20260601T000000Z"


class NoNix:
    """Takes what would go into the store."""

    def add_fixed(self, path: Path) -> Path:
        return path


def release(date: str) -> bytes:
    fields = f"Suite: stable\nCodename: trixie\nDate: {date}\nSHA256:\n {'0' * 64} 1 main/x"
    signature = "-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n"
    return f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{fields}\n{signature}".encode()


def test_a_mirror_is_nearer_than_the_snapshot() -> None:
    sources = Sources(["http://mirror"])
    pool = f"{SNAPSHOT}/pool/main/a/a.deb"
    assert list(sources.addresses(pool)) == ["http://mirror/pool/main/a/a.deb", pool]
    index = f"{SNAPSHOT}/dists/trixie/main/binary-riscv64/Packages.xz"
    assert list(sources.addresses(index)) == [index], "a mirror's may be another one by now"
    assert list(Sources(replaced=[("http://a/", "http://b/c/")]).addresses("http://a/x")) == [
        "http://b/c/x",
        "http://a/x",
    ]


def test_a_release_of_a_mirror_must_not_be_newer() -> None:
    url = f"{SNAPSHOT}/dists/trixie/InRelease"
    assert is_what_was_there(url, release("Sat, 30 May 2026 09:00:00 UTC"))
    assert not is_what_was_there(url, release("Tue, 02 Jun 2026 09:00:00 UTC"))
    assert not is_what_was_there(
        url.replace("trixie", "sid"), release("Sat, 30 May 2026 09:00:00 UTC")
    )
    assert not is_what_was_there(url, b"<html>")
    assert is_what_was_there(f"{SNAPSHOT}/pool/x.deb", b"anything")


@pytest.mark.parametrize(
    ("url", "permanent"),
    [
        ("https://files.pythonhosted.org/packages/7f/a1/d3/x.whl", True),
        ("https://rubygems.org/gems/rack-3.0.8.gem", True),
        ("https://rubygems.org/info/rack", False),
        ("https://registry.npmjs.org/ms/-/ms-2.1.3.tgz", True),
        ("https://registry.yarnpkg.com/ms/-/ms-2.1.3.tgz", True),
        ("https://proxy.golang.org/golang.org/x/sys/@v/v0.1.0.zip", True),
        (f"{SNAPSHOT}/pool/main/a/a.deb", True),
        (f"{SNAPSHOT}/dists/trixie/InRelease", False),
        ("https://pypi.org/simple/flask/", False),
        ("https://registry.npmjs.org/ms", False),
    ],
)
def test_what_will_be_there_for_good(url: str, permanent: bool) -> None:
    assert is_permanent(url) is permanent


def test_what_may_change_is_held_by_the_lock(tmp_path: Path) -> None:
    store = BodyStore(tmp_path, NoNix())  # type: ignore[arg-type]
    _, held, _ = store.keep("GET", "https://index.example/simple/flask/", b"page")
    assert gzip.decompress(base64.b64decode(held.data)) == b"page"
    _, address, _ = store.keep("GET", "https://archive.example/x/pool/ms-2.1.3.tgz", b"tar")
    assert (address.name, address.data, address.url[:8]) == ("ms-2.1.3.tgz", "", "https://")
    _, posted, _ = store.keep("POST", "https://example.test/git-upload-pack", b"pack")
    assert posted.url == ""
    assert posted.data
    noise = random.Random(1).randbytes(MAX_HELD + 1)
    assert store.keep("GET", "https://index.example/x", noise)[1].data == ""


def test_the_index_of_a_package_with_very_many_files_is_held_too(tmp_path: Path) -> None:
    """As PyPI's of pydantic-core: without it only this host could build the lock."""
    store = BodyStore(tmp_path, NoNix())  # type: ignore[arg-type]
    page = _page(8000)
    assert MAX_HELD < len(gzip.compress(page)) <= MAX_INDEX
    _, held, _ = store.keep("GET", "https://index.example/simple/large/", page)
    assert gzip.decompress(base64.b64decode(held.data)) == page
    page = _page(30000)
    assert len(gzip.compress(page)) > MAX_INDEX
    assert store.keep("GET", "https://index.example/simple/larger/", page)[1].data == ""


def _page(count: int) -> bytes:
    """Return an index with COUNT files, each with two hashes and words that are alike."""
    numbers = random.Random(2)
    files = (
        {
            "filename": f"large-2.{i}.0-cp313-cp313-manylinux_2_31_riscv64.whl",
            "hashes": {"sha256": numbers.randbytes(32).hex()},
            "url": f"https://files.example/packages/{numbers.randbytes(32).hex()}/large-2.{i}.0"
            "-cp313-cp313-manylinux_2_31_riscv64.whl",
            "requires-python": ">=3.9",
            "yanked": False,
        }
        for i in range(count)
    )
    return json.dumps({"name": "large", "files": list(files)}).encode()


def test_secrets_leave_only_in_requests() -> None:
    secrets = Secrets({"vcr-secret-1": b"hunter2"})
    assert secrets.reveal(b"a vcr-secret-1 b") == b"a hunter2 b"
    assert secrets.hide(b"hunter2!") == b"vcr-secret-1!"
    basic = "Basic " + base64.b64encode(b"me:vcr-secret-1").decode()
    assert base64.b64decode(secrets.reveal_header(basic)[6:]) == b"me:hunter2"
    assert secrets.reveal_header("Basic %%%") == b"Basic %%%"
    assert secrets.reveal_header("Bearer vcr-secret-1") == b"Bearer hunter2"


def ask(port: Any, **request: Any) -> tuple[dict[str, Any], bytes]:
    body = request.pop("content", b"")
    told = {
        "method": "GET",
        "accept": "",
        "body": hashlib.sha256(body).hexdigest() if body else "",
        "headers": {},
        "length": len(body),
        **request,
    }
    port.write(json.dumps(told).encode() + b"\n" + body)
    port.flush()
    reply = json.loads(port.readline())
    return reply, port.read(reply["size"])


def test_a_machine_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    told: list[str] = []

    def answer(method: str, url: str, headers: Any, body: bytes, *, report: Any) -> Response:
        asked.append(f"{method} {url} {headers} {body!r}")
        if "broken" in url:
            raise FetchError("cannot read it")
        report(7)
        return Response(201, {"content-type": "x", "date": "now", "etag": "hunter2"}, b"hunter2")

    monkeypatch.setattr(module, "exchange", answer)
    store = BodyStore(tmp_path / "bodies", NoNix())  # type: ignore[arg-type]
    recorder = Recorder(Sources(), store, Secrets({"S": b"hunter2"}), told.append)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen(1)
        thread = recorder.start(listener)
        with socket.socket(socket.AF_UNIX) as machine:
            machine.connect(str(tmp_path / "socket"))
            with machine.makefile("rwb") as port:
                for _ in range(2):
                    reply, body = ask(port, url="http://a/S", headers={"X": "S"}, content=b"S")
                    assert (reply["status"], body) == (201, b"S")
                    assert reply["headers"] == {"content-type": "x", "etag": "S"}
                assert ask(port, url="http://broken/")[0]["status"] == 502
        thread.join(10)
    assert asked[0] == "GET http://a/hunter2 {'X': b'hunter2'} b'hunter2'"
    assert len(asked) == 2, "the same request is asked once"
    assert [e.url for e in recorder.exchanges] == ["http://a/S"]
    assert recorder.problem is not None
    assert recorder.crash is None
    # Of each request one line, when it has ended: what came, and what came in all.
    assert told == [
        "GET http://a/S: 7 B (answer 1, 7 B in all)",
        "GET http://broken/: cannot read it",
    ]


def test_what_is_lent_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BodyStore(tmp_path / "bodies", NoNix())  # type: ignore[arg-type]
    lent: Answers = {}
    asked: list[str] = []
    for name in "abc":
        sha256, body, path = store.keep("GET", f"http://h/{name}", name.encode())
        answer = LockedExchange(url=f"http://h/{name}", sha256=sha256)
        lent["GET", answer.url, "", ""] = answer, body
        if name == "b":
            path.write_bytes(b"changed")
        if name == "c":
            path.unlink()

    def answer_of(method: str, url: str, headers: Any, body: bytes, *, report: Any) -> Response:
        asked.append(url)
        return Response(200, {}, b"new")

    monkeypatch.setattr(module, "exchange", answer_of)
    recorder = Recorder(Sources(), store, Secrets(), list[str]().append, lent=lent)
    answers = [recorder._answer(request(f"http://h/{name}"))[1] for name in "abcaa"]
    assert answers == [b"a", b"new", b"new", b"a", b"a"]
    assert asked == ["http://h/b", "http://h/c"]
    assert [exchange.url for exchange in recorder.exchanges] == [f"http://h/{n}" for n in "abc"]
    assert recorder.has_lent
    assert {exchange.sha256 for exchange in recorder.exchanges} == recorder.bodies.keys()


def request(url: str) -> Request:
    return Request("GET", url, "", "", {}, b"")


def test_the_host_itself_is_not_the_network() -> None:
    with pytest.raises(FetchError, match="is refused"):
        exchange("GET", "http://localhost/", {}, b"")
    with pytest.raises(FetchError, match="is refused"):
        exchange("GET", "http://169.254.169.254/latest", {}, b"")
    with pytest.raises(FetchError, match="cannot ask"):
        exchange("GET", "file:///etc/passwd", {}, b"")
