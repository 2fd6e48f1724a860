"""The process that a dev container lives in: started by vcr, ends with the container.

It listens on this host's ports, makes the namespaces, and in them runs crun, passes
connections on to the app, and answers the protocol of guest/agent on a socket. All of it
ends when this process ends, however that happens: the first process of the inner process
namespace dies with it, and the kernel then kills the rest.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vcr import process
from vcr.agent.server import Answers, listen_unix
from vcr.diagnosis.look import Watched
from vcr.engines.container.door import listen_door, serve_door
from vcr.engines.container.namespaces import (
    enter_namespaces,
    enter_network,
    go_on_below_reaper,
    mount_root,
    mount_system,
    report,
    trying,
)
from vcr.engines.container.output import spawn_into
from vcr.engines.container.pasta import Outside, has_tun, wait_for_route, way_to
from vcr.engines.container.services import STOP_SECONDS, Neighbour, heeds
from vcr.engines.container.volumes import make_volumes
from vcr.engines.machine import Forward
from vcr.engines.opened import listener_of, relay_to
from vcr.engines.parent import die_with_parent
from vcr.signals import notice_ends_of_children

APP = "app"
LAST_WORDS_SECONDS = 5.0  # that writing the log may take after the app's end
INNER = "inner"  # file in the scratch directory: process ID of what is inside the namespaces


@dataclass(frozen=True)
class Shim:
    """What runs the container, and how."""

    crun: Path
    pasta: Path
    scratch: Path
    log: Path
    console: Path
    agent: Path
    forwards: tuple[Forward, ...]
    health: tuple[str, ...]
    stop_signal: str
    services: tuple[Neighbour, ...] = ()
    _started: list[tuple[Neighbour, process.Child]] = field(default_factory=list)

    @classmethod
    def of(cls, settings: dict[str, Any]) -> "Shim":
        """Read the settings that `ContainerMachine.command_line` writes."""
        paths = ("crun", "pasta", "scratch", "log", "console", "agent")
        lists = {
            "forwards": tuple(Forward(**each) for each in settings["forwards"]),
            "health": tuple(settings["health"]),
            "services": tuple(Neighbour.of(row) for row in settings["services"]),
        }
        return cls(**{**settings, **lists, **{key: Path(settings[key]) for key in paths}})

    def say(self, text: str) -> None:
        """Add a line to the console."""
        with self.console.open("a") as file:
            file.write(f"vcr: {text}\n")

    def run(self) -> None:
        """Make the namespaces and wait for the end of what runs in them."""
        with trying(f"listen on {', '.join(map(str, self.forwards))}"):
            listeners = [listener_of(each) for each in self.forwards]
        asked, door = listen_unix(self.agent), listen_door(self.scratch)
        outside = Outside(self.pasta, self.console)
        enter_namespaces(outside.write_maps)
        ready, is_ready = os.pipe()
        inner = os.fork()
        if inner == 0:
            die_with_parent()
            guarded(self.scratch, lambda: self._inside(listeners, asked, door, is_ready))
            os._exit(0)
        (self.scratch / INNER).write_text(str(inner))
        for one in (*listeners, asked, door):
            one.close()
        os.close(is_ready)
        if os.read(ready, 1) and has_tun():
            outside.connect_network(inner)
        os.waitpid(inner, 0)
        outside.end()

    def _inside(
        self,
        listeners: list[socket.socket],
        asked: socket.socket,
        door: socket.socket,
        ready: int,
    ) -> None:
        """Be the first process of the container's surroundings."""
        enter_network()
        os.write(ready, b"1")
        os.close(ready)
        mount_system()
        go_on_below_reaper()
        if not (has_tun() and wait_for_route()):
            self.say("the container cannot reach the network")
        for service in self.services:
            self.say(f"service {service.name}: root {mount_layers(Path(service.scratch))}")
            child = service.start(self.crun)
            self._started.append((service, child))
            service.wait_until_healthy(self.crun, child)
            self.say(f"service {service.name}: healthy")
        self.say(f"root {mount_layers(self.scratch)}")
        serve_door(door)
        watched = Watched.of(self.scratch, APP)
        run = self._crun("run", "--bundle", self.scratch / "bundle", APP)
        app, copier = spawn_into(self.log, run)
        self.say("start app")
        (self.scratch / "started").touch()
        for listener, forward in zip(listeners, self.forwards, strict=True):
            relay_to(listener, forward, partial(_place_of, forward))
        self._answers(app, watched).serve(asked)
        app.wait()
        copier.join(LAST_WORDS_SECONDS)
        self.say(f"exit app rc={exit_code(app)}")
        self.say(f"facts {watched.facts(exit_code(app)).to_line()}")
        self._stop_services(STOP_SECONDS)

    def _answers(self, app: process.Child, watched: Watched) -> Answers:
        def code() -> int | None:
            return None if app.poll() is None else exit_code(app)

        return Answers(
            self._crun("exec", APP),
            self.health,
            self._stop,
            lambda: watched.state() if code() is None else f"exited {code()}",
            lambda: watched.facts(code()).to_line(),
        )

    def _crun(self, *words: str | Path) -> list[str | Path]:
        return crun_argv(self.crun, self.scratch, *words)

    def _stop(self, grace: float) -> None:
        with suppress(OSError):  # it is not there yet, or not any more
            if heeds(self.scratch / "crun" / APP / "status", self.stop_signal):
                process.run(self._crun("kill", APP, self.stop_signal), ok=None)
                time.sleep(grace)
        self._stop_services(grace)
        os._exit(0)  # the reaper then ends, too, and the kernel kills all others

    def _stop_services(self, grace: float) -> None:
        """Ask services to end, the last one first, and wait for each up to GRACE seconds."""
        with suppress(IndexError):  # there is none left
            while True:
                service, child = self._started.pop()
                service.stop(self.crun, child, grace)


def _place_of(forward: Forward) -> tuple[str, int]:
    """Return where FORWARD leads, in the network of this process; raises OSError."""
    return way_to(forward.guest, forward.protocol), forward.guest


def exit_code(child: process.Child) -> int:
    """Return the exit code of CHILD, which has ended, as a shell says it."""
    code = child.wait()
    return 128 - code if code < 0 else code


def mount_layers(scratch: Path) -> str:
    """Mount the root that the file `layers` in SCRATCH tells of, make its volumes; return how."""
    layers = [Path(path) for path in json.loads((scratch / "layers").read_text())]
    how = mount_root(layers, scratch)
    with trying("make the volumes"):
        make_volumes(scratch, scratch / "root")
    return how


def crun_argv(crun: Path, scratch: Path, *words: str | Path) -> list[str | Path]:
    """Return the argv of CRUN for the container with this SCRATCH directory."""
    return [crun, "--root", scratch / "crun", "--cgroup-manager=disabled", *words]


def guarded(scratch: Path, work: Callable[[], None]) -> None:
    """Do WORK; write to SCRATCH, for whoever waits for the container, what cannot be done."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 -- nobody else is there to hear of it
        failed = scratch / "failed"
        failed.with_suffix(".new").write_text(json.dumps(report(error)))
        failed.with_suffix(".new").rename(failed)


def main(text: str) -> None:
    """Run the container that the JSON TEXT is about."""
    shim = Shim.of(json.loads(text))
    notice_ends_of_children()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guarded(shim.scratch, shim.run)
    sys.stdout.flush()
