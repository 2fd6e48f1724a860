"""A machine that continues from a sealed snapshot inside an emulated enclave."""

import base64
import json
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vcr.agent.client import Agent, NoAnswerError
from vcr.diagnosis.facts import last_facts, without_facts
from vcr.diagnosis.words import Cause, Situation, cause_of
from vcr.engines.enclave.emulated import START_SECONDS, TAIL_LINES, Setup
from vcr.engines.enclave.image import read_image
from vcr.engines.logs import last_lines
from vcr.engines.machine import Channels, Forward, refuse_datagrams
from vcr.engines.python_child import python_child
from vcr.errors import MismatchError, UnhealthyError, UsageError
from vcr.formats.hashes.verity import Verity
from vcr.model.health import HealthCheck
from vcr.sandbox.enclave import parameters

JOB = "enclave.json"
ROOT = "root.pem"  # beside the console: the certificate of this run's security module
SLOWER = 20  # times that an emulator in an emulator takes, at least
FIRST_SECONDS = 60.0  # for the server to answer at all, on a busy host
END_SECONDS = 5.0  # for one that does not answer any more
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class EnclaveMachine:
    """What nix/stages/emulation.nix describes."""

    name: str
    image: Path
    drive: Path
    verity: Path
    nbdkit: Path
    qemu: Path
    qemu_data: Path
    ports: tuple[int, ...]
    health: HealthCheck | None
    udp_ports: tuple[int, ...] = ()

    @classmethod
    def of(cls, data: dict[str, Any]) -> "EnclaveMachine":
        """Make it of what `read_vm` returns."""
        paths = ("image", "drive", "verity", "nbdkit", "qemu", "qemu_data")
        slow = _slower(data["health"])
        return cls(**{**data, **{key: Path(data[key]) for key in paths}, "health": slow})

    @property
    def setup(self) -> Setup:
        """Return what the emulation is started from."""
        return Setup(self.image, self.drive, self.nbdkit, self.qemu, self.qemu_data)

    def prepare(self, channels: Channels) -> None:
        """Check that the image is whole and for this drive; the enclave checks the drive."""
        expected = parameters(Verity.of(json.loads(self.verity.read_bytes())))
        if read_image(self.image).ramdisks[1:] != (expected,):
            raise MismatchError(
                "the enclave image is for another drive", fix="build both again: `vcr build`"
            )
        channels.scratch.mkdir(parents=True, exist_ok=True)

    def command_line(self, forwards: Sequence[Forward], channels: Channels) -> list[str]:
        """Return the argv of the server, whose description it writes; raises UsageError."""
        refuse_datagrams(forwards, "into an enclave")
        for forward in forwards:
            if forward.guest not in self.ports:
                raise UsageError(
                    f"the app does not expose port {forward.guest}",
                    why="the parent of an enclave can reach only exposed ports",
                    fix=f"add `EXPOSE {forward.guest}` to the Dockerfile, or [machine] ports",
                )
        job = {
            **{name: str(getattr(self, name)) for name in
               ("image", "drive", "nbdkit", "qemu", "qemu_data")},
            # Sockets are in there, so its path is short.
            "scratch": str(channels.agent.parent),
            "console": str(channels.console),
            "log": str(channels.log),
            "agent": str(channels.agent),
            "forwards": [(f.address, f.host, f.guest) for f in forwards],
        }  # fmt: skip
        path = channels.scratch / JOB
        path.write_text(json.dumps(job), encoding="utf-8")
        return python_child("vcr.engines.enclave.server", str(path))

    def begin(self, channels: Channels) -> None:
        """Wait until the enclave serves, and keep the root of its run; raises UnhealthyError."""
        agent = Agent(channels.agent)
        now = time.monotonic()
        deadline, patience = now + START_SECONDS, now + FIRST_SECONDS
        while time.monotonic() < deadline:
            try:
                if agent.ask("ping", START_SECONDS) == "pong":
                    _keep_root(agent.ask("root", FIRST_SECONDS), channels)
                    return
                patience = time.monotonic() + END_SECONDS
            except NoAnswerError:
                if channels.agent.exists():  # nobody listens there any more
                    patience = min(patience, time.monotonic() + END_SECONDS)
                if time.monotonic() > patience:
                    break
            time.sleep(POLL_SECONDS)
        raise _does_not_serve(last_lines(channels.console), last_lines(channels.log))


def _does_not_serve(console: Sequence[str], app: Sequence[str]) -> UnhealthyError:
    """Return the error for an enclave; CONSOLE and APP are the last lines of its two logs."""
    said = [line.strip() for line in console if line.strip()]
    log = [line.rstrip() for line in app if line.strip()][-TAIL_LINES:]
    lines = without_facts(said)
    words = [line.removeprefix("vcr: ") for line in lines if "vcr: " in line]
    cause = Cause(words[-1] if words else "it did not say why", "")
    if facts := last_facts(said):
        cause = cause_of(facts, Situation(log=log))
    return UnhealthyError(
        "the enclave does not serve",
        why=cause.why,
        fix=cause.fix,
        tail=[*lines[-TAIL_LINES:], *(f"app: {line}" for line in log)],
    )


def root_of_run(channels: Channels) -> Path:
    """Return the file with the certificate that documents of the enclave here lead to."""
    return channels.console.with_name(ROOT)


def _keep_root(answer: str, channels: Channels) -> None:
    der = base64.b64decode(answer.removeprefix("root "))
    root_of_run(channels).write_text(ssl.DER_cert_to_PEM_cert(der), encoding="ascii")


def _slower(check: HealthCheck | None) -> HealthCheck | None:
    """Return CHECK with more patience: its times are those of a machine that is not emulated."""
    if check is None:
        return None
    return replace(check, timeout=SLOWER * check.timeout, interval=SLOWER * check.interval)
