"""The messages between an enclave and its parent: see docs/enclave.md.

guest/loader has the other end. The parent's side is the same on Nitro and emulated; only
how a connection comes about differs, which is what the caller gives.
"""

import base64
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from vcr.diagnosis.facts import MAX_FACTS
from vcr.errors import VcrError
from vcr.foreign import load_json

HEARTBEAT_PORT, NSM_PORT, CONTROL_PORT, APP_PORT, DRIVE_PORT = 9000, 9001, 9002, 9003, 10809
HEARTBEAT = b"\xb7"
MAX_NSM_REQUEST = 0x1000  # bytes, as of /dev/nsm
POLL_SECONDS = 0.1
ANSWER_SECONDS = 300.0  # emulated, it takes its time
MAX_ANSWER = 64 << 10  # bytes of an answer's line
CHUNK = 16 << 10

type Connect = Callable[[int], socket.socket]


class NotServingError(VcrError):
    """The enclave does not answer: it is not that far, or it has ended."""


def attest(connect: Connect, *, nonce: bytes | None, user_data: bytes | None) -> bytes:
    """Return an attestation document, COSE_Sign1, of the parent's domain (vcr/attest/domains.py).

    Each of the two has at most 64 bytes. Raises NotServingError, VcrError.
    """
    given = {"nonce": nonce, "user_data": user_data}
    fields = {k: base64.b64encode(v).decode() for k, v in given.items() if v is not None}
    return _bytes(_ask(connect, {"attest": fields}, ANSWER_SECONDS).get("document"))


def serves_within(seconds: float, connect: Connect, is_running: Callable[[], bool]) -> bool:
    """Wait until the enclave attests, and return whether it does; False once it is not running."""
    deadline = time.monotonic() + seconds
    while is_running() and time.monotonic() < deadline:
        with suppress(NotServingError):
            attest(connect, nonce=None, user_data=None)
            return True
        time.sleep(POLL_SECONDS)
    return False


def health(connect: Connect, seconds: int) -> tuple[int, bytes]:
    """Return exit code and output of the app's health command; raises as `attest`."""
    request = {"health": {"seconds": seconds}}
    answer = _ask(connect, request, seconds + ANSWER_SECONDS)
    code = answer.get("code")
    if type(code) is not int:
        raise _strange(f"code is {code!r}")
    return code, _bytes(answer.get("output", ""))


def facts(connect: Connect) -> str:
    """Return what the enclave's machine sees of the app, a line of JSON; raises as `attest`."""
    line = _ask(connect, {"facts": {}}, ANSWER_SECONDS).get("facts")
    if not isinstance(line, str) or "\n" in line or len(line) > MAX_FACTS:
        raise _strange(f"facts are {str(line)[:100]!r}")
    return line


def app_preface(port: int) -> bytes:
    """Return what is said first on APP_PORT to reach PORT of the app."""
    return port.to_bytes(2, "big")


def serve_nsm(connection: socket.socket, handle: Callable[[bytes], bytes]) -> None:
    """Answer requests, each with its length in four bytes ahead, until CONNECTION ends."""
    with connection, connection.makefile("rwb") as stream:
        while len(head := stream.read(4)) == 4:
            length = int.from_bytes(head, "big")
            if length > MAX_NSM_REQUEST:
                return
            answer = handle(stream.read(length))
            stream.write(len(answer).to_bytes(4, "big") + answer)
            stream.flush()


def _bytes(text: object) -> bytes:
    """Read base64; raises VcrError."""
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise _strange(error) from None
    raise _strange("bytes are missing")


def _ask(connect: Connect, request: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Return the answer; whoever answers may be an enclave of somebody else."""
    deadline = time.monotonic() + timeout
    try:
        with connect(CONTROL_PORT) as connection:
            connection.settimeout(timeout)
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = _line(connection, deadline)
    except OSError as error:
        raise NotServingError("the enclave does not answer", why=str(error)) from None
    if not line.endswith(b"\n"):
        raise NotServingError("the enclave does not answer", why="it closed the connection")
    try:
        answer = dict(load_json(line))
    except (ValueError, TypeError) as error:
        raise _strange(error) from None
    if answer.get("error"):
        raise VcrError("the enclave refuses", why=str(answer["error"]))
    return answer


def _line(connection: socket.socket, deadline: float) -> bytes:
    """Return a line, or what came before CONNECTION ended; raises OSError, VcrError.

    However it comes, byte by byte too, it has come by the DEADLINE (time.monotonic).
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        connection.settimeout(max(deadline - time.monotonic(), POLL_SECONDS))
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")
        data = connection.recv(CHUNK)
        line += data
        if len(line) > MAX_ANSWER:
            raise _strange(f"a line of more than {MAX_ANSWER} bytes")
        if not data:
            break
    return bytes(line)


def _strange(why: object) -> VcrError:
    return VcrError("the enclave's answer is not valid", why=str(why))
