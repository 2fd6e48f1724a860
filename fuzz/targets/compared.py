"""Readers of what somebody else built, to compare it; certificates; what servers answer."""

import gzip
import io
import json
import lzma
import socket
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fuzz.target import Target
from fuzz.targets.images import _blobs, _layout
from fuzz.targets.machines import _states
from fuzz.targets.proofs import MODULE
from vcr.attest.checks.rejected import RejectedError
from vcr.attest.nitro import chain
from vcr.formats.migration import PAGE
from vcr.lock.network import connection, web
from vcr.lock.network.connection import Limits
from vcr.lock.network.web import exchange
from vcr.lock.secrets import forms, unpacked
from vcr.lock.secrets.forms import plain
from vcr.lock.secrets.unpacked import UnreadableError, bounded, decoded, members
from vcr.model.digest import Digest
from vcr.model.ladder import Rung
from vcr.verify import archives, explain, material, memory
from vcr.verify.material import Material

ZEROS = Digest("sha256:" + "0" * 64)


def read_image(data: bytes, place: Path) -> None:
    """Explain how an image differs from another one."""
    rungs = []
    for name, blobs in (("a", data), ("b", next(_blobs()))):
        layout = _layout(blobs, place / name)
        digest = _digest_of_first(layout.root)
        rungs.append(Rung("image", ZEROS, 0, layout.root / "blobs/sha256" / digest))
    if all(rung.path.is_file() for rung in rungs):
        explain.explain(*rungs, within=_within(place))


def _within(place: Path) -> tuple[Material, Material]:
    material = Material.of(place / "ladder.json")
    return material, material


def _digest_of_first(root: Path) -> str:
    with suppress(ValueError, KeyError, TypeError, IndexError, RecursionError):
        row = json.loads((root / "index.json").read_bytes())["manifests"][0]
        return Digest(row["digest"]).hex
    return "none"


def read_machine(data: bytes, place: Path) -> None:
    """Explain how a machine differs from another one: machine.json, memory, state."""
    told, _, rest = data.partition(b"\n")
    ram, state = rest[:PAGE], rest[PAGE:]
    for name, parts in (("a", (told, ram, state)), ("b", (b"{}", bytes(PAGE), next(_states())))):
        (place / name).mkdir(exist_ok=True)
        for file, content in zip(("machine.json", "ram", "state"), parts, strict=True):
            (place / name / file).write_bytes(content)
    rungs = [Rung("snapshot", ZEROS, 0, place / name / "machine.json") for name in "ab"]
    explain.explain(*rungs, within=_within(place))


def _machines() -> Iterator[bytes]:
    for state in _states():
        yield b'{"instructions": 1, "a": {"b": 2}}\n' + b"1" * PAGE + state


def read_certificate(data: bytes, _place: Path) -> None:
    """Read a certificate, and check it as a document's."""
    certificate = chain._read(0, data)
    chain.public_key(certificate)
    for below in (0, 1):
        with suppress(RejectedError):
            chain._check_constraints(0, certificate, below=below)
    with suppress(RejectedError):
        chain._check_issuer(0, certificate, certificate)


def read_packed(data: bytes, _place: Path) -> None:
    """Look for what is packed in a body, and unpack what a server says is packed."""
    coding, _, body = data.partition(b"\0")
    for pieces in (decoded(iter([body]), coding.decode("latin-1")), *members(body)):
        with suppress(UnreadableError):
            for piece in bounded(pieces, 8 << 20):
                plain(piece[:4096])


def _packed() -> Iterator[bytes]:
    text = b"a%20b&#65;\\u0041" * 20
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", text)
    yield b"gzip\0" + gzip.compress(text, mtime=0)
    yield b"deflate, gzip\0" + gzip.compress(zlib.compress(text), mtime=0)
    yield b"\0" + lzma.compress(text)
    yield b"\0" + buffer.getvalue()
    yield b"gzip\0" + gzip.compress(bytes(64 << 20), mtime=0)[:60000]


QUICK = Limits(connect=1.0, idle=0.05, total=1.0, size=1 << 20)


def read_answer(data: bytes, _place: Path) -> None:
    """Read what a server answers to a request, whatever that is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, data), daemon=True)
        thread.start()
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/a"
            exchange("GET", url, {}, b"", is_mirror=True, limits=QUICK)
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            with client, suppress(OSError):
                client.settimeout(0.5)
                client.recv(1 << 16)
                client.sendall(data)


ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: x\r\n\r\nabc",
    b"HTTP/1.1 302 Found\r\nLocation: /b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
)

TARGETS = (
    Target("explain-image", read_image, _blobs, "json", modules=(explain, archives, material)),
    Target("explain-machine", read_machine, _machines, modules=(explain, memory)),
    Target("certificate", read_certificate, lambda: MODULE._chain, modules=(chain,)),
    Target("packed", read_packed, _packed, modules=(unpacked, forms), may_raise=(UnreadableError,)),
    Target("answer", read_answer, lambda: ANSWERS, "text", modules=(web, connection)),
)
