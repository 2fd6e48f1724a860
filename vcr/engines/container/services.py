"""Services beside the app: containers in the same namespaces, started before it, ended after it.

`Service` is what the outside gives; `Neighbour` is the one that runs, seen from within the
namespaces, where all of them have one network and each is called by its name.
"""

import json
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from vcr import process
from vcr.agent.deadline import http_status, last_output
from vcr.diagnosis.look import Watched
from vcr.diagnosis.words import Cause, Situation, cause_of
from vcr.engines.container.bundle import Bind
from vcr.engines.container.output import spawn_into
from vcr.engines.logs import last_lines
from vcr.engines.machine import Channels
from vcr.errors import ExitCode, VcrError
from vcr.model.health import CommandProbe, HealthCheck, HttpProbe
from vcr.sandbox.linuxkit import HOSTS

PLACE = "services"  # in the scratch directory
PROBE_SECONDS = 5.0  # that one question for its health may take
POLL_SECONDS = 0.1
STOP_SECONDS = 10.0  # between its stop signal and the end of all
KEPT_BYTES = 1024  # of what a health command prints


@dataclass(frozen=True)
class Service:
    """What is started beside an app."""

    name: str
    vm: str  # store path of the `container` stage
    env: tuple[str, ...] = ()  # NAME=value
    binds: tuple[Bind, ...] = ()
    volumes: tuple[Path, ...] = ()  # directories of this host to make, those of the binds
    timeout: float = 60.0  # seconds until it has to be healthy

    def scratch(self, channels: Channels) -> Path:
        """Return its directory below that of the app."""
        return channels.scratch / PLACE / self.name


def log_of(channels: Channels, name: str) -> Path:
    """Return the file of what the service NAME prints."""
    return channels.log.with_name(f"service-{name}.log")


def hosts(services: Iterable[Service]) -> str:
    """Return the file /etc/hosts of an app and its SERVICES, which share a loopback."""
    names = "".join(f"127.0.0.1\t{service.name}\n" for service in services)
    return f"{HOSTS}{names}"


@dataclass(frozen=True)
class Neighbour:
    """A service, from within the namespaces."""

    name: str
    scratch: str
    log: str
    health: tuple[str, ...] = ()  # a command in its container
    path: str = ""  # or what is asked for by HTTP
    port: int = 0  # there; or where it listens when it is ready
    timeout: float = 60.0
    stop_signal: str = "SIGTERM"
    _watched: list[Watched] = field(default_factory=list)  # when it has started
    _copiers: list[Thread] = field(default_factory=list)  # of what it prints, to its log

    @classmethod
    def of(cls, settings: dict[str, Any]) -> "Neighbour":
        """Read what `settings` returned."""
        return cls(**{**settings, "health": tuple(settings["health"])})

    @classmethod
    def settings(
        cls, service: Service, channels: Channels, ports: tuple[int, ...],
        health: HealthCheck | None, stop_signal: str,
    ) -> dict[str, Any]:  # fmt: skip
        """Return what those in the namespaces are to know about SERVICE."""
        probe = health.probe if health else None
        port = ports[0] if ports else 0
        neighbour = cls(
            service.name,
            str(service.scratch(channels)),
            str(log_of(channels, service.name)),
            probe.argv if isinstance(probe, CommandProbe) else (),
            probe.path if isinstance(probe, HttpProbe) else "",
            probe.port if isinstance(probe, HttpProbe) else port,
            service.timeout,
            stop_signal,
        )
        return asdict(neighbour)

    def start(self, crun: Path) -> process.Child:
        """Start its container; the root is mounted."""
        self._watched.append(Watched.of(Path(self.scratch), self.name))
        bundle = Path(self.scratch, "bundle")
        argv = self.crun(crun, "run", "--bundle", bundle, self.name)
        child, copier = spawn_into(Path(self.log), argv)
        self._copiers.append(copier)
        return child

    def crun(self, crun: Path, *words: str | Path) -> list[str | Path]:
        """Return the argv of CRUN for its container."""
        return [crun, "--root", Path(self.scratch, "crun"), "--cgroup-manager=disabled", *words]

    def wait_until_healthy(self, crun: Path, child: process.Child) -> None:
        """Return when it is; raises VcrError with its last words."""
        deadline = time.monotonic() + self.timeout
        while not self._is_healthy(crun):
            ended = child.poll() is not None
            if ended:
                for copier in self._copiers:  # its last words
                    copier.join(PROBE_SECONDS)
            if ended or time.monotonic() > deadline:
                raise self._unhealthy(child.wait() if ended else None)
            time.sleep(POLL_SECONDS)

    def _unhealthy(self, code: int | None) -> VcrError:
        """Return the error for one that has ended with CODE, or that runs and is not healthy."""
        lines, logs = last_lines(Path(self.log)), f"`vcr logs --service {self.name}` shows its log"
        cause = Cause(lines[-1] if lines else "it printed nothing", logs)
        with suppress(OSError, ValueError, IndexError):
            now = Situation(
                port=0 if self.health or self.path else self.port,
                seconds=self.timeout,
                detail=" ".join(self.health) or f"GET {self.path}",
                log=[line for line in lines if line.strip()],
                who="it",
                logs=logs,
                more_time=f"`[services.{self.name}] timeout` in vcr.toml is {self.timeout:g} s now",
            )
            cause = cause_of(self._watched[0].facts(code), now)
        return VcrError(
            f"the service {self.name} "
            + ("did not become healthy" if code is None else "ended before it was healthy"),
            why=cause.why,
            fix=cause.fix if logs in cause.fix else f"{cause.fix}; {logs}",
            code=ExitCode.UNHEALTHY,
        )

    def _is_healthy(self, crun: Path) -> bool:
        with suppress(OSError, VcrError, ValueError):
            if self.health:
                argv = self.crun(crun, "exec", self.name, *self.health)
                return last_output(argv, PROBE_SECONDS, KEPT_BYTES)[0] == 0
            if self.path:
                return 200 <= http_status("127.0.0.1", self.port, self.path, PROBE_SECONDS) < 400
            if self.port:
                socket.create_connection(("127.0.0.1", self.port), PROBE_SECONDS).close()
            return True
        return False

    def stop(self, crun: Path, child: process.Child, grace: float) -> None:
        """Ask it to end, and wait for that for GRACE seconds."""
        with suppress(OSError, VcrError):
            if heeds(Path(self.scratch, "crun", self.name, "status"), self.stop_signal):
                process.run(self.crun(crun, "kill", self.name, self.stop_signal), ok=None)
                child.wait(grace)


def heeds(status: Path, name: str) -> bool:
    """Return whether the first process of a container does anything at the signal NAME.

    It gets those only that it has a handler for: pid_namespaces(7). STATUS is the file that
    crun keeps; raises OSError when there is none.
    """
    state = json.loads(status.read_text())
    rows = Path(f"/proc/{state['pid']}/status").read_text().splitlines()
    handled = next(int(row.split()[1], 16) for row in rows if row.startswith("SigCgt:"))
    number = int(name) if name.isdecimal() else signal.Signals["SIG" + name.removeprefix("SIG")]
    return bool(handled >> (number - 1) & 1)
