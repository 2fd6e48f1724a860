"""The process that a dev container lives in: started by vcr, ends with the container.

It listens on this host's ports, makes the namespaces, and in them runs crun, passes
connections on to the app, and answers the protocol of guest/agent on a socket. All of it
ends when this process ends, however that happens: the first process of the inner process
namespace dies with it, and the kernel then kills the rest.
"""

import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr import process
from vcr.engines.answers import Answers, listen_unix
from vcr.engines.namespaces import (
    die_with_parent,
    enter_namespaces,
    enter_network,
    mount_root,
    mount_system,
    trying,
)
from vcr.engines.outside import Outside, has_tun, wait_for_route
from vcr.engines.relay import Relay, listen

APP = "app"
INNER = "inner"  # file in the scratch directory: process ID of what is inside the namespaces


@dataclass(frozen=True)
class Shim:
    """What `ContainerMachine.command_line` tells."""

    crun: Path
    pasta: Path
    scratch: Path
    log: Path
    console: Path
    agent: Path
    forwards: tuple[tuple[str, int, int], ...]
    health: tuple[str, ...]
    stop_signal: str

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Shim":
        """Read what was told."""
        paths = ("crun", "pasta", "scratch", "log", "console", "agent")
        lists = {
            "forwards": tuple((str(a), int(h), int(g)) for a, h, g in told["forwards"]),
            "health": tuple(told["health"]),
        }
        return cls(**{**told, **lists, **{key: Path(told[key]) for key in paths}})

    def say(self, text: str) -> None:
        """Add a line to the console."""
        with self.console.open("a") as file:
            file.write(f"vcr: {text}\n")

    def run(self) -> None:
        """Make the namespaces and wait for the end of what runs in them."""
        with trying(f"listen on {self.forwards}"):
            listeners = [listen(address, host) for address, host, _ in self.forwards]
        asked = listen_unix(self.agent)
        outside = Outside(self.pasta, self.console)
        enter_namespaces(outside.write_maps)
        ready, is_ready = os.pipe()
        inner = os.fork()
        if inner == 0:
            die_with_parent()
            guarded(self.scratch, lambda: self._inside(listeners, asked, is_ready))
            os._exit(0)
        (self.scratch / INNER).write_text(str(inner))
        for one in (*listeners, asked):
            one.close()
        os.close(is_ready)
        if os.read(ready, 1) and has_tun():
            outside.connect_network(inner)
        os.waitpid(inner, 0)
        outside.end()

    def _inside(self, listeners: list[socket.socket], asked: socket.socket, ready: int) -> None:
        """Be the first process of the container's surroundings."""
        enter_network()
        os.write(ready, b"1")
        os.close(ready)
        mount_system()
        layers = [Path(path) for path in json.loads((self.scratch / "layers").read_text())]
        self.say(f"root {mount_root(layers, self.scratch)}")
        if not (has_tun() and wait_for_route()):
            self.say("there is no way out of the container's network")
        with self.log.open("wb") as log:
            app = process.spawn(
                self._crun("run", "--bundle", self.scratch / "bundle", APP),
                output=log,
                die_with_parent=True,
            )
        self.say("start app")
        (self.scratch / "started").touch()
        for listener, (_, _, guest) in zip(listeners, self.forwards, strict=True):
            Relay(listener, lambda port=guest: socket.create_connection(("127.0.0.1", port), 5.0))  # type: ignore[misc]
        Answers(self._crun("exec", APP), self.health, self._stop).serve(asked)
        self.say(f"exit app rc={app.wait()}")

    def _crun(self, *words: str | Path) -> list[str | Path]:
        return crun_argv(self.crun, self.scratch, *words)

    def _stop(self, grace: float) -> None:
        with suppress(OSError):  # it is not there yet, or not any more
            if self._heeds(self.stop_signal):
                process.run(self._crun("kill", APP, self.stop_signal), ok=None)
                time.sleep(grace)
        os._exit(0)  # of the first process of a namespace: the kernel kills all others

    def _heeds(self, name: str) -> bool:
        """Tell whether the app does anything at the signal NAME.

        A container's first process gets those only that it has a handler for:
        pid_namespaces(7).
        """
        state = json.loads((self.scratch / "crun" / APP / "status").read_text())
        rows = Path(f"/proc/{state['pid']}/status").read_text().splitlines()
        handled = next(int(row.split()[1], 16) for row in rows if row.startswith("SigCgt:"))
        number = int(name) if name.isdecimal() else signal.Signals["SIG" + name.removeprefix("SIG")]
        return bool(handled >> (number - 1) & 1)


def crun_argv(crun: Path, scratch: Path, *words: str | Path) -> list[str | Path]:
    """Return the argv of CRUN for the container with this SCRATCH directory."""
    return [crun, "--root", scratch / "crun", "--cgroup-manager=disabled", *words]


def guarded(scratch: Path, work: Callable[[], None]) -> None:
    """Do WORK; leave word in SCRATCH, for who waits for the container, of what cannot be done."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 -- nobody else is there to hear of it
        failed = scratch / "failed"
        failed.with_suffix(".new").write_text(json.dumps(_report(error)))
        failed.with_suffix(".new").rename(failed)


def _report(error: Exception) -> dict[str, str]:
    """Say what could not be done on this host; of a VcrError's fields."""
    if not isinstance(error, OSError) or not error.filename:
        return {"what": f"the container could not be made: {type(error).__name__}: {error}"}
    reason = str(error.strerror)
    if error.errno in {errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS}:
        reason += ": the kernel's settings, a security module or a container around this forbid it"
    return {
        "what": f"this host does not let a container be made: cannot {error.filename}",
        "why": reason,
        "fix": "allow user namespaces, be root, or take `--profile stage`, which needs neither",
    }


def main(told: str) -> None:
    """Run the container that the JSON text TOLD is about."""
    shim = Shim.of(json.loads(told))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guarded(shim.scratch, shim.run)
    sys.stdout.flush()
