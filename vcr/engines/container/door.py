"""The app's door in a container of this host: it is there, and says that there is no enclave.

guest/agent/door.go has the door of machines and the protocol: a line of JSON in, a line out.
What is not a request is refused here as it is there: tests/vectors/door.json tries both.
"""

import base64
import json
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from vcr.engines.container.bundle import Bind
from vcr.foreign import load_json
from vcr.sandbox.linuxkit import AWAKE, DOOR, DOOR_SOCKET

NO_ENCLAVE = (
    "there is no enclave around this machine, so nobody signs a document: "
    "the profile prod has one, with vcr up --enclave or on Nitro"
)
MAX_LINE = 1024  # bytes of a request
TOO_LONG = f"a request has at most {MAX_LINE} bytes"
FIELDS = {"user_data", "nonce"}
MAX_DATA = 64  # bytes of each
MAX_CLIENTS = 16
IDLE_SECONDS = 60.0  # that a client may say nothing


def door_bind(scratch: Path) -> Bind:
    """Return how a container sees the door in SCRATCH."""
    return Bind(scratch / "door", DOOR, read_only=True)


def lay_out_door(scratch: Path) -> None:
    """Make the directory of the door in SCRATCH; raises OSError."""
    directory = scratch / "door"
    directory.mkdir(mode=0o755)
    (directory / AWAKE).touch()  # it has no snapshot to go on from
    # Whatever the umask: any user of the container may ask.
    (directory / AWAKE).chmod(0o444)
    directory.chmod(0o755)


def listen_door(scratch: Path) -> socket.socket:
    """Return a socket that listens at the door in SCRATCH; raises OSError."""
    listener = socket.socket(socket.AF_UNIX)
    # By a short name: the path may be longer than a socket's may be.
    handle = os.open(scratch / "door", os.O_PATH | os.O_DIRECTORY)
    try:
        path = f"/proc/self/fd/{handle}/{DOOR_SOCKET}"
        listener.bind(path)
        os.chmod(path, 0o666)  # noqa: S103, PTH101 -- for any user of the container
    finally:
        os.close(handle)
    listener.listen()
    return listener


def serve_door(listener: socket.socket) -> None:
    """Answer on LISTENER in threads that end with the process."""
    for _ in range(MAX_CLIENTS):
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()


def _accept(listener: socket.socket) -> None:
    while True:
        client, _ = listener.accept()
        client.settimeout(IDLE_SECONDS)
        with suppress(OSError), client, client.makefile("rb") as lines:
            _answer(client, lines)


def _answer(client: socket.socket, lines: IO[bytes]) -> None:
    """Answer each of LINES until CLIENT has enough, or until one is too long."""
    while line := lines.readline(MAX_LINE):
        is_whole = line.endswith(b"\n")
        if not is_whole and len(line) < MAX_LINE:
            return
        error = refusal(line) if is_whole else TOO_LONG
        client.sendall(json.dumps({"error": error}).encode() + b"\n")
        if not is_whole:
            return


def refusal(line: bytes) -> str:
    """Return why there is no document for the request that LINE is."""
    try:
        given = _given(load_json(line))
    except ValueError as error:
        return f"the request is not understood: {error}"
    if any(len(data) > MAX_DATA for data in given):
        return f"user_data and nonce have at most {MAX_DATA} bytes"
    return NO_ENCLAVE


def _given(request: object) -> list[bytes]:
    """Return what REQUEST has in base64; raises ValueError for anything else."""
    if not isinstance(request, dict) or request.keys() - FIELDS:
        raise ValueError("it has other fields than user_data and nonce, or is not an object")
    if not all(isinstance(text, str | None) for text in request.values()):
        raise ValueError("bytes are in base64")
    return [base64.b64decode(text or "", validate=True) for text in request.values()]
