"""On the packages that `vcr lock --suggest` writes, a server answers as from its image."""

import socket
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.nix, pytest.mark.vm, pytest.mark.limit(900)]


@pytest.mark.parametrize(
    ("image", "asked", "answer"),
    [
        ("memcached", b"version\r\n", b"VERSION "),
        ("redis", b"PING\r\n", b"+PONG"),
    ],
)
def test_a_server_answers(
    vcr: Any, tmp_path: Path, image: str, asked: bytes, answer: bytes
) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "Dockerfile").write_text(f"FROM {image}\n")
    vcr("lock", "--suggest", app)
    tried = vcr.attempt("lock", app)
    if tried.returncode == 7:
        pytest.skip(f"needs Debian's indexes: {tried.stderr[-500:]}")
    assert tried.returncode == 0, tried.stderr
    port = vcr.json("up", "--profile", "dev", app)["forwards"][0]["host"]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(asked)
        assert answer in connection.recv(4096)
