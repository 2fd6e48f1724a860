"""The gallery: reads what each app of examples/gallery is expected to answer, and asks it.

The first line of an app's vcr.toml is its expectation, `# expect: HOW WHAT => WORDS`. HOW is

    get PATH               an HTTP request, whose body has WORDS
    post PATH BODY         the same, with a body
    stream PATH            an HTTP answer that does not end: it is read until WORDS come
    websocket PATH TEXT    sends TEXT, and reads messages until WORDS come
    tcp LINE               sends a line, and reads until WORDS come
    exec COMMAND           runs COMMAND in the app, which prints WORDS
    log                    the app itself prints WORDS
"""

import base64
import os
import re
import shlex
import socket
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GALLERY = Path(__file__).resolve().parents[1] / "examples" / "gallery"
SECONDS = 60  # until WORDS have come, in a machine that is emulated on a busy host
_EXPECTATION = re.compile(r"# expect: (\w+) ?(.*) => (.+)\n")
# What runs a verb of vcr on the app, such as ("logs",) or ("exec", "--", "true"): what it prints.
Verb = Callable[..., str]


@dataclass(frozen=True)
class Expectation:
    """What an app is asked, and the words that its answer has."""

    how: str
    what: str
    words: str


def expectation_of(app: Path) -> Expectation:
    """Return what the app in the directory APP is expected to answer; ValueError if it has none."""
    first = _EXPECTATION.match((app / "vcr.toml").read_text())
    if first is None:
        raise ValueError(f"{app}/vcr.toml does not begin with `# expect: HOW WHAT => WORDS`")
    return Expectation(*first.groups())


def apps() -> list[str]:
    """Return the names of all apps of the gallery, in order."""
    return sorted(path.parent.name for path in GALLERY.glob("*/Dockerfile"))


def answer(expected: Expectation, port: int | None, verb: Verb) -> str:
    """Ask the app that is at PORT of this host, and return what it answers.

    VERB runs a verb of vcr on it. TimeoutError if the words do not come.
    """
    if expected.how in {"get", "post"}:
        return http(expected, port or 0)
    if expected.how == "exec":
        return verb("exec", "--", *shlex.split(expected.what))
    if expected.how == "log":
        return until(expected.words, lambda: verb("logs"))
    with socket.create_connection(("127.0.0.1", port or 0), timeout=SECONDS) as connection:
        connection.sendall(request(expected))
        text = ""
        while expected.words not in text and (more := connection.recv(65536)):
            text += more.decode(errors="replace")
        return text


def http(expected: Expectation, port: int) -> str:
    """Return the body of an HTTP answer, or of an error."""
    path, _, body = expected.what.partition(" ")
    url = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(url, body.encode() or None, timeout=SECONDS) as reply:
        return str(reply.read().decode())


def until(words: str, read: Callable[[], str]) -> str:
    """Return what READ returns once it has WORDS; TimeoutError if that takes too long."""
    end = time.monotonic() + SECONDS
    while words not in (text := read()):
        if time.monotonic() > end:
            raise TimeoutError(f"{words!r} is not in {text!r}")
        time.sleep(0.5)
    return text


def request(expected: Expectation) -> bytes:
    """Return what is sent to the app that answers with a stream."""
    if expected.how == "tcp":
        return expected.what.encode() + b"\r\n"
    path, _, text = expected.what.partition(" ")
    lines = [f"GET {path} HTTP/1.1", "Host: gallery"]
    if expected.how == "stream":
        return "\r\n".join([*lines, "", ""]).encode()
    key = base64.b64encode(os.urandom(16)).decode()
    lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    head = "\r\n".join([*lines, f"Sec-WebSocket-Key: {key}", "", ""]).encode()
    # RFC 6455, 5.2: a whole text message, masked with four zeros, of less than 126 bytes.
    return head + bytes([0x81, 0x80 | len(text)]) + bytes(4) + text.encode()
