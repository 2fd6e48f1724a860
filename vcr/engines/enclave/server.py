"""Runs an emulated enclave on ports of this host, until it is stopped.

FILE is JSON: what emulated.Setup has, `scratch`, `console`, `log`, `agent` (socket),
`forwards` ([address, host port, guest port]). On the socket it answers as guest/agent does, and

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

from vcr.agent.server import UNKNOWN, parse_order
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
            try:
                answer = self._answer(line.decode("utf-8", "replace"))
            except (VcrError, ValueError) as error:
                answer = f"error {error}"
            # What the enclave says is on one line, whatever it says.
            self.wfile.write(" ".join(answer.splitlines()).encode("utf-8", "replace") + b"\n")

    def _answer(self, line: str) -> str:
        enclave = self.enclave
        if enclave is None:
            return "error it starts"
        match parse_order(line):
            case "ping", _:
                if not self.served:  # asking takes an emulated enclave longer than a ping may
                    enclave.attest()
                    type(self).served = True
                return "pong"
            case "state", _:
                return "running"
            case "health", seconds:
                code, output = enclave.health(seconds)
                return f"health {code} {_text(output)}"
            case "stop", _:
                self.stopping.set()  # nobody waits for an enclave: it keeps nothing
                return "stopping"
        return self._answer_of_enclaves(enclave, line.split())

    def _answer_of_enclaves(self, enclave: Emulation, words: list[str]) -> str:
        match words:
            case ["attest", nonce, user_data]:
                given = {"nonce": _bytes(nonce), "user_data": _bytes(user_data)}
                return f"attested {_text(enclave.attest(**given))}"
            case ["facts"]:
                return f"facts {enclave.facts()}"
            case ["root"]:
                return f"root {_text(enclave.nsm.root)}"
        return UNKNOWN


class _Sockets(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main(path: str) -> None:
    """Serve until asked to stop, or until the enclave ends."""
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
    console, log = Path(job["console"]), Path(job["log"])
    with Emulation(setup, Path(job["scratch"]), console, log=log) as enclave:
        for address, host, guest in job["forwards"]:
            enclave.forward(address, host, guest)
        agent.enclave = enclave
        while enclave.is_running and not stopping.wait(POLL_SECONDS):
            pass


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode() or "-"


def _bytes(text: str) -> bytes | None:
    return None if text == "-" else base64.b64decode(text, validate=True)
