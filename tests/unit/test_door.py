"""The app's door in a container of this host, asked over its socket."""

import json
import os
import socket
from pathlib import Path

import pytest

from vcr.engines.container.bundle import Bind
from vcr.engines.container.door import (
    MAX_CLIENTS,
    MAX_LINE,
    NO_ENCLAVE,
    TOO_LONG,
    door_bind,
    lay_out_door,
    listen_door,
    serve_door,
)


@pytest.fixture
def door(tmp_path: Path) -> Path:
    """A door whose path is longer than one of a socket may be."""
    scratch = tmp_path / ("long" * 30)
    scratch.mkdir(mode=0o700)
    before = os.umask(0o077)
    lay_out_door(scratch)
    serve_door(listen_door(scratch))
    os.umask(before)
    return scratch / "door"


def connect(door: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    handle = os.open(door, os.O_PATH)
    client.connect(f"/proc/self/fd/{handle}/attest.sock")
    os.close(handle)
    return client


def test_it_says_that_there_is_no_enclave(door: Path) -> None:
    with connect(door) as client, client.makefile("rb") as lines:
        for request in (b'{"user_data": "a2V5", "nonce": "bg=="}', b"{}"):
            client.sendall(request + b"\n")
            assert json.loads(lines.readline()) == {"error": NO_ENCLAVE}
        client.sendall(b"x\n")
        assert "not understood" in json.loads(lines.readline())["error"]


def test_a_line_without_end_ends_the_connection(door: Path) -> None:
    with connect(door) as client, client.makefile("rb") as lines:
        client.sendall(b"x" * MAX_LINE)
        assert json.loads(lines.readline()) == {"error": TOO_LONG}
        assert lines.readline() == b""


def test_those_who_say_nothing_hold_up_so_many_only(door: Path) -> None:
    silent = [connect(door) for _ in range(MAX_CLIENTS - 1)]
    test_it_says_that_there_is_no_enclave(door)
    for client in silent:
        client.close()


def test_any_user_may_ask_and_none_may_put_something_else_there(door: Path) -> None:
    assert (door.stat().st_mode & 0o777, (door / "attest.sock").stat().st_mode & 0o777) == (
        0o755,
        0o666,
    )
    assert (door / "awake").stat().st_mode & 0o777 == 0o444
    assert door_bind(door.parent) == Bind(door, "/run/vcr", read_only=True)
