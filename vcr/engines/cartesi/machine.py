"""A machine that continues from a sealed snapshot, on the Cartesi emulator."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr import process
from vcr.agent.client import Agent
from vcr.engines.machine import Channels, Forward, refuse_datagrams
from vcr.engines.python_child import python_child
from vcr.engines.sealed import check_machine, unpack
from vcr.errors import MismatchError, UnhealthyError
from vcr.model.health import HealthCheck
from vcr.sandbox.cartesi import (
    CONSOLE,
    DESCRIPTION,
    STORED,
    VERIFY,
    Emulator,
    environment,
    lua,
)

DRIVER = Path(__file__).with_name("driver.lua")
SESSION_LOG = "session.log"
JOB = "serve.json"
START_SECONDS = 30.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class CartesiMachine:
    """What nix/stages/prod.nix describes for this engine."""

    name: str
    drive: Path
    verity: Path
    unsquashfs: Path
    tools: Path  # the toolset with Lua
    libraries: Path  # the directory of its shared libraries
    emulator: Path  # the unpacked package
    ports: tuple[int, ...]
    health: HealthCheck | None
    udp_ports: tuple[int, ...] = ()

    @classmethod
    def of(cls, data: dict[str, Any]) -> "CartesiMachine":
        """Make it of what `read_vm` returns."""
        paths = ("drive", "verity", "unsquashfs", "tools", "libraries", "emulator")
        return cls(**{**data, **{key: Path(data[key]) for key in paths}})

    @property
    def interpreter(self) -> str:
        """Return the interpreter."""
        return lua(self._emulator)

    @property
    def _emulator(self) -> Emulator:
        return Emulator(self.emulator, self.tools, self.libraries)

    def prepare(self, channels: Channels) -> None:
        """Check the drive, unpack it, and have the emulator compute the machine's hash again."""
        wanted = (STORED, DESCRIPTION, CONSOLE)
        sealed = unpack(self.drive, self.verity, self.unsquashfs, wanted, channels.scratch)
        # A Cartesi machine has one console: the app's log is on it.
        channels.log.write_bytes((channels.scratch / CONSOLE).read_bytes())
        made = json.loads((channels.scratch / DESCRIPTION).read_bytes())
        check_machine(sealed, made["root_hash"])
        argv = [self.interpreter, "-", str(channels.scratch / STORED)]
        checked = process.run(argv, env=environment(self._emulator), stdin=VERIFY.encode(), ok=None)
        if checked.returncode:
            raise MismatchError("the stored machine does not have the hash that it claims")

    def command_line(self, forwards: Sequence[Forward], channels: Channels) -> list[str]:
        """Return the argv of the server, whose description it writes; raises UsageError."""
        refuse_datagrams(forwards, "into a Cartesi machine")
        job = {
            "driver": [
                *(self.interpreter, str(DRIVER)),
                *(str(channels.scratch / STORED), str(channels.log)),
            ],
            "env": environment(self._emulator),
            "log": str(channels.log.with_name(SESSION_LOG)),
            "agent": str(channels.agent),
            "forwards": [(f.address, f.host, f.guest) for f in forwards],
        }
        path = channels.scratch / JOB
        path.write_text(json.dumps(job), encoding="utf-8")
        return python_child("vcr.engines.cartesi.server", str(path))

    def begin(self, channels: Channels) -> None:
        """Wait until the machine answers; it has been given time and entropy by then."""
        deadline = time.monotonic() + START_SECONDS
        agent = Agent(channels.agent)
        while not agent.is_up():
            if time.monotonic() > deadline:
                raise UnhealthyError("the machine does not continue")
            time.sleep(POLL_SECONDS)
