"""A machine that continues from a sealed snapshot, on QEMU.

The drive is read whole and compared with its root hash before anything of it is used: a copy
that has no name, so that what was checked is what is used. What is taken from it is compared
with the machine hash while QEMU starts, before QEMU is given the machine's state. Memory is
mapped privately, so the snapshot stays as it is however often it is started; its file loses
its name when QEMU has it open.
"""

import base64
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vcr.agent.client import Agent, NoAnswerError
from vcr.engines.machine import Channels, Forward
from vcr.engines.qemu.network import RELAY_BACKEND, connected
from vcr.engines.sealed import check_machine, unpack
from vcr.errors import UnhealthyError, VcrError
from vcr.formats.failure import Failure
from vcr.formats.hashes.merkle import machine_hash
from vcr.formats.qmp import Monitor
from vcr.model.health import HealthCheck
from vcr.sandbox.hardware import CONSOLE, DESCRIPTION, LOG, RAM, STATE, Prod, Sockets, restored

ENTROPY_BYTES = 64
RESUME_SECONDS = 30.0
POLL_SECONDS = 0.05
TOLD = 200  # characters of what a machine says, that are shown


@dataclass(frozen=True)
class SnapshotMachine:
    """What nix/stages/prod.nix describes."""

    name: str
    qemu: Path
    qemu_data: Path
    drive: Path
    verity: Path
    unsquashfs: Path
    ports: tuple[int, ...]
    health: HealthCheck | None
    debug: bool = False  # it has a port for commands
    symbols: str = ""  # where those of the kernel are, for whoever looks into the machine
    passt: str = ""  # the network's other end, "" in what an older vcr has built
    udp_ports: tuple[int, ...] = ()
    # what was unpacked: the hash that was sealed, and the one that is computed
    _hashed: dict[Path, tuple[str, Future[str]]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, data: dict[str, Any]) -> "SnapshotMachine":
        """Make it of what `read_vm` returns."""
        paths = ("qemu", "qemu_data", "drive", "verity", "unsquashfs")
        return cls(**{**data, **{key: Path(data[key]) for key in paths}})

    def prepare(self, channels: Channels) -> None:
        """Check the drive, unpack it, and begin to hash what it has.

        Raises MismatchError when one byte of the drive differs.
        """
        wanted = (RAM, STATE, DESCRIPTION, CONSOLE, LOG)
        sealed = unpack(self.drive, self.verity, self.unsquashfs, wanted, channels.scratch)
        pool = ThreadPoolExecutor(1, "hash")
        # In the context of this thread, which shows how far the hashing is.
        found = pool.submit(copy_context().run, machine_hash, channels.scratch)
        self._hashed[channels.scratch] = sealed, found
        pool.shutdown(wait=False)
        for name, target in ((CONSOLE, channels.console), (LOG, channels.log)):
            target.write_bytes((channels.scratch / name).read_bytes())

    def command_line(self, forwards: Sequence[Forward], channels: Channels) -> list[str]:
        """Return the argv that waits for the snapshot's state."""
        return connected(self.passt, forwards, channels, lambda net: self.qemu_argv(net, channels))

    def qemu_argv(self, network: str, channels: Channels) -> list[str]:
        """Return the argv of QEMU with NETWORK, the backend of its card."""
        made = json.loads((channels.scratch / DESCRIPTION).read_bytes())
        machine = Prod.of(str(self.qemu), str(self.qemu_data), made["memory_mib"], made["epoch"])
        return restored(
            machine,
            channels.scratch / RAM,
            channels.console,
            channels.log,
            Sockets(
                channels.agent,
                channels.monitor,
                debug=channels.debug if self.debug else None,
                relay=RELAY_BACKEND,
            ),
            network,
        )

    def begin(self, channels: Channels) -> None:
        """Load the state; give the machine the time and entropy, and only then a network.

        Raises MismatchError, before that, for another machine than the one that was sealed.
        """
        sealed, found = self._hashed.pop(channels.scratch)
        try:
            check_machine(sealed, found.result())
            with Monitor(channels.monitor) as monitor:
                monitor.load_state(channels.scratch / STATE)
        except Failure as failure:
            raise VcrError(failure.report["what"], why=failure.report["why"]) from None
        for name in (RAM, STATE):  # QEMU has it open: from here on it has no name to change it by
            (channels.scratch / name).unlink()
        seed = base64.b64encode(os.urandom(ENTROPY_BYTES)).decode()
        deadline = time.monotonic() + RESUME_SECONDS
        agent = Agent(channels.agent)
        while True:
            try:
                answer = agent.ask(f"resume {int(time.time())} {seed}", RESUME_SECONDS)
                break
            except NoAnswerError as error:
                if time.monotonic() > deadline:
                    raise UnhealthyError("the machine does not continue", why=str(error)) from None
                time.sleep(POLL_SECONDS)
        if answer != "resumed":
            raise UnhealthyError(
                "the machine cannot continue", why=answer.removeprefix("error ")[:TOLD]
            )
