"""Runs an emulated enclave on ports of this host, until told to stop.

FILE is JSON: what emulated.Setup has, `scratch`, `console`, `agent` (socket), `forwards`
([address, host port, guest port]). On the socket it answers as guest/agent does, and

    attest NONCE USER_DATA      attested DOCUMENT; all base64, `-` for none
    root                        root CERTIFICATE; base64, of this run's software NSM
"""

import base64
import json
import os
import socketserver
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from vcr.engines.enclave.emulated import Emulation, Setup
from vcr.errors import VcrError

PATHS = ("image", "drive", "nbdkit", "qemu", "qemu_data")
POLL_SECONDS = 0.5


class _Agent(socketserver.StreamRequestHandler):
    """Answers lines about the enclave."""

    enclave: ClassVar[Emulation | None] = None  # until it was started
    served: ClassVar[bool] = False
    stopping: ClassVar[threading.Event]

    def handle(self) -> None:
        """Answer until the other side has enough."""
        for line in self.rfile:
            words = line.decode("utf-8", "replace").split()
            try:
                answer = self._answer(words)
            except (VcrError, ValueError) as error:
                answer = f"error {error}"
            self.wfile.write(f"{answer}\n".encode())

    def _answer(self, words: list[str]) -> str:
        enclave = self.enclave
        if enclave is None:
            return "error it starts"
        match words:
            case ["ping"]:
                if not self.served:  # asking takes an emulated enclave longer than a ping may
                    enclave.attest()
                    type(self).served = True
                answer = "pong"
            case ["state"]:
                answer = "running"
            case ["health", seconds]:
                code, output = enclave.health(int(seconds))
                answer = f"health {code} {_text(output)}"
            case ["stop", _]:
                self.stopping.set()  # nobody waits for an enclave: it keeps nothing
                answer = "stopping"
            case ["attest", nonce, user_data]:
                given = {"nonce": _bytes(nonce), "user_data": _bytes(user_data)}
                answer = f"attested {_text(enclave.attest(**given))}"
            case ["root"]:
                answer = f"root {_text(enclave.nsm.root)}"
            case _:
                answer = "error unknown request"
        return answer


class _Sockets(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main(path: str) -> None:
    """Serve until told to stop, or until the enclave ends."""
    job: dict[str, Any] = json.loads(Path(path).read_bytes())
    stopping = threading.Event()
    agent = type("Agent", (_Agent,), {"stopping": stopping})
    # First of all, so that whoever waits can tell a slow start from an end.
    server = _Sockets(job["agent"], agent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        _serve(job, agent, stopping)
    except VcrError as error:
        with Path(job["console"]).open("a", encoding="utf-8") as console:
            console.write(f"vcr: {error.what} {error.why}\n")
    time.sleep(POLL_SECONDS)  # for the last answer
    os._exit(0 if stopping.is_set() else 1)


def _serve(job: dict[str, Any], agent: type[_Agent], stopping: threading.Event) -> None:
    setup = Setup(**{name: Path(job[name]) for name in PATHS})
    with Emulation(setup, Path(job["scratch"]), Path(job["console"])) as enclave:
        for address, host, guest in job["forwards"]:
            enclave.forward(address, host, guest)
        agent.enclave = enclave
        while enclave.is_running and not stopping.wait(POLL_SECONDS):
            pass


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode() or "-"


def _bytes(text: str) -> bytes | None:
    return None if text == "-" else base64.b64decode(text, validate=True)
